package loadbalance_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/loadbalance"
)

// What each fault does to an endpoint, over HTTP/1 and HTTP/2.
func TestTransportFaults(t *testing.T) {
	after := func(s string) http.Header { return http.Header{"Retry-After": {s}} }
	for _, tt := range []struct {
		name  string
		fault memhttp.Fault
		conn  memhttp.ConnFault
		want  loadbalance.State
	}{
		{name: "none", want: loadbalance.Healthy},
		{name: "refused", conn: memhttp.ConnFault{Refused: true}, want: loadbalance.Ejected},
		{name: "no answer to the dial", conn: memhttp.ConnFault{Dial: time.Hour}, want: loadbalance.Ejected},
		{name: "reset before the status line", fault: memhttp.Fault{Reset: memhttp.BeforeHeaders}, want: loadbalance.Ejected},
		{name: "slow headers", fault: memhttp.Fault{Delay: 2 * time.Second}, want: loadbalance.Ejected},
		{name: "reset in the body", fault: memhttp.Fault{Reset: memhttp.AfterBody(3)}, want: loadbalance.Ejected},
		{name: "dripping body", fault: memhttp.Fault{ChunkDelay: 600 * time.Millisecond}, want: loadbalance.Ejected},
		{name: "short body", fault: memhttp.Fault{Truncate: memhttp.AfterBody(3)}, want: loadbalance.Ejected},
		{name: "500", fault: memhttp.Fault{Status: 500}, want: loadbalance.Ejected},
		{name: "501", fault: memhttp.Fault{Status: 501}, want: loadbalance.Healthy},
		{name: "503", fault: memhttp.Fault{Status: 503}, want: loadbalance.Ejected},
		{name: "503 for a while", fault: memhttp.Fault{Status: 503, Header: after("7")}, want: loadbalance.Cooling},
		{name: "503 until a date", fault: memhttp.Fault{Status: 503, Header: after("Sat, 01 Jan 2000 00:00:07 GMT")}, want: loadbalance.Cooling},
		{name: "503 until nonsense", fault: memhttp.Fault{Status: 503, Header: after("99999999999")}, want: loadbalance.Ejected},
		{name: "429", fault: memhttp.Fault{Status: 429}, want: loadbalance.Healthy},
		{name: "429 for a while", fault: memhttp.Fault{Status: 429, Header: after("7")}, want: loadbalance.Healthy},
		{name: "404", fault: memhttp.Fault{Status: 404}, want: loadbalance.Healthy},
		{name: "204", fault: memhttp.Fault{Status: 204}, want: loadbalance.Healthy},
	} {
		for _, protocol := range []string{"HTTP/1", "HTTP/2"} {
			t.Run(tt.name+" "+protocol, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						for range 3 {
							io.WriteString(w, "chunk")
						}
					}))
					srv.Fault = func(int, *http.Request) memhttp.Fault { return tt.fault }
					srv.ConnFault = func(int) memhttp.ConnFault { return tt.conn }
					base := srv.Transport()
					if protocol == "HTTP/2" {
						memhttp.HTTP2(base)
					}
					set := []loadbalance.Endpoint[*url.URL]{
						{Key: "a", Value: &url.URL{Scheme: "http", Host: "a"}}, {Key: "b", Value: &url.URL{Scheme: "http", Host: "b"}},
					}
					b := loadbalance.New(loadbalance.Static(set...), loadbalance.Config{Policy: loadbalance.First, EjectAfter: 1})
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					resp, err := (&loadbalance.Transport{Balancer: b, Base: base}).RoundTrip(get(t, "http://x").WithContext(ctx))
					if err == nil {
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
					synctest.Wait()
					if got := b.Stats().Endpoints[0]; got.State != tt.want || got.InFlight != 0 {
						t.Errorf("%+v, want %v", got, tt.want)
					}
					base.CloseIdleConnections()
				})
			})
		}
	}
}

// A failure counts once, by its header: that its body comes well to its end does not
// make it a success, nor that it does not a second failure.
func TestTransportFailureWithBody(t *testing.T) {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF} {
		b := hosts(t, "http://a", "http://b")
		transport := &loadbalance.Transport{Balancer: b, Base: roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 500, Body: io.NopCloser(iotest.ErrReader(end))}, nil
		}), Hint: func(*http.Request) loadbalance.Hint { return loadbalance.Hint{Prefer: []string{"http://a"}} }}
		for i := range 5 {
			if s := b.Stats().Endpoints[0].State; s != loadbalance.Healthy {
				t.Errorf("%v after %d failures", s, i)
			}
			resp, err := transport.RoundTrip(get(t, "http://x"))
			if err != nil {
				t.Fatal(err)
			}
			io.ReadAll(resp.Body)
		}
		if s := b.Stats().Endpoints[0]; s.State != loadbalance.Ejected {
			t.Errorf("%+v", s)
		}
	}
}

// The caller's own cancellation is no failure, wherever it comes.
func TestTransportCanceled(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/body" {
				io.WriteString(w, "abc")
				http.NewResponseController(w).Flush()
			}
			<-r.Context().Done()
		}))
		b := hosts(t, "http://a", "http://b")
		base := srv.Transport()
		transport := &loadbalance.Transport{Balancer: b, Base: base}
		for _, path := range []string{"/body", "/header"} {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			resp, err := transport.RoundTrip(get(t, "http://x"+path).WithContext(ctx))
			if err == nil {
				_, err = io.ReadAll(resp.Body)
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", path, err)
			}
		}
		for _, e := range b.Stats().Endpoints {
			if e.FailureRate != 0 || e.InFlight != 0 {
				t.Errorf("%+v", e)
			}
		}
		base.CloseIdleConnections()
	})
}

// What the caller did wrong says nothing of an endpoint: a body that cannot be read, or
// has another length, a field or a method that cannot be sent, a request cancelled in
// the old way.
func TestCallersFaults(t *testing.T) {
	cancelled := make(chan struct{})
	close(cancelled)
	for name, change := range map[string]func(*http.Request){
		"a body that fails": func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader("some"), iotest.ErrReader(errors.New("disk"))))
		},
		"a body that is too short": func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("some")), 100 },
		"a length without a body":  func(r *http.Request) { r.Body, r.ContentLength = nil, 100 },
		"a field's name":           func(r *http.Request) { r.Header["a b"] = []string{"c"} },
		"a field's value":          func(r *http.Request) { r.Header.Set("X", "a\r\nB: c") },
		"a trailer":                func(r *http.Request) { r.Trailer = http.Header{"X": {"a\x00"}} },
		"a method":                 func(r *http.Request) { r.Method = "GET /" },
		"a closed Cancel":          func(r *http.Request) { r.Cancel = cancelled }, //lint:ignore SA1019 there are callers who use it
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }))
				base := srv.Transport()
				b := loadbalance.New(loadbalance.Static(addresses("a", "b")...), loadbalance.Config{EjectAfter: 1})
				failed := 0
				for range 20 {
					req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://x/", io.NopCloser(strings.NewReader("body")))
					change(req)
					resp, err := (&loadbalance.Transport{Balancer: b, Base: base}).RoundTrip(req)
					if err == nil {
						resp.Body.Close()
					} else {
						failed++
					}
				}
				if failed == 0 {
					t.Error("it was sent")
				}
				for _, e := range b.Stats().Endpoints {
					if e.State != loadbalance.Healthy || e.FailureRate != 0 || e.InFlight != 0 {
						t.Errorf("%+v", e)
					}
				}
				base.CloseIdleConnections()
			})
		})
	}
}

// That a server resets the connection while a body is on its way is the server's
// failure, though net/http closes the body then.
func TestResetDuringUpload(t *testing.T) {
	b := loadbalance.New(loadbalance.Static(addresses("a", "b")...), loadbalance.Config{EjectAfter: 1, Policy: loadbalance.First})
	transport := &loadbalance.Transport{Balancer: b, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
		r.Body.Close()
		if _, err := r.Body.Read(make([]byte, 1)); err == nil {
			t.Error("the body can be read after Close")
		}
		return nil, errors.New("reset")
	})}
	body, w := io.Pipe()
	defer w.Close()
	req, _ := http.NewRequestWithContext(t.Context(), "POST", "http://x/", body)
	transport.RoundTrip(req)
	if s := b.Stats().Endpoints[0]; s.State != loadbalance.Ejected {
		t.Errorf("%+v", s)
	}
}

// Endpoints have connections of their own, whatever Base has been through: one whose
// HTTP/2 was set up from outside hands all its connections to one pool, which its clones
// would share.
func TestConnectionsAreNotShared(t *testing.T) {
	var answers []string
	var urls []string
	roots := x509.NewCertPool()
	for _, name := range []string{"a", "b"} {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %d", name, r.ProtoMajor)
		}))
		srv.EnableHTTP2 = true
		srv.StartTLS()
		defer srv.Close()
		urls = append(urls, srv.URL)
		roots.AddCert(srv.Certificate())
	}
	base := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}},
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{"h2": func(authority string, _ *tls.Conn) http.RoundTripper {
			t.Errorf("a connection for %s was handed to the pool of Base", authority)
			return roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("of another") })
		}},
	}
	transport := &loadbalance.Transport{Balancer: hosts(t, urls...), Base: base}
	defer transport.CloseIdleConnections()
	for _, u := range urls {
		transport.Hint = func(*http.Request) loadbalance.Hint { return loadbalance.Hint{Prefer: []string{u}} }
		resp, err := transport.RoundTrip(get(t, "https://example.com/"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		answers = append(answers, string(body))
	}
	if want := []string{"a 2", "b 2"}; !slices.Equal(answers, want) {
		t.Errorf("%q, want %q", answers, want)
	}
}

// The dialers from before there were contexts keep their say, and dial the endpoint.
func TestOldDialers(t *testing.T) {
	var dialed []string
	refuse := func(_, addr string) (net.Conn, error) {
		dialed = append(dialed, addr)
		return nil, errors.New("refused")
	}
	for _, base := range []*http.Transport{{Dial: refuse}, {DialTLS: refuse}} {
		transport := &loadbalance.Transport{Balancer: hosts(t, "https://10.0.0.1:8443"), Base: base}
		transport.RoundTrip(get(t, "https://orders.internal/"))
	}
	if want := []string{"10.0.0.1:8443", "10.0.0.1:8443"}; !slices.Equal(dialed, want) {
		t.Errorf("dialed %q, want %q", dialed, want)
	}
}

// A deadline is a failure, whatever cause its owner has given it, and a cancel is none.
func TestDeadlineWithACause(t *testing.T) {
	b := loadbalance.New(loadbalance.Static(loadbalance.Endpoint[int]{Key: "a"}), loadbalance.Config{})
	late := errors.New("the page is late")
	driver := errors.New("driver: interrupted")
	ctx, cancel := context.WithDeadlineCause(t.Context(), time.Now().Add(-time.Second), late)
	defer cancel()
	if o := b.Outcome(ctx, driver); o != loadbalance.Failure {
		t.Errorf("a deadline with a cause: %v, want %v", o, loadbalance.Failure)
	}
	gone, leave := context.WithCancelCause(t.Context())
	leave(late)
	if o := b.Outcome(gone, driver); o != loadbalance.Ignored {
		t.Errorf("a cancel with a cause: %v, want %v", o, loadbalance.Ignored)
	}
}
