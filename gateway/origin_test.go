package gateway_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway"
)

// hosts answers by scheme and host, and notes what each has got.
type hosts struct {
	answer map[string]func(*http.Request) (*http.Response, error)
	got    map[string][]http.Header
}

func (h *hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	origin := req.URL.Scheme + "://" + req.URL.Host
	if h.got == nil {
		h.got = map[string][]http.Header{}
	}
	h.got[origin] = append(h.got[origin], req.Header.Clone())
	if answer := h.answer[origin]; answer != nil {
		return answer(req)
	}
	return reply(204, "")(req)
}

// redirect answers the path /v2/x with a redirect, and all others with 204.
func redirect(to string) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) {
		if strings.HasSuffix(req.URL.Path, "/x") {
			return reply(302, "", "Location: "+to)(req)
		}
		return reply(204, "")(req)
	}
}

const base, evil = "https://api.example", "https://evil.example"

type tenant struct {
	Key string `header:"X-Tenant-Key"`
	Q   string `query:"q"`
}

// secrets are in the request in every way in which a program can put them there.
func callWithSecrets(t *testing.T, cfg gateway.Config) error {
	t.Helper()
	cfg.Auth = gateway.APIKey("X-Api-Key", "s3cr3t-key")
	cfg.Header = http.Header{"Authorization": {"Bearer s3cr3t-token"}, "Cookie": {"sid=s3cr3t-cookie"}, "User-Agent": {"test/1"}}
	e := gateway.NewEndpoint[tenant, gateway.None](mustNew(t, cfg), "GET /x", gateway.EndpointConfig{})
	_, err := e.Call(t.Context(), tenant{"s3cr3t-header", "s3cr3t-query"})
	return err
}

// By default no other origin is asked at all; another scheme, port or subdomain is one.
func TestRedirectsStayHome(t *testing.T) {
	for _, to := range []string{evil + "/y", "//evil.example/y", "http://api.example/y", "http://api.example:443/y", "https://api.example:444/y", "https://sub.api.example/y", "https://ada:s3cr3t@evil.example/"} {
		h := &hosts{answer: map[string]func(*http.Request) (*http.Response, error){base: redirect(to)}}
		err := callWithSecrets(t, gateway.Config{Transport: h})
		e := asError(t, err, gateway.BadRedirect)
		if len(h.got) != 1 || e.Status != 302 || e.Retryable() || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v; asked %v", to, err, h.got)
		}
	}
	for _, to := range []string{"/y", "y", "https://api.example/y", "https://API.example:443/y"} {
		h := &hosts{answer: map[string]func(*http.Request) (*http.Response, error){base: redirect(to)}}
		if err := callWithSecrets(t, gateway.Config{Transport: h}); err != nil {
			t.Errorf("%s: %v", to, err)
		}
		for origin, got := range h.got {
			for _, header := range got {
				if header.Get("X-Api-Key") != "s3cr3t-key" {
					t.Errorf("%s: %s got %v", to, origin, header)
				}
			}
		}
	}
	h := &hosts{answer: map[string]func(*http.Request) (*http.Response, error){base: redirect("/x")}}
	asError(t, callWithSecrets(t, gateway.Config{Transport: h}), gateway.BadRedirect)
	if n := len(h.got[base]); n != 10 {
		t.Errorf("a loop is followed for %d requests", n)
	}
}

// Where other origins are allowed they get no credential, of whatever name, and not
// the URL with the query either. A redirect back does not bring credentials back.
func TestRedirectDropsCredentials(t *testing.T) {
	h := &hosts{answer: map[string]func(*http.Request) (*http.Response, error){
		base: redirect(evil + "/x"),
		evil: redirect("https://third.example/x"),
	}}
	h.answer["https://third.example"] = redirect(base + "/back")
	anywhere := func(*http.Request, []*http.Request) error { return nil }
	if err := callWithSecrets(t, gateway.Config{Transport: h, CheckRedirect: anywhere}); err != nil {
		t.Fatal(err)
	}
	if len(h.got) != 3 || len(h.got[base]) != 2 {
		t.Fatalf("asked %v", h.got)
	}
	if first := h.got[base][0]; first.Get("X-Api-Key") != "s3cr3t-key" || first.Get("X-Tenant-Key") != "s3cr3t-header" {
		t.Errorf("the first request has %v", first)
	}
	for _, foreign := range []http.Header{h.got[evil][0], h.got["https://third.example"][0]} {
		if foreign.Get("User-Agent") != "test/1" {
			t.Errorf("the harmless field is gone: %v", foreign)
		}
		for name, values := range foreign {
			if strings.Contains(strings.Join(values, " "), "s3cr3t") {
				t.Errorf("%s: %q goes to another origin", name, values)
			}
		}
	}
	if back := h.got[base][1]; back.Get("X-Api-Key") != "" {
		t.Errorf("a redirect back has %v", back)
	}
}

// The untyped client is for the base origin too, and for no other.
func TestClient(t *testing.T) {
	h := &hosts{}
	client := mustNew(t, gateway.Config{Transport: h, Auth: gateway.Basic("ada", "s3cr3t")}).Client()
	for _, to := range []string{evil + "/y", "http://api.example/", "https://api.example:8443/"} {
		b := newBody("x")
		req, _ := http.NewRequestWithContext(t.Context(), "POST", to, b)
		if resp, err := client.Do(req); err == nil || b.closed == 0 {
			t.Errorf("%s: %v, body closed %d times", to, resp, b.closed)
		}
	}
	opaque := &http.Request{Method: "GET", URL: &url.URL{Scheme: "https", Host: "api.example", Opaque: "//evil.example/x"}, Header: http.Header{}}
	if _, err := client.Do(opaque.WithContext(t.Context())); err == nil {
		t.Error("an opaque URL is sent")
	}
	if len(h.got) != 0 {
		t.Errorf("asked %v", h.got)
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", base+"/any/where?q=1", nil)
	resp, err := client.Do(req)
	if err != nil || len(h.got[base]) != 1 || h.got[base][0].Get("Authorization") == "" {
		t.Fatalf("%v, %v", h.got, err)
	}
	resp.Body.Close()
	if req.Header.Get("Authorization") != "" {
		t.Error("the caller's request was changed")
	}
}

// What the layers below see of a call. A gateway in a gateway, as one that gets tokens
// with the call's context, is not taken for the outer one.
func TestContextBelow(t *testing.T) {
	var names []string
	note := func(next roundTripper) roundTripper {
		return func(req *http.Request) (*http.Response, error) {
			name, ok := gateway.EndpointFrom(req.Context())
			if !ok {
				name = "none"
			}
			names = append(names, name)
			return next(req)
		}
	}
	outer := mustNew(t, gateway.Config{BaseURL: "https://outer.example", Transport: note(reply(204, ""))})
	inner := mustNew(t, gateway.Config{BaseURL: "https://inner.example", Transport: note(func(req *http.Request) (*http.Response, error) {
		again, err := http.NewRequestWithContext(req.Context(), "GET", "https://outer.example/y", nil)
		if err != nil {
			return nil, err
		}
		return outer.Client().Do(again)
	})})
	e := gateway.NewEndpoint[gateway.None, gateway.None](inner, "GET /x", gateway.EndpointConfig{Name: "things"})
	if _, err := e.Call(t.Context(), gateway.None{}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(names, ", "); got != "things, none" {
		t.Errorf("the names are %s", got)
	}
	if name, ok := gateway.EndpointFrom(context.Background()); ok {
		t.Errorf("the background belongs to %q", name)
	}
}
