package gateway_test

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
)

// bad is code of a user's that panics, or calls runtime.Goexit, where it is told to.
type bad struct {
	at    string
	leave func()
}

func (b *bad) here(place string) {
	if b.at == place {
		b.leave()
	}
}

func (b *bad) Apply(_ context.Context, req *http.Request) error {
	b.here("Apply")
	if req.Header.Get("X-Key") != "" {
		b.here("Apply again")
	}
	req.Header.Set("X-Key", req.Header.Get("X-Key")+"k")
	return nil
}

func (b *bad) Identity(context.Context) string { return "me" }

func (b *bad) Stale(context.Context, *http.Request) bool {
	b.here("Stale")
	return true
}

type badText struct{ *bad }

func (t badText) MarshalText() ([]byte, error) {
	t.here("MarshalText")
	return []byte("t"), nil
}

// Where a user's code panics or leaves, it does not leave a body behind, neither of a
// request nor of a response, and what it does reaches the caller.
func TestBadUserCodeLeavesNothingBehind(t *testing.T) {
	type upload struct {
		Text badText   `header:"X-Text"`
		Body io.Reader `body:""`
	}
	for _, place := range []string{"MarshalText", "Apply", "Apply again", "Stale", "Replayed", "Ended", "RetryAfter"} {
		for name, leave := range map[string]func(){"panic": func() { panic("boom") }, "Goexit": runtime.Goexit} {
			b := &bad{place, leave}
			var bodies []*body // of responses
			status := 401
			transport := roundTripper(func(req *http.Request) (*http.Response, error) {
				if req.Body != nil {
					req.Body.Close()
				}
				resp, err := reply(status, "")(req)
				one := newBody("text")
				bodies = append(bodies, one)
				resp.Body = one
				if status = 200; place == "RetryAfter" {
					status, resp.StatusCode = 429, 429
				}
				return resp, err
			})
			g := mustNew(t, gateway.Config{Transport: transport, Auth: b, Timeout: -1,
				RetryAfter: func(*http.Response) time.Duration { b.here("RetryAfter"); return 0 },
				Observe: func(_ context.Context, e gateway.Event) {
					b.here(map[gateway.Kind]string{gateway.Ended: "Ended", gateway.Replayed: "Replayed"}[e.Kind])
				},
			})
			sent := newBody("x")
			returned, recovered, done := false, any(nil), make(chan struct{})
			go func() {
				defer close(done)
				defer func() { recovered = recover() }()
				if place == "Stale" || place == "Replayed" || place == "Apply again" || place == "Ended" {
					gateway.NewEndpoint[gateway.None, io.ReadCloser](g, "GET /x", gateway.EndpointConfig{}).Call(context.Background(), none)
				} else {
					gateway.NewEndpoint[upload, io.ReadCloser](g, "POST /x", gateway.EndpointConfig{}).Call(context.Background(), upload{badText{b}, sent})
				}
				returned = true
			}()
			<-done
			if returned || (recovered == "boom") != (name == "panic") {
				t.Errorf("%s in %s: returned %t, recovered %v", name, place, returned, recovered)
			}
			for i, one := range bodies {
				if one.closed == 0 {
					t.Errorf("%s in %s: the body of response %d is open", name, place, i)
				}
			}
			if (place == "MarshalText" || place == "Apply") && sent.closed == 0 {
				t.Errorf("%s in %s: the body of the request is open", name, place)
			}
			if place != "MarshalText" && place != "Apply" && len(bodies) == 0 {
				t.Errorf("%s in %s: nothing was sent", name, place)
			}
		}
	}
}
