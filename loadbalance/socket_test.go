package loadbalance_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/internal/memhttp"
	"github.com/belay-go/belay/loadbalance"
)

// Endpoints that are addresses are asked, in the handshake too, for the host that
// the caller means, and must have a certificate for it.
func TestTransportServerName(t *testing.T) {
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %d", r.Host, r.TLS.ServerName, r.ProtoMajor)
	}))
	srv.EnableHTTP2 = true
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	defer srv.Close()
	addr := srv.Listener.Addr().String()
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	for _, tt := range []struct {
		url            string
		rewrite, http2 bool
		want           string // empty: an error
	}{
		{"https://example.com/", false, false, "example.com example.com 1"},
		{"https://example.com/", false, true, "example.com example.com 2"},
		{"https://example.com:8443/", false, true, "example.com:8443 example.com 2"},
		{"https://example.com/", true, true, addr + "  2"},
		{"https://" + addr + "/", false, true, addr + "  2"},
		{"https://wrong.test/", false, true, ""},
		{"https://wrong.test/", true, true, addr + "  2"},
	} {
		base := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: tt.http2,
			Proxy: func(r *http.Request) (*url.URL, error) { return nil, nil },
		}
		b := hosts(t, "https://"+addr)
		transport := &loadbalance.Transport{Balancer: b, RewriteHost: tt.rewrite, Base: base}
		for range 2 {
			resp, err := transport.RoundTrip(get(t, tt.url))
			if err != nil {
				if tt.want != "" {
					t.Errorf("%+v: %v", tt, err)
				}
				break
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != tt.want {
				t.Errorf("%+v: %q", tt, body)
			}
		}
		transport.CloseIdleConnections()
	}
}

// A dialer of the user's keeps its say.
func TestTransportPinnedDial(t *testing.T) {
	var dialed []string
	refuse := func(_ context.Context, _, addr string) (net.Conn, error) {
		dialed = append(dialed, addr)
		return nil, io.ErrUnexpectedEOF
	}
	proxy := func(*http.Request) (*url.URL, error) {
		t.Error("a proxy would dial the host in the URL")
		return nil, nil
	}
	for _, base := range []*http.Transport{{DialContext: refuse, Proxy: proxy}, {DialTLSContext: refuse, Proxy: proxy}} {
		b := hosts(t, "https://10.0.0.1")
		(&loadbalance.Transport{Balancer: b, Base: base}).RoundTrip(get(t, "https://example.com/"))
	}
	if !slices.Equal(dialed, []string{"10.0.0.1:443", "10.0.0.1:443"}) {
		t.Errorf("dialed %v", dialed)
	}
}

// closing counts connections.
type closing struct {
	net.Conn
	open *atomic.Int64
}

func (c closing) Close() error { c.open.Add(-1); return c.Conn.Close() }

// When an endpoint has left, the bodies under way are read to their ends, and then
// its connections are closed; the others' stay.
func TestTransportDrains(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		srv := memhttp.NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for range 5 {
				io.WriteString(w, "chunk")
			}
		}))
		srv.Fault = func(int, *http.Request) memhttp.Fault { return memhttp.Fault{ChunkDelay: time.Minute} }
		open := map[string]*atomic.Int64{"10.0.0.1:80": {}, "10.0.0.2:80": {}}
		base := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := srv.DialContext(ctx, network, addr)
			open[addr].Add(1)
			return closing{c, open[addr]}, err
		}}
		z := newZone("10.0.0.1", "10.0.0.2")
		b := loadbalance.New(&loadbalance.DNS{URL: "http://orders", Lookup: z.lookup}, loadbalance.Config{})
		transport := &loadbalance.Transport{Balancer: b, Base: base}
		begin := time.Now()
		var bodies []io.ReadCloser
		for range 2 {
			resp, err := transport.RoundTrip(get(t, "http://orders/"))
			if err != nil {
				t.Fatal(err)
			}
			bodies = append(bodies, resp.Body)
		}
		z.set(nil, "10.0.0.2")
		time.Sleep(time.Minute)
		if n := len(b.Stats().Endpoints); n != 2 || b.Stats().Endpoints[1].State != loadbalance.Draining {
			t.Errorf("%+v", b.Stats())
		}
		for _, body := range bodies {
			if got, err := io.ReadAll(body); len(got) != 25 || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		if d := time.Since(begin); d < 4*time.Minute {
			t.Errorf("read in %v", d)
		}
		synctest.Wait()
		if a, b := open["10.0.0.1:80"].Load(), open["10.0.0.2:80"].Load(); a != 0 || b != 1 {
			t.Errorf("%d connections to the one that has left, %d to the other", a, b)
		}
		if n := len(b.Stats().Endpoints); n != 1 {
			t.Errorf("%+v", b.Stats())
		}
		b.Close()
		transport.CloseIdleConnections()
	})
}

// An endpoint that moves, but keeps its key, is found where it is.
func TestTransportEndpointMoves(t *testing.T) {
	var dialed []string
	base := &http.Transport{DialContext: func(_ context.Context, _, addr string) (net.Conn, error) {
		dialed = append(dialed, addr)
		return nil, io.ErrUnexpectedEOF
	}}
	addrs := []string{"10.0.0.1", "10.0.0.2"}
	moves := make(chan string)
	b := loadbalance.New(mover(moves), loadbalance.Config{})
	defer b.Close()
	transport := &loadbalance.Transport{Balancer: b, Base: base}
	for _, a := range addrs {
		moves <- a
		moves <- "" // the first has been taken in
		transport.RoundTrip(get(t, "https://example.com/"))
	}
	if !slices.Equal(dialed, []string{"10.0.0.1:443", "10.0.0.2:443"}) {
		t.Errorf("dialed %v", dialed)
	}
}

type mover chan string

func (m mover) Watch(ctx context.Context, set func([]loadbalance.Endpoint[*url.URL], error)) error {
	for {
		select {
		case a := <-m:
			if a != "" {
				set([]loadbalance.Endpoint[*url.URL]{{Key: "it", Value: &url.URL{Scheme: "https", Host: netip.MustParseAddr(a).String()}}}, nil)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A 101 goes through a reverse proxy, and counts as in flight until it ends.
func TestTransportUpgrade(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		io.Copy(conn, rw)
	}))
	defer backend.Close()
	b := hosts(t, backend.URL)
	transport := &loadbalance.Transport{Balancer: b, Base: new(http.Transport)}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "echo"}) },
	})
	defer front.Close()

	conn, err := net.Dial("tcp", front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: echo\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%+v, %v", resp, err)
	}
	for _, word := range []string{"ping\n", "pong\n"} {
		io.WriteString(conn, word)
		if got, err := r.ReadString('\n'); got != word {
			t.Errorf("%q, %v", got, err)
		}
	}
	if n := b.Stats().Endpoints[0].InFlight; n != 1 {
		t.Errorf("%d in flight", n)
	}
	conn.Close()
	for deadline := time.Now().Add(20 * time.Second); b.Stats().Endpoints[0].InFlight > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it stays in flight")
		}
	}
	if f := b.Stats().Endpoints[0].FailureRate; f != 0 {
		t.Errorf("%v failures", f)
	}
	transport.CloseIdleConnections()
}
