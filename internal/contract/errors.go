package contract

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

var errorCases = []testCase{
	{
		name: "errors/unwrap",
		doc:  "errors.Is and errors.As find the base's error in the one that comes back. The wrapper adds no *url.Error; http.Client does that.",
		run:  errorsUnwrap,
	}, {
		name: "errors/timeout",
		doc:  "If the Timeout method of the base's error reports true, so does that of the error that comes back.",
		run:  errorsTimeout,
	}, {
		name: "errors/dial",
		doc:  "If no connection can be made, the error contains a *net.OpError with the system's error in it.",
		run:  errorsDial,
	}, {
		name: "errors/certificate",
		doc:  "If the server's certificate is not trusted, the error contains an x509.UnknownAuthorityError, and the server is asked only once.",
		over: overTLS,
		run:  errorsCertificate,
	}, {
		name: "errors/hopeless-sent-once",
		doc:  "What fails in the same way each time is sent only once: an invalid certificate, and what the caller cancels.",
		run:  errorsHopeless,
	}, {
		name: "errors/no-secrets",
		doc:  "What the wrapper adds to an error's text contains no user, password, query value or header.",
		run:  errorsNoSecrets,
	},
}

// customError is an error type that only this package has.
type customError struct{ code int }

func (e *customError) Error() string { return "custom" }

func errorsUnwrap(c *check) {
	custom := &customError{code: 7}
	for _, want := range []error{
		custom,
		io.EOF,
		io.ErrUnexpectedEOF,
		http.ErrServerClosed,
		http.ErrSkipAltProtocol,
		context.Canceled,
		context.DeadlineExceeded,
		syscall.ECONNRESET,
		syscall.EPIPE,
		net.ErrClosed,
		os.ErrDeadlineExceeded,
		tls.AlertError(40),
	} {
		for _, method := range []string{"GET", "POST"} {
			rt, _ := c.stubbed(func(int, *http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: "read", Net: "tcp", Err: want}
			})
			err := c.fails(rt, c.request(method, address+"/resource", nil))
			if !errors.Is(err, want) {
				c.Errorf("%s: the base failed with %v, which is not in %v", method, want, err)
			}
			if _, ok := errors.AsType[*net.OpError](err); !ok {
				c.Errorf("%s: the base failed with a *net.OpError, which is not in %v (a %T)", method, err, err)
			}
			if e, ok := errors.AsType[*url.Error](err); ok {
				c.Errorf("%s: the error holds a *url.Error: %v", method, e)
			}
		}
	}
	rt, _ := c.stubbed(func(int, *http.Request) (*http.Response, error) { return nil, custom })
	err := c.fails(rt, c.post(newSource("content")))
	if e, ok := errors.AsType[*customError](err); !ok || e != custom {
		c.Errorf("the base's error is not in %v (a %T)", err, err)
	}
}

func errorsTimeout(c *check) {
	for _, want := range []error{
		os.ErrDeadlineExceeded,
		&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded},
		&net.DNSError{Err: "no answer", Name: "service.test", IsTimeout: true},
	} {
		for _, method := range []string{"GET", "POST"} {
			rt, _ := c.stubbed(func(int, *http.Request) (*http.Response, error) { return nil, want })
			if err := c.fails(rt, c.request(method, address+"/resource", nil)); !timedOut(err) {
				c.Errorf("%s: %v is a timeout, %v is not", method, want, err)
			}
		}
	}
}

func errorsDial(c *check) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, refused }}
	rt := c.wrap(transport)
	for _, method := range []string{"GET", "POST"} {
		body := newSource("content")
		err := c.fails(rt, c.request(method, address+"/resource", body))
		if !errors.Is(err, syscall.ECONNREFUSED) {
			c.Errorf("%s: %v is not %v", method, err, syscall.ECONNREFUSED)
		}
		if op, ok := errors.AsType[*net.OpError](err); !ok || op.Op != "dial" {
			c.Errorf("%s: there is no *net.OpError of a dial in %v", method, err)
		}
		c.wantClosed(body, "connection refused")
	}
}

func errorsCertificate(c *check) {
	s := c.serve(func(http.ResponseWriter, *http.Request) {})
	transport := &http.Transport{} // knows nothing of the server's certificate
	base := &stub{answer: func(_ int, r *http.Request) (*http.Response, error) { return transport.RoundTrip(r) }}
	err := c.fails(c.wrap(base), c.request("GET", s.url, nil))
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); !ok {
		c.Errorf("there is no x509.UnknownAuthorityError in %v", err)
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		c.Errorf("there is no *tls.CertificateVerificationError in %v", err)
	}
	if n := base.calls.Load(); n != 1 {
		c.Errorf("the server was asked %d times", n)
	}
}

func errorsHopeless(c *check) {
	for _, want := range []error{
		x509.UnknownAuthorityError{},
		x509.HostnameError{Certificate: &x509.Certificate{}, Host: "service.test"},
		x509.CertificateInvalidError{Reason: x509.Expired},
		&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
	} {
		rt, s := c.stubbed(func(int, *http.Request) (*http.Response, error) { return nil, want })
		c.fails(rt, c.get())
		if n := s.calls.Load(); n != 1 {
			c.Errorf("after %T the base was called %d times", want, n)
		}
	}
	// The caller's context ends while the base works, whatever the base makes
	// of it: drivers turn it into strings.
	for _, failure := range []error{context.Canceled, errors.New("request canceled")} {
		ctx, cancel := context.WithCancel(c.Context())
		rt, s := c.stubbed(func(int, *http.Request) (*http.Response, error) {
			cancel()
			return nil, failure
		})
		c.fails(rt, c.requestWith(ctx, "GET", address+"/resource", nil))
		if n := s.calls.Load(); n != 1 {
			c.Errorf("after the caller's cancellation (%v) the base was called %d times", failure, n)
		}
		cancel()
	}
}

func errorsNoSecrets(c *check) {
	const secret = "s3cr3t"
	for _, method := range []string{"GET", "POST"} {
		rt, _ := c.stubbed(func(int, *http.Request) (*http.Response, error) { return nil, errors.New("connection reset") })
		req := c.request(method, "http://s3cr3t-user:s3cr3t-word@service.test/path?token=s3cr3t-query", nil)
		req.Header.Set("Authorization", "Bearer s3cr3t-header")
		req.Header.Set("Cookie", "a=s3cr3t-cookie")
		if err := c.fails(rt, req); strings.Contains(err.Error(), secret) {
			c.Errorf("%s: the error's text gives secrets away: %v", method, err)
		}
	}
}
