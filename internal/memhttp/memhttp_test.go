package memhttp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// both runs a test in a bubble for each protocol.
func both(t *testing.T, test func(t *testing.T, client func(*Server) *http.Client, proto int)) {
	for proto := 1; proto <= 2; proto++ {
		t.Run(fmt.Sprintf("HTTP%d", proto), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test(t, func(s *Server) *http.Client {
					if proto == 2 {
						return &http.Client{Transport: HTTP2(s.Transport())}
					}
					return &http.Client{Transport: s.Transport()}
				}, proto)
			})
		})
	}
}

var hello = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello %s", r.Host) })

// get returns what the client sees of a GET: the status (0 without a response), the body and the first error.
func get(t *testing.T, client *http.Client, url string) (int, string, error) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), err
}

func TestRoundTrip(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, proto int) {
		srv := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil || r.ProtoMajor != proto {
				t.Errorf("protocol %d, body error %v", r.ProtoMajor, err)
			}
			if host, port, err := net.SplitHostPort(r.RemoteAddr); err != nil || net.ParseIP(host) == nil || port == "" {
				t.Errorf("RemoteAddr %q", r.RemoteAddr)
			}
			w.Header().Set("Method", r.Method)
			w.WriteHeader(http.StatusCreated)
			w.Write(body)
		}))
		sent := strings.Repeat("0123456789", 100_000) // more than a connection buffers
		resp, err := client(srv).Post(srv.URL()+"/x", "text/plain", strings.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		if err != nil || string(got) != sent || resp.StatusCode != http.StatusCreated || resp.ProtoMajor != proto ||
			resp.Header.Get("Method") != http.MethodPost {
			t.Errorf("%d bytes, %v, %v, HTTP/%d, %v", len(got), err, resp.Status, resp.ProtoMajor, resp.Header)
		}
	})
}

func TestStreamingAndTrailers(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		srv := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).EnableFullDuplex()
			w.Header().Set("Trailer", "Sum")
			line := bufio.NewScanner(r.Body)
			for n := 0; line.Scan(); n++ {
				time.Sleep(time.Second)
				fmt.Fprintln(w, line.Text())
				w.(http.Flusher).Flush()
			}
			w.Header().Set("Sum", r.Trailer.Get("Count"))
		}))
		body, feed := io.Pipe()
		req, _ := http.NewRequest("POST", srv.URL(), body)
		req.Trailer = http.Header{"Count": nil}
		go func() {
			for n := range 3 {
				fmt.Fprintln(feed, n)
				time.Sleep(10 * time.Second)
			}
			req.Trailer.Set("Count", "3")
			feed.Close()
		}()
		start := time.Now()
		resp, err := client(srv).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for n := range 3 {
			if !lines.Scan() || lines.Text() != fmt.Sprint(n) || time.Since(start) != time.Duration(10*n+1)*time.Second {
				t.Errorf("line %d: %q after %v, %v", n, lines.Text(), time.Since(start), lines.Err())
			}
		}
		if lines.Scan() || lines.Err() != nil || resp.Trailer.Get("Sum") != "3" {
			t.Errorf("end: %q, %v, trailer %v", lines.Text(), lines.Err(), resp.Trailer)
		}
	})
}

func TestUpgrade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			go func() { // outlives the handler, and ends with the server
				rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				rw.Flush()
				io.Copy(conn, rw)
			}()
		}))
		srv.Fault = Sequence(Fault{ChunkDelay: time.Second}) // a faulty writer can be hijacked too
		req, _ := http.NewRequest("GET", srv.URL(), nil)
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "echo")
		resp, err := srv.Transport().RoundTrip(req)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp, err)
		}
		rwc := resp.Body.(io.ReadWriteCloser)
		for _, word := range []string{"ping", "pong"} {
			io.WriteString(rwc, word)
			got := make([]byte, 4)
			if _, err := io.ReadFull(rwc, got); err != nil || string(got) != word {
				t.Errorf("%q, %v", got, err)
			}
			time.Sleep(time.Hour)
		}
		srv.Close()
		if n, err := rwc.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after Close: %d, %v", n, err)
		}
	})
}

func TestDelays(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		srv := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			for n := range 3 {
				fmt.Fprint(w, n)
			}
		}))
		srv.ConnFault = func(n int) ConnFault { return ConnFault{Dial: time.Second, Accept: 10 * time.Second} }
		srv.Fault = Sequence(Fault{}, Fault{Delay: time.Minute}, Fault{ChunkDelay: time.Hour}, Fault{ReadDelay: time.Second})
		c := client(srv)
		for _, want := range []struct {
			what                 string
			method, body         string
			headers, first, last time.Duration
		}{
			{"dial and accept", "GET", "", 11 * time.Second, 11 * time.Second, 11 * time.Second},
			{"headers", "GET", "", time.Minute, time.Minute, time.Minute},
			{"chunks", "GET", "", 0, 0, 2 * time.Hour},
			{"request body", "POST", strings.Repeat("x", 10<<10), 11 * time.Second, 11 * time.Second, 11 * time.Second},
			{"none", "GET", "", 0, 0, 0},
		} {
			start := time.Now()
			req, _ := http.NewRequest(want.method, srv.URL(), strings.NewReader(want.body))
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			headers := time.Since(start)
			io.ReadFull(resp.Body, make([]byte, 1))
			first := time.Since(start)
			rest, err := io.ReadAll(resp.Body)
			if last := time.Since(start); err != nil || string(rest) != "12" || headers != want.headers || first != want.first || last != want.last {
				t.Errorf("%s: %v %v %v, %q, %v", want.what, headers, first, last, rest, err)
			}
			resp.Body.Close()
		}
	})
}

// seen says which of the errors that matter a client saw.
func seen(err error) string {
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case err == nil:
		return "none"
	case isOp && errors.Is(op, syscall.ECONNRESET):
		return "reset in " + op.Op
	case isOp && errors.Is(op, syscall.ECONNREFUSED):
		return "refused in " + op.Op
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	case errors.Is(err, io.EOF):
		return "EOF"
	}
	return err.Error()
}

func TestCuts(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"one write": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "0123456789") },
		"many writes": func(w http.ResponseWriter, r *http.Request) {
			for n := range 10 {
				fmt.Fprint(w, n)
				http.NewResponseController(w).Flush()
			}
		},
		"known length": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			w.WriteHeader(200)
			io.WriteString(w, "0123456789")
		},
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, client func(*Server) *http.Client, proto int) {
				eof := map[int]string{1: "EOF", 2: "unexpected EOF"}[proto]
				for _, want := range []struct {
					fault  Fault
					status int
					body   string
					err    string
				}{
					{Fault{Reset: BeforeHeaders}, 0, "", "reset in read"},
					{Fault{Reset: AfterHeaders}, 200, "", "reset in read"},
					{Fault{Reset: AfterBody(0)}, 200, "", "reset in read"},
					{Fault{Reset: AfterBody(1)}, 200, "0", "reset in read"},
					{Fault{Reset: AfterBody(9)}, 200, "012345678", "reset in read"},
					{Fault{Truncate: BeforeHeaders}, 0, "", eof},
					{Fault{Truncate: AfterHeaders}, 200, "", "unexpected EOF"},
					{Fault{Truncate: AfterBody(4)}, 200, "0123", "unexpected EOF"},
					{Fault{Truncate: AfterBody(4), ChunkDelay: time.Hour, Delay: time.Hour}, 200, "0123", "unexpected EOF"},
					{Fault{Status: 502, Body: "bad gateway", Truncate: AfterBody(3)}, 502, "bad", "unexpected EOF"},
					{Fault{}, 200, "0123456789", "none"},
				} {
					srv := NewServer(t, handler)
					srv.Fault = Sequence(want.fault)
					status, body, err := get(t, client(srv), srv.URL())
					if status != want.status || body != want.body || seen(err) != want.err {
						t.Errorf("%+v: %d, %q, %v (%T)", want.fault, status, body, seen(err), err)
					}
				}
			})
		})
	}
}

// net/http sends a GET again when its reused connection was reset before the answer: the server sees it twice.
func TestTransportRepeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(t, hello)
		srv.Fault = Sequence(Fault{}, Fault{Reset: BeforeHeaders}, Fault{Status: 418})
		c := &http.Client{Transport: srv.Transport()}
		for _, want := range []int{200, 418} {
			if status, _, err := get(t, c, srv.URL()); status != want || err != nil {
				t.Errorf("%d, %v; want %d", status, err, want)
			}
		}
	})
}

func TestResetConns(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		srv := NewServer(t, hello)
		srv.Fault = Sequence(Fault{Delay: time.Hour}, Fault{Delay: time.Hour})
		c := client(srv)
		time.AfterFunc(time.Second, srv.ResetConns)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if _, _, err := get(t, c, srv.URL()); seen(err) != "reset in read" {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if status, _, err := get(t, c, srv.URL()); status != 200 || err != nil {
			t.Errorf("afterwards: %d, %v", status, err)
		}
	})
}

// A handler that blocks does not keep the cut from the client.
func TestCutAtOnce(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		srv := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/header":
				w.WriteHeader(404)
			case "/flush":
				w.(http.Flusher).Flush()
			case "/body":
				io.WriteString(w, "01234")
			}
			<-r.Context().Done()
		}))
		srv.Fault = Sequence(Fault{Reset: AfterHeaders}, Fault{Reset: AfterHeaders}, Fault{Reset: AfterBody(5)})
		c := client(srv)
		c.Timeout = time.Minute
		for _, want := range []struct {
			path   string
			status int
			body   string
		}{{"/header", 404, ""}, {"/flush", 200, ""}, {"/body", 200, "01234"}} {
			if status, body, err := get(t, c, srv.URL()+want.path); status != want.status || body != want.body || seen(err) != "reset in read" {
				t.Errorf("%s: %d, %q, %v", want.path, status, body, err)
			}
		}
	})
}

// A response that ends before its cut is cut at its end.
func TestCutAtEnd(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		srv := NewServer(t, hello)
		srv.Fault = Sequence(Fault{Reset: AfterBody(1000)})
		if status, body, err := get(t, client(srv), "http://x"); status != 200 || body != "hello x" || seen(err) != "reset in read" {
			t.Errorf("%d, %q, %v", status, body, err)
		}
	})
}

func TestStatuses(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		srv := NewServer(t, hello)
		srv.Fault = Sequence(Fault{Status: 503, Header: http.Header{"Retry-After": {"7"}}}, Fault{Status: 429, Body: "later"}, Fault{})
		c := client(srv)
		for n, want := range []struct {
			status      int
			body, after string
		}{{503, "", "7"}, {429, "later", ""}, {200, "hello a", ""}, {200, "hello a", ""}} {
			resp, err := c.Get("http://a")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil || resp.StatusCode != want.status || string(body) != want.body || resp.Header.Get("Retry-After") != want.after {
				t.Errorf("%d: %v, %q, %v, %v", n, resp.Status, body, resp.Header, err)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		srv := NewServer(t, hello)
		srv.Fault = Statuses(503, 0, 404)
		c := &http.Client{Transport: srv.Transport()}
		for n, want := range []int{503, 200, 404, 200} {
			if status, _, err := get(t, c, srv.URL()); status != want || err != nil {
				t.Errorf("%d: %d, %v", n, status, err)
			}
		}
	})
}

func TestRefusedDial(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		srv := NewServer(t, hello)
		srv.ConnFault = func(n int) ConnFault { return ConnFault{Refused: n == 0, Dial: time.Duration(n) * time.Hour} }
		c := client(srv)
		if _, _, err := get(t, c, srv.URL()); seen(err) != "refused in dial" {
			t.Errorf("refused: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL(), nil)
		start := time.Now()
		_, err := c.Do(req)
		if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() || time.Since(start) != time.Minute {
			t.Errorf("dial timeout: %v after %v", err, time.Since(start))
		}
		if _, err := srv.DialContext(ctx, "tcp", "any"); !errors.Is(err, context.DeadlineExceeded) || !err.(*net.OpError).Timeout() {
			t.Errorf("late dial: %v", err)
		}
		srv.Close()
		if _, _, err := get(t, c, srv.URL()); seen(err) != "refused in dial" {
			t.Errorf("closed: %v", err)
		}
	})
}

func TestClientGivesUp(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		called, ended := 0, 0
		srv := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			called++
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			ended++
		}))
		srv.Fault = Sequence(Fault{Delay: time.Hour})
		c := client(srv)
		c.Timeout = time.Second
		for _, where := range []string{"Get", "read"} { // waits for the headers, then for the body
			start := time.Now()
			_, _, err := get(t, c, srv.URL())
			if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() || time.Since(start) != time.Second {
				t.Errorf("%s: %v after %v", where, err, time.Since(start))
			}
			synctest.Wait()
		}
		if called != 1 || ended != 1 {
			t.Errorf("handler called %d times, ended %d times", called, ended)
		}
	})
}

func TestKeepAlive(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, proto int) {
		srv := NewServer(t, hello)
		c := client(srv)
		reused := 0
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				reused++
			}
		}})
		do := func() {
			t.Helper()
			req, _ := http.NewRequestWithContext(ctx, "GET", srv.URL(), nil)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			time.Sleep(time.Minute)
		}
		for range 5 {
			do()
		}
		if srv.dials != 1 || reused != 4 {
			t.Errorf("%d dials, %d reused", srv.dials, reused)
		}
		srv.ResetConns()
		synctest.Wait()
		do()
		if srv.dials != 2 || reused != 4 {
			t.Errorf("after ResetConns: %d dials, %d reused", srv.dials, reused)
		}
		c.CloseIdleConnections()
		synctest.Wait()
		if len(srv.conns) != 0 {
			t.Errorf("%d connections left", len(srv.conns))
		}
	})
}

func TestNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := func(s string) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, s, " as ", r.Host) })
		}
		network := Network{"a": NewServer(t, name("A")), "b.test": NewServer(t, name("B"))}
		for _, tr := range []*http.Transport{network.Transport(), HTTP2(network.Transport())} {
			c := &http.Client{Transport: tr}
			for url, want := range map[string]string{"http://a": "A as a", "http://a:8080": "A as a:8080", "http://b.test/x": "B as b.test"} {
				if _, body, err := get(t, c, url); err != nil || body != want {
					t.Errorf("%s: %q, %v", url, body, err)
				}
			}
			_, _, err := get(t, c, "http://c")
			if dns, ok := errors.AsType[*net.DNSError](err); !ok || !dns.IsNotFound || dns.Name != "c" {
				t.Errorf("unknown host: %v", err)
			}
		}
	})
}

func TestConcurrent(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		srv := NewServer(t, hello)
		srv.Fault = func(n int, r *http.Request) Fault {
			switch n % 4 {
			case 0:
				return Fault{Delay: time.Duration(n) * time.Millisecond}
			case 1:
				return Fault{Status: 503}
			case 2:
				return Fault{ChunkDelay: time.Second}
			}
			return Fault{}
		}
		c := client(srv)
		var (
			wg     sync.WaitGroup
			mu     sync.Mutex
			counts = map[int]int{}
		)
		for n := range 100 {
			wg.Go(func() {
				host := fmt.Sprintf("h%d", n%10)
				status, body, err := get(t, c, "http://"+host)
				if err != nil || status == 200 && body != "hello "+host {
					t.Errorf("%d: %d, %q, %v", n, status, body, err)
				}
				mu.Lock()
				defer mu.Unlock()
				counts[status]++
			})
		}
		wg.Wait()
		if counts[200] != 75 || counts[503] != 25 {
			t.Error(counts)
		}
	})
}

// Close ends everything that is under way: the bubble would report what it left behind.
func TestClose(t *testing.T) {
	both(t, func(t *testing.T, client func(*Server) *http.Client, _ int) {
		var ended sync.WaitGroup
		srv := NewServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ended.Add(1)
			defer ended.Done()
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			time.Sleep(time.Minute) // Close waits for that
		}))
		srv.Fault = Sequence(Fault{Delay: time.Hour})
		var wait time.Duration
		srv.ConnFault = func(n int) ConnFault { return ConnFault{Accept: wait} }
		var wg sync.WaitGroup
		for n := range 2 {
			wait = time.Duration(n) * time.Hour // the second client's connections are not accepted in time
			c := client(srv)
			for range 3 {
				wg.Go(func() {
					if _, _, err := get(t, c, srv.URL()); err == nil {
						t.Error("no error")
					}
				})
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		start := time.Now()
		wg.Go(srv.Close)
		srv.Close()
		if time.Since(start) != time.Minute {
			t.Errorf("Close took %v", time.Since(start))
		}
		ended.Wait()
		wg.Wait()
		srv.Close()
		if len(srv.conns) != 0 {
			t.Errorf("%d connections left", len(srv.conns))
		}
	})
}

// Outside a bubble it is a server like any other.
func TestOutsideBubble(t *testing.T) {
	before := runtime.NumGoroutine()
	srv := NewServer(t, hello)
	for _, tr := range []*http.Transport{srv.Transport(), HTTP2(srv.Transport())} {
		if _, body, err := get(t, &http.Client{Transport: tr}, "http://x"); err != nil || body != "hello x" {
			t.Errorf("%q, %v", body, err)
		}
	}
	srv.Close()
	for runtime.NumGoroutine() > before { // the clients' goroutines are about to end
		runtime.Gosched()
	}
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pipe(&net.TCPAddr{}, &net.TCPAddr{})
		buf := make([]byte, bufferSize)
		late := func(what string, start time.Time, want time.Duration, err error) {
			t.Helper()
			ne, ok := err.(net.Error)
			if !ok || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != want {
				t.Errorf("%s: %v after %v", what, err, time.Since(start))
			}
		}
		start := time.Now()
		near.SetReadDeadline(start.Add(time.Second))
		_, err := near.Read(buf)
		late("read", start, time.Second, err)
		far.Write([]byte("x"))
		_, err = near.Read(buf)
		late("read after the deadline, data waiting", start, time.Second, err)
		near.SetReadDeadline(time.Time{})
		if n, err := near.Read(buf); n != 1 || err != nil {
			t.Errorf("read without deadline: %d, %v", n, err)
		}

		start = time.Now()
		near.SetWriteDeadline(start.Add(time.Second))
		if n, err := near.Write(buf); n != len(buf) || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		_, err = near.Write(buf)
		late("write into a full buffer", start, time.Second, err)

		start = time.Now()
		near.SetDeadline(start.Add(time.Second))
		near.SetDeadline(start.Add(3 * time.Second)) // replaces the first
		time.AfterFunc(2*time.Second, func() { near.SetReadDeadline(time.Now()) })
		_, err = near.Read(buf)
		late("deadline set while reading", start, 2*time.Second, err)
		_, err = near.Write(buf)
		late("write", start, 3*time.Second, err)
		near.Close()
		_, err = near.Read(buf)
		_, werr := near.Write(buf)
		if !errors.Is(err, net.ErrClosed) || !errors.Is(werr, net.ErrClosed) {
			t.Errorf("closed, and late: %v, %v", err, werr)
		}
	})
}

func TestConnEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		buf := make([]byte, bufferSize)
		for _, want := range []struct {
			what                           string
			end                            func(*conn)
			read, write, ownRead, ownWrite error
		}{
			{"Close", func(c *conn) { c.Close() }, io.EOF, syscall.EPIPE, net.ErrClosed, net.ErrClosed},
			{"reset", (*conn).reset, syscall.ECONNRESET, syscall.ECONNRESET, net.ErrClosed, net.ErrClosed},
			{"CloseWrite", func(c *conn) { c.CloseWrite() }, io.EOF, nil, nil, net.ErrClosed},
		} {
			for _, blocked := range []bool{false, true} {
				near, far := pipe(&net.TCPAddr{}, &net.TCPAddr{})
				var wg sync.WaitGroup
				end := func() {
					far.Write([]byte("last"))
					want.end(far)
				}
				if blocked { // both ends wait when it happens
					time.AfterFunc(time.Second, end)
					near.Write(buf)
					time.AfterFunc(2*time.Second, func() { far.in.read(buf) }) // makes room
				} else {
					end()
				}
				wg.Go(func() {
					if _, err := near.Write([]byte("x")); !errors.Is(err, want.write) {
						t.Errorf("%s, blocked %v: write %v", want.what, blocked, err)
					}
				})
				if got, err := io.ReadAll(io.LimitReader(near, 4)); string(got) != "last" || err != nil {
					t.Errorf("%s, blocked %v: %q, %v", want.what, blocked, got, err)
				}
				if _, err := near.Read(buf); !errors.Is(err, want.read) {
					t.Errorf("%s, blocked %v: read %v", want.what, blocked, err)
				}
				wg.Wait()
				if _, err := far.Read(buf); !errors.Is(err, want.ownRead) {
					t.Errorf("%s, blocked %v: own read %v", want.what, blocked, err)
				}
				if _, err := far.Write(buf); !errors.Is(err, want.ownWrite) {
					t.Errorf("%s, blocked %v: own write %v", want.what, blocked, err)
				}
				near.Close()
				far.Close()
				for _, c := range []*conn{near, far} { // a closed end says so, whatever the other one did
					_, err := c.Read(buf)
					_, werr := c.Write(buf)
					if !errors.Is(err, net.ErrClosed) || !errors.Is(werr, net.ErrClosed) {
						t.Errorf("%s, blocked %v: both closed: %v, %v", want.what, blocked, err, werr)
					}
				}
			}
		}
	})
}
