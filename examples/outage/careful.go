package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// careful is the client that a careful engineer writes without a toolkit: an attempt has less time than the call, and
// reads the body, too; what failed is tried again after a back-off with jitter, three attempts in all.
type careful struct {
	Base http.RoundTripper
}

const (
	attempts       = 3
	attemptTimeout = 400 * time.Millisecond // twenty times what a good server needs
	firstDelay     = 50 * time.Millisecond
	maxAnswer      = 10 << 20
)

func carefulStack(base http.RoundTripper, targets []*url.URL) stack {
	return stack{
		name:      "careful",
		layers:    "http.Client -> three attempts, each with a timeout, with back-off and jitter -> round robin -> http.Transport",
		transport: &careful{Base: &roundRobin{Base: base, Targets: targets}},
	}
}

var errStatus = errors.New("a status that may be better next time")

func (c *careful) RoundTrip(req *http.Request) (*http.Response, error) {
	var resp *http.Response
	err := backoff.Retry(func() (err error) {
		resp, err = c.attempt(req) // only GET comes here, so there is no body to send again
		switch {
		case req.Context().Err() != nil:
			return backoff.Permanent(req.Context().Err())
		case err == nil && resp.StatusCode >= 500:
			return errStatus
		}
		return err
	}, backoff.WithContext(backoff.WithMaxRetries(backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstDelay)), attempts-1), req.Context()))
	if resp != nil { // the last one, good or bad
		return resp, nil
	}
	return nil, err
}

// attempt sends the request and reads its whole response.
func (c *careful) attempt(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), attemptTimeout)
	defer cancel()
	resp, err := c.Base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, err
	}
	resp.Request, resp.Body = req, io.NopCloser(bytes.NewReader(body))
	return resp, nil
}
