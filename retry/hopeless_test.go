package retry_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/belay-go/belay/retry"
)

// raw listens on a socket, reads a request's head and answers with text, if there
// is one, before it closes the connection.
func raw(t *testing.T, text string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Read(make([]byte, 4096))
			io.WriteString(conn, text)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

// secure is a server over TLS.
func secure(t *testing.T, cfg *tls.Config, http2 bool, h http.HandlerFunc) (url string, trusting *tls.Config) {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.TLS, srv.EnableHTTP2 = cfg, http2
	srv.StartTLS()
	t.Cleanup(srv.Close)
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return srv.URL, &tls.Config{RootCAs: pool}
}

// TestHopeless is the table of what net/http's Transport returns over real sockets.
// What no attempt can mend is sent once, and comes back as it is.
func TestHopeless(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // an answer before the end of the body would be in a race with it
		<-r.Context().Done()
	}))
	t.Cleanup(plain.Close)
	dead := raw(t, "")
	request := func(edit func(*http.Request)) func(*testing.T) (*http.Request, *http.Transport) {
		return func(t *testing.T) (*http.Request, *http.Transport) {
			req, err := http.NewRequestWithContext(t.Context(), "PUT", plain.URL, strings.NewReader("content"))
			if err != nil {
				t.Fatal(err)
			}
			edit(req)
			return req, &http.Transport{}
		}
	}
	get := func(url string, base *http.Transport) (*http.Request, *http.Transport) {
		req, err := http.NewRequest("GET", url, nil)
		if err != nil {
			panic(err)
		}
		return req, base
	}
	big := func(w http.ResponseWriter, r *http.Request) {
		for range 12 {
			w.Header().Add("X-Big", strings.Repeat("x", 80))
		}
	}
	for _, tt := range []struct {
		name string
		make func(*testing.T) (*http.Request, *http.Transport)
		sent int
		text string
	}{
		{"HTTP at an HTTPS URL", func(*testing.T) (*http.Request, *http.Transport) {
			return get(strings.Replace(plain.URL, "http:", "https:", 1), &http.Transport{})
		}, 1, "server gave HTTP response to HTTPS client"},
		{"no TLS at an HTTPS URL", func(t *testing.T) (*http.Request, *http.Transport) {
			return get("https://"+raw(t, "220 mail.test ESMTP\r\n"), &http.Transport{})
		}, 1, "does not look like a TLS handshake"},
		{"unknown authority", func(t *testing.T) (*http.Request, *http.Transport) {
			u, _ := secure(t, nil, false, nil)
			return get(u, &http.Transport{})
		}, 1, "unknown authority"},
		{"certificate of another host", func(t *testing.T) (*http.Request, *http.Transport) {
			u, cfg := secure(t, nil, false, nil)
			cfg.ServerName = "other.test"
			return get(u, &http.Transport{TLSClientConfig: cfg})
		}, 1, "not other.test"},
		{"client certificate required, TLS 1.2", func(t *testing.T) (*http.Request, *http.Transport) {
			u, cfg := secure(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}, false, nil)
			return get(u, &http.Transport{TLSClientConfig: cfg})
		}, 1, "remote error"},
		{"client certificate required, TLS 1.3", func(t *testing.T) (*http.Request, *http.Transport) {
			u, cfg := secure(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert}, false, nil)
			return get(u, &http.Transport{TLSClientConfig: cfg})
		}, 1, "remote error"},
		{"TLS version", func(t *testing.T) (*http.Request, *http.Transport) {
			u, cfg := secure(t, &tls.Config{MinVersion: tls.VersionTLS13}, false, nil)
			cfg.MaxVersion = tls.VersionTLS12
			return get(u, &http.Transport{TLSClientConfig: cfg})
		}, 1, "protocol version not supported"},
		{"the proxy wants credentials", proxied("407 Proxy Authentication Required"), 1, "Proxy Authentication Required"},
		{"the proxy forbids it", proxied("403 Forbidden"), 1, "Forbidden"},
		{"the proxy has no way to the host", proxied("502 Bad Gateway"), 3, "Bad Gateway"},
		{"the proxy has enough requests", proxied("429 Too Many Requests"), 3, "Too Many Requests"},
		{"malformed answer", func(t *testing.T) (*http.Request, *http.Transport) {
			return get("http://"+raw(t, "SSH-2.0-OpenSSH_9.6\r\n"), &http.Transport{})
		}, 1, "malformed HTTP response"},
		{"malformed status", func(t *testing.T) (*http.Request, *http.Transport) {
			return get("http://"+raw(t, "HTTP/1.1 two hundred\r\n\r\n"), &http.Transport{})
		}, 1, "malformed HTTP status code"},
		{"malformed header", func(t *testing.T) (*http.Request, *http.Transport) {
			return get("http://"+raw(t, "HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), &http.Transport{})
		}, 1, "malformed MIME header"},
		{"invalid port", func(*testing.T) (*http.Request, *http.Transport) {
			return get("http://127.0.0.1:99999/", &http.Transport{})
		}, 1, "invalid port"},
		{"ContentLength too small", request(func(r *http.Request) { r.ContentLength = 3 }), 1, "http: ContentLength=3 with Body length"},
		{"ContentLength too large", request(func(r *http.Request) { r.ContentLength = 20 }), 1, "http: ContentLength=20 with Body length"},
		{"ContentLength without a body", request(func(r *http.Request) { r.Body, r.GetBody = nil, nil }), 1, "with nil Body"},
		{"response header too large", func(t *testing.T) (*http.Request, *http.Transport) {
			srv := httptest.NewServer(http.HandlerFunc(big))
			t.Cleanup(srv.Close)
			return get(srv.URL, &http.Transport{MaxResponseHeaderBytes: 1000})
		}, 1, "server response headers exceeded"},
		{"response header too large, HTTP/2", func(t *testing.T) (*http.Request, *http.Transport) {
			u, cfg := secure(t, nil, true, big)
			return get(u, &http.Transport{TLSClientConfig: cfg, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 1000})
		}, 1, "response header list larger than"},
		{"invalid header name", request(func(r *http.Request) { r.Header["X\n"] = []string{""} }), 1, "invalid header field name"},
		{"invalid header value", request(func(r *http.Request) { r.Header["X"] = []string{"a\nb"} }), 1, "invalid header field value"},
		{"invalid trailer", request(func(r *http.Request) { r.Trailer = http.Header{"X\n": {""}} }), 1, "invalid trailer"},
		{"invalid method", request(func(r *http.Request) { r.Method = "P T"; r.Header.Set("Idempotency-Key", "1") }), 1, "invalid method"},
		{"scheme", request(func(r *http.Request) { r.URL.Scheme = "ftp" }), 1, "unsupported protocol scheme"},
		{"no host", request(func(r *http.Request) { r.URL.Host = "" }), 1, "no Host in request URL"},
		{"no URL", request(func(r *http.Request) { r.URL = nil }), 1, "nil Request.URL"},

		{"closed without an answer", func(*testing.T) (*http.Request, *http.Transport) {
			return get("http://"+dead, &http.Transport{})
		}, 3, "EOF"},
		{"refused connection", func(t *testing.T) (*http.Request, *http.Transport) {
			srv := httptest.NewServer(nil)
			srv.Close()
			return get(srv.URL, &http.Transport{})
		}, 3, "connection refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req, base := tt.make(t)
			defer base.CloseIdleConnections()
			sent := 0
			rt := &retry.Transport{
				Base: roundTrip(func(r *http.Request) (*http.Response, error) {
					sent++
					return base.RoundTrip(r)
				}),
				Policy: retry.New(retry.Config{Schedule: retry.Constant(0)}),
			}
			resp, err := rt.RoundTrip(req)
			if err == nil {
				t.Fatalf("response %v", resp.Status)
			}
			_, typed := errors.AsType[*retry.Error](err)
			if sent != tt.sent || typed != (tt.sent > 1) || !strings.Contains(err.Error()+explain(err), tt.text) {
				t.Errorf("sent %d times, error %T %v; want %d times, %q", sent, err, err, tt.sent, tt.text)
			}
		})
	}
}

// explain is what http.Client makes of an error.
func explain(err error) string {
	if e, ok := err.(tls.RecordHeaderError); ok && string(e.RecordHeader[:]) == "HTTP/" {
		return http.ErrSchemeMismatch.Error()
	}
	return ""
}

// proxied asks for an HTTPS URL through a proxy that answers CONNECT with status.
func proxied(status string) func(*testing.T) (*http.Request, *http.Transport) {
	return func(t *testing.T) (*http.Request, *http.Transport) {
		proxy := &url.URL{Scheme: "http", Host: raw(t, fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n", status))}
		req, err := http.NewRequest("GET", "https://a.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		return req, &http.Transport{Proxy: http.ProxyURL(proxy)}
	}
}

// http.Client looks at an error itself, not at what it wraps.
func TestClientFindsTheSchemeMismatch(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	defer srv.Close()
	client := &http.Client{Transport: &retry.Transport{Base: &http.Transport{}}}
	_, err := client.Get(strings.Replace(srv.URL, "http:", "https:", 1))
	if !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("error %v, want %v", err, http.ErrSchemeMismatch)
	}
}
