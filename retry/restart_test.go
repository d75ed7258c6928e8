package retry_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/retry"
)

// door is a listener that outlives its servers: each of them has a view of it.
type door struct {
	net.Listener
	conns chan net.Conn
}

func openDoor(t *testing.T) *door {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{l, make(chan net.Conn)}
	go func() {
		defer close(d.conns)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			d.conns <- conn
		}
	}()
	return d
}

func (d *door) view() net.Listener { return &view{d, make(chan struct{}), sync.Once{}} }

type view struct {
	*door
	closed chan struct{}
	once   sync.Once
}

func (v *view) Accept() (net.Conn, error) {
	select {
	case conn, ok := <-v.conns:
		if ok {
			return conn, nil
		}
	case <-v.closed:
	}
	return nil, net.ErrClosed
}

func (v *view) Close() error { v.once.Do(func() { close(v.closed) }); return nil }

// Servers that are replaced one after the other, as in a deployment, cost no idempotent
// request: neither one that meets a connection at its end, nor one with a body. A server
// of net/http drops a request that it has read when its Shutdown begins, also on a new
// connection. That could be any failure, so it costs budget; here there is enough for all
// callers at once.
func TestGracefulRestartsCostNoRequest(t *testing.T) {
	for name, http2 := range map[string]bool{"http1": false, "h2c": true} {
		t.Run(name, func(t *testing.T) {
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!http2)
			protocols.SetUnencryptedHTTP2(http2)
			d := openDoor(t)
			defer d.Close()
			start := func() *http.Server {
				srv := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(w, r.Body)
				})}
				go srv.Serve(d.view())
				return srv
			}
			const callers = 20
			client := &http.Client{Transport: &retry.Transport{
				Base:   &http.Transport{Protocols: protocols},
				Config: retry.Config{Budget: retry.NewBudget(retry.BudgetConfig{Credit: 20 * callers})},
			}}
			defer client.CloseIdleConnections()
			var over atomic.Bool
			done := make(chan int) // of the caller that has made a few requests more
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					method, body := "GET", ""
					if i%2 == 1 {
						method, body = "PUT", "content"
					}
					for n := 1; !over.Load(); n++ {
						req, _ := http.NewRequest(method, "http://"+d.Addr().String(), strings.NewReader(body))
						resp, err := client.Do(req)
						if err != nil {
							t.Errorf("%s: %v", method, err)
							continue
						}
						got, err := io.ReadAll(resp.Body)
						if resp.Body.Close(); resp.StatusCode != 200 || string(got) != body || err != nil {
							t.Errorf("%s: %s, %q, %v", method, resp.Status, got, err)
						}
						if n%10 == 0 {
							done <- i
						}
					}
				})
			}
			srv := start()
			ctx, cancel := context.WithCancel(context.Background())
			var ended sync.WaitGroup
			for range 15 {
				// No call meets two restarts: that would be one too many for three attempts.
				for seen := map[int]bool{}; len(seen) < callers; {
					seen[<-done] = true
				}
				old, next := srv, start()
				// It may wait for connections that nobody uses.
				ended.Go(func() { old.Shutdown(ctx) })
				srv = next
			}
			over.Store(true)
			go func() {
				wg.Wait()
				close(done)
			}()
			for range done {
			}
			srv.Close()
			cancel()
			ended.Wait()
		})
	}
}
