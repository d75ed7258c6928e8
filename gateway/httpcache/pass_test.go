package httpcache_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/belay-go/belay/gateway/httpcache"
	"github.com/google/go-cmp/cmp"
)

// Tunnels pass by: what comes back is what the base returned, as it was.
func TestPassesTunnelsBy(t *testing.T) {
	want := &http.Response{StatusCode: 200, Header: http.Header{"Cache-Control": {"max-age=60"}}, Body: http.NoBody}
	o := &origin{answer: func(int64, *http.Request) (*http.Response, error) { return want, nil }}
	rt := &httpcache.Transport{Base: o, Cache: httpcache.New(httpcache.Config{})}
	for _, req := range []*http.Request{
		{Method: "CONNECT", URL: &url.URL{Host: "service.test:443"}},
		{Method: "GET", URL: &url.URL{Scheme: "http", Host: "service.test"}, Header: http.Header{"Upgrade": {"websocket"}}},
		{Method: "GET", URL: &url.URL{Scheme: "http", Opaque: "//service.test/%2f"}},
	} {
		for range 2 {
			resp, err := rt.RoundTrip(req)
			if resp != want || err != nil || len(resp.Header) != 1 {
				t.Errorf("%s %v: %v, %v", req.Method, req.Header, resp.Header, err)
			}
		}
	}
	if n := o.calls.Load(); n != 6 {
		t.Errorf("%d requests, want 6", n)
	}
	// A request without a URL is the base's to complain about.
	o.answer = func(int64, *http.Request) (*http.Response, error) { return nil, errors.New("no URL") }
	if _, err := rt.RoundTrip(&http.Request{Method: "GET"}); err == nil || err.Error() != "no URL" {
		t.Error(err)
	}
}

// A GET with content, as some search engines want it, is not answered from the store.
func TestGetWithBody(t *testing.T) {
	client, o, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		body := "nothing"
		if r.Body != nil {
			b, _ := io.ReadAll(r.Body)
			body = string(b)
		}
		return answer(r, body, "Cache-Control: max-age=60"), nil
	})
	for _, query := range []string{"", "a", "b", "a"} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", pageURL, struct{ io.Reader }{strings.NewReader(query)})
		if query == "" {
			req.Body = nil
			query = "nothing"
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := io.ReadAll(resp.Body); string(got) != query {
			t.Errorf("%q, want %q", got, query)
		}
	}
	if n := o.calls.Load(); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
}

// A hit has what was stored, Age and Cache-Status, and nothing else.
func TestAddsTwoFields(t *testing.T) {
	fields := []string{"Cache-Control: max-age=60", "Content-Type: text/plain", "X-A: 1", "X-A: 2"}
	client, _, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, "ok", fields...), nil
	})
	_, first := get(t, t.Context(), client, pageURL)
	_, second := get(t, t.Context(), client, pageURL)
	want := first.Header.Clone()
	want["Age"], want["Cache-Status"] = []string{"0"}, second.Header["Cache-Status"]
	if diff := cmp.Diff(want, second.Header); diff != "" {
		t.Error(diff)
	}
	for name := range second.Header { // a caller may add to any of them
		second.Header.Add(name, "mine")
		want.Add(name, "mine")
	}
	if diff := cmp.Diff(want, second.Header); diff != "" {
		t.Error("after adding: " + diff)
	}
	if second.Status != "200 OK" || second.Proto != "HTTP/1.1" || second.ContentLength != 2 || second.Request == first.Request {
		t.Errorf("%+v", second)
	}
}

// All callers may do with a response what they like. For the race detector.
func TestCallersShareNothing(t *testing.T) {
	client, _, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		resp := answer(r, "the body", "Cache-Control: max-age=60", "Vary: A", "X-A: 1", "Cache-Status: Far; hit")
		resp.Trailer = http.Header{"T": {"1"}}
		return resp, nil
	})
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 20 {
				body, resp := get(t, context.Background(), client, pageURL, "A: 1")
				if body != "the body" || resp.Header.Get("X-A") != "1" || resp.Trailer.Get("T") != "1" || len(resp.Header["Cache-Status"]) != 2 {
					t.Errorf("%q, %v, %v", body, resp.Header, resp.Trailer)
				}
				resp.Header["X-A"][0] = "mine"
				resp.Header["X-A"] = append(resp.Header["X-A"], "mine")
				resp.Header["Cache-Status"] = append(resp.Header["Cache-Status"], "mine")
				resp.Header.Set("Vary", "mine")
				resp.Trailer.Set("T", "mine")
				resp.Request.Header["A"][0] = "mine"
			}
		})
	}
	wg.Wait()
}

// The body of a hit keeps the rules of bodies.
func TestHitBody(t *testing.T) {
	client, _, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, "0123456789", "Cache-Control: max-age=60"), nil
	})
	get(t, t.Context(), client, pageURL)
	resp, _ := client.Get(pageURL)
	b := make([]byte, 4)
	io.ReadFull(resp.Body, b)
	var rest bytes.Buffer
	if n, err := io.Copy(&rest, resp.Body); string(b)+rest.String() != "0123456789" || n != 6 || err != nil {
		t.Errorf("%q, %q, %d, %v", b, rest.String(), n, err)
	}
	if n, err := resp.Body.Read(b); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	resp.Body.Close()
	if _, err := resp.Body.Read(b); err != http.ErrBodyReadAfterClose {
		t.Errorf("after Close: %v", err)
	}
	if _, err := resp.Body.(io.WriterTo).WriteTo(&rest); err != http.ErrBodyReadAfterClose {
		t.Errorf("after Close: %v", err)
	}
}

func TestTrailers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Trailer", "Sum")
			io.WriteString(w, "body")
			w.Header().Set("Sum", "42")
		})
		for i := range 2 {
			body, resp := get(t, t.Context(), client, pageURL)
			if body != "body" || resp.Trailer.Get("Sum") != "42" || resp.Header["Sum"] != nil {
				t.Errorf("%d: %q, trailer %v, header %v", i, body, resp.Trailer, resp.Header)
			}
		}
	})
	// With HTTP/2 they may follow a body whose length was known.
	client, _, _ := newClient(t, httpcache.Config{}, func(_ int64, r *http.Request) (*http.Response, error) {
		resp := answer(r, "body", "Cache-Control: max-age=60")
		resp.Trailer = http.Header{"Sum": nil}
		resp.Body = io.NopCloser(io.MultiReader(resp.Body, readerFunc(func([]byte) (int, error) {
			resp.Trailer["Sum"] = []string{"42"}
			return 0, io.EOF
		})))
		return resp, nil
	})
	for i := range 2 {
		if body, resp := get(t, t.Context(), client, pageURL); body != "body" || resp.Trailer.Get("Sum") != "42" {
			t.Errorf("%d: %q, trailer %v", i, body, resp.Trailer)
		}
	}
}

func TestUnderReverseProxy(t *testing.T) {
	target, _ := url.Parse(pageURL)
	o := &origin{answer: func(_ int64, r *http.Request) (*http.Response, error) {
		return answer(r, "0123456789", "Cache-Control: s-maxage=60"), nil
	}}
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &httpcache.Transport{Base: o, Cache: httpcache.New(httpcache.Config{Shared: true})},
	}
	for i, want := range []string{"fwd=uri-miss", "hit", "hit"} {
		req := httptest.NewRequest("GET", "http://front.test/", nil)
		if i == 2 {
			req.Header.Set("Range", "bytes=2-3")
		}
		w := httptest.NewRecorder()
		proxy.ServeHTTP(w, req)
		if s := w.Header().Get("Cache-Status"); !strings.Contains(s, want) || w.Code != []int{200, 200, 206}[i] {
			t.Errorf("%d: %d %s, want %s", i, w.Code, s, want)
		}
	}
}

// A Host field is part of the target; where the request is sent is part of the key.
func TestHostField(t *testing.T) {
	client, o, c := newClient(t, httpcache.Config{}, func(n int64, r *http.Request) (*http.Response, error) {
		return answer(r, r.Host+" at "+r.URL.Host, "Cache-Control: max-age=60"), nil
	})
	for _, host := range []string{"a.test", "b.test", "a.test"} {
		for _, address := range []string{"10.0.0.1", "10.0.0.2"} {
			req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+"/", nil)
			req.Host = host
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := host + " at " + address; string(body) != want {
				t.Errorf("%q, want %q", body, want)
			}
		}
	}
	if n := o.calls.Load(); n != 4 {
		t.Errorf("%d requests, want 4", n)
	}
	if n := c.Purge("http://a.test/"); n != 2 {
		t.Errorf("purged %d responses, want 2", n)
	}
}
