package loadbalance_test

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// instance is a server on a socket that can be killed, slowed and restarted.
type instance struct {
	addr  string
	slow  atomic.Int64
	count atomic.Int64
	srv   *http.Server
}

func (i *instance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.count.Add(1)
	select {
	case <-time.After(time.Duration(i.slow.Load())):
	case <-r.Context().Done():
	}
	io.WriteString(w, r.Host)
}

func (i *instance) start(t *testing.T) {
	t.Helper()
	var l net.Listener
	var err error
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if l, err = net.Listen("tcp", i.addr); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	i.addr = l.Addr().String()
	i.srv = &http.Server{Handler: i, ErrorLog: log.New(io.Discard, "", 0)}
	go i.srv.Serve(l)
}

// Three instances behind a reverse proxy: one is slowed, one is killed and comes
// back at the same address.
func TestReverseProxy(t *testing.T) {
	var instances [3]*instance
	var set []loadbalance.Endpoint[*url.URL]
	for i := range instances {
		instances[i] = &instance{addr: "127.0.0.1:0"}
		instances[i].start(t)
		defer func() { instances[i].srv.Close() }()
		set = append(set, loadbalance.Endpoint[*url.URL]{Key: strconv.Itoa(i), Value: &url.URL{Scheme: "http", Host: instances[i].addr}})
	}
	b := loadbalance.New(loadbalance.Static(set...), loadbalance.Config{EjectAfter: 3, EjectFor: 20 * time.Millisecond, MaxEjectFor: 40 * time.Millisecond, SlowStart: time.Millisecond})
	base := &http.Transport{MaxIdleConnsPerHost: 16}
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Transport: &loadbalance.Transport{Balancer: b, Base: base},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: "orders"})
			r.Out.Host = r.In.Host
		},
		ErrorLog: log.New(io.Discard, "", 0),
	})
	front.Start()
	defer front.Close()
	defer base.CloseIdleConnections()

	// run sends requests, four at a time, and returns how many failed.
	run := func(n int) (bad int64) {
		var failures atomic.Int64
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range n / 4 {
					req := get(t, front.URL)
					req.Host = "shop.example"
					resp, err := front.Client().Do(req)
					if err != nil {
						failures.Add(1)
						continue
					}
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 200 {
						failures.Add(1)
					} else if string(body) != "shop.example" {
						t.Errorf("%s", body)
					}
				}
			})
		}
		wg.Wait()
		return failures.Load()
	}
	reset := func() {
		for _, i := range instances {
			i.count.Store(0)
		}
	}

	if bad := run(200); bad > 0 {
		t.Errorf("all are well, %d fail", bad)
	}
	reset()
	instances[1].slow.Store(int64(100 * time.Millisecond))
	if bad := run(400); bad > 0 || instances[1].count.Load() > 60 {
		t.Errorf("one is slow: %d fail, it has %d of 400", bad, instances[1].count.Load())
	}
	instances[1].slow.Store(0)

	instances[0].srv.Close()
	if bad := run(400); bad > 60 {
		t.Errorf("one is killed: %d of 400 fail", bad)
	}
	instances[0].start(t)
	reset()
	for deadline := time.Now().Add(20 * time.Second); instances[0].count.Load() < 5; time.Sleep(5 * time.Millisecond) {
		run(20)
		if time.Now().After(deadline) {
			t.Fatalf("the one that is back has %d requests: %+v", instances[0].count.Load(), b.Stats())
		}
	}
	for _, e := range b.Stats().Endpoints {
		if e.InFlight != 0 {
			t.Errorf("%+v", e)
		}
	}
}
