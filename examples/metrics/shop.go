package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A shop is a backend with two instances, a and b. It is a RoundTripper, in place of a
// network, so that a run can be repeated exactly.
type shop struct {
	mu   sync.Mutex
	down string // the instances that are down, like "ab"
}

func newShop() *shop { return new(shop) }

// fail says which instances are down from now on.
func (s *shop) fail(down string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *shop) isDown(host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.down, host[:1])
}

// RoundTrip answers as the instance in the URL would.
func (s *shop) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		req.Body.Close()
	}
	wait := time.NewTimer(20 * time.Millisecond)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	if s.isDown(req.URL.Host) {
		return answer(req, http.StatusServiceUnavailable, "")
	}
	switch {
	case strings.HasSuffix(req.URL.Path, "/reviews"):
		return answer(req, http.StatusOK, `[{"stars": 5}]`)
	case strings.HasPrefix(req.URL.Path, "/products/"):
		return answer(req, http.StatusOK, `{"name": "Green tea"}`)
	}
	return answer(req, http.StatusNotFound, "")
}

func answer(req *http.Request, status int, body string) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}}
	if strings.HasSuffix(req.URL.Path, "/reviews") {
		header.Set("Cache-Control", "max-age=1, stale-if-error=0")
	}
	return &http.Response{
		Status: fmt.Sprint(status, " ", http.StatusText(status)), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: req,
	}, nil
}
