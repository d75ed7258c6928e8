package gateway_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
)

// byHand is a client as one writes it with net/http, with the same limits and checks.
type byHand struct {
	client *http.Client
	base   string
}

func newByHand() *byHand {
	return &byHand{base: baseURL, client: &http.Client{
		Transport: instant{},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) >= 10 || req.URL.Host != via[0].URL.Host || req.URL.Scheme != via[0].URL.Scheme {
				return errors.New("refusing to follow the redirect")
			}
			return nil
		},
	}}
}

const (
	timeout  = 30 * time.Second
	maxBytes = 10 << 20
)

func (c *byHand) user(ctx context.Context, name string) (user, error) {
	if name == "" || name == "." || name == ".." {
		return user{}, fmt.Errorf("invalid name %q", name)
	}
	return c.do(ctx, http.MethodGet, "/users/"+url.PathEscape(name), nil)
}

func (c *byHand) create(ctx context.Context, u user) (user, error) {
	body, err := json.Marshal(u)
	if err != nil {
		return user{}, err
	}
	return c.do(ctx, http.MethodPost, "/users", bytes.NewReader(body))
}

func (c *byHand) do(ctx context.Context, method, path string, body io.Reader) (u user, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return u, err
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return u, err
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return u, fmt.Errorf("status %s", resp.Status)
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" && !strings.HasSuffix(mediaType, "+json") {
		return u, fmt.Errorf("content type %q", resp.Header.Get("Content-Type"))
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxBytes+1))
	if err != nil {
		return u, err
	}
	if len(data) > maxBytes {
		return u, errors.New("the response is too large")
	}
	err = json.Unmarshal(data, &u)
	return u, err
}

func call(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		get := gateway.NewEndpoint[string, user](newGateway(b), "GET /users/{name}", gateway.EndpointConfig{})
		mustGet(b, get.Call)
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := get.Call(ctx, "ada"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("nethttp", func(b *testing.B) {
		c := newByHand()
		mustGet(b, c.user)
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.user(ctx, "ada"); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		client, ctx := &http.Client{Transport: instant{}}, b.Context()
		b.ReportAllocs()
		for b.Loop() {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, baseURL+"/users/ada", nil)
			if err != nil {
				b.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
}

func callPar(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		get := gateway.NewEndpoint[string, user](newGateway(b), "GET /users/{name}", gateway.EndpointConfig{})
		mustGet(b, get.Call)
		ctx := b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := get.Call(ctx, "ada"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("nethttp", func(b *testing.B) {
		c := newByHand()
		mustGet(b, c.user)
		ctx := b.Context()
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.user(ctx, "ada"); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

func callPost(b *testing.B) {
	ada := user{Login: "ada", ID: 17, Email: "ada@api.example", Admin: true}
	b.Run("belay", func(b *testing.B) {
		post := gateway.NewEndpoint[user, user](newGateway(b), "POST /users", gateway.EndpointConfig{})
		if u, err := post.Call(b.Context(), ada); u != ada || err != nil {
			b.Fatalf("got %+v, %v", u, err)
		}
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := post.Call(ctx, ada); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("nethttp", func(b *testing.B) {
		c := newByHand()
		if u, err := c.create(b.Context(), ada); u != ada || err != nil {
			b.Fatalf("got %+v, %v", u, err)
		}
		ctx := b.Context()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.create(ctx, ada); err != nil {
				b.Fatal(err)
			}
		}
	})
}
