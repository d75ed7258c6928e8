package gatewaytest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/gatewaytest"
)

func newGateway(t *testing.T, stub gatewaytest.Stub) *gateway.Gateway {
	t.Helper()
	g, err := gateway.New(gateway.Config{BaseURL: "https://api.example/a/b", Transport: stub})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// Handlers find the values of wildcards, whatever the base URL and the pattern.
func TestPathValues(t *testing.T) {
	type parts struct {
		X string `path:"x"`
		Y string `path:"y"`
	}
	for pattern, in := range map[string]parts{
		"GET /{x}/{y}":              {"a b", "c/d"},
		"GET /x/{x}.json/{y...}":    {"a.b", "c d/e"},
		"GET /{x}...{y}":            {"v1", "v2"},
		"GET /{x}/projects/{y}:run": {"1", "2"},
		"GET /+({x})/{y}":           {"1", "2"},
	} {
		var got parts
		g := newGateway(t, gatewaytest.Stub{pattern: func(w http.ResponseWriter, r *http.Request) {
			got = parts{r.PathValue("x"), r.PathValue("y")}
		}})
		_, err := gateway.NewEndpoint[parts, gateway.None](g, pattern, gateway.EndpointConfig{}).Call(t.Context(), in)
		if err != nil || got != in {
			t.Errorf("%s: %+v, %v; want %+v", pattern, got, err, in)
		}
	}
}

// A handler sees a request as a server does; a name stands for its endpoint.
func TestStub(t *testing.T) {
	g := newGateway(t, gatewaytest.Stub{"create": func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Host != "api.example" || r.RequestURI != "/a/b/x" || string(body) != `"in"` {
			t.Errorf("%s %s %q", r.Host, r.RequestURI, body)
		}
		gatewaytest.JSON(w, http.StatusCreated, "out")
	}})
	e := gateway.NewEndpoint[*string, any](g, "POST /x", gateway.EndpointConfig{Name: "create"})
	if r, err := e.CallResponse(t.Context(), new("in")); err != nil || r.Value != "out" || r.Status != 201 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err := gateway.NewEndpoint[gateway.None, any](g, "GET /y", gateway.EndpointConfig{}).Call(t.Context(), gateway.None{})
	if err == nil || !strings.Contains(err.Error(), `no handler for the endpoint "GET /y"`) {
		t.Errorf("without a handler: %v", err)
	}
	_, err = g.Client().Get("https://api.example/z")
	if err == nil || !strings.Contains(err.Error(), `no handler for the endpoint ""`) {
		t.Errorf("without an endpoint: %v", err)
	}
}

// Slow handlers meet the deadline of the call.
func TestSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGateway(t, gatewaytest.Stub{"GET /x": func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(time.Hour):
			}
		}})
		e := gateway.NewEndpoint[gateway.None, gateway.None](g, "GET /x", gateway.EndpointConfig{Timeout: time.Second})
		if _, err := e.Call(t.Context(), gateway.None{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.Call(ctx, gateway.None{}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}
