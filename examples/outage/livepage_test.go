package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// ask sends a request to the page of a program that listens on its default address.
func ask(h http.Handler, method, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader("garbage \x00 %zz"))
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

const localhost = "http://127.0.0.1:8080"

func newPage() (*live, http.Handler) {
	l := &live{board: &board{rate: 50}}
	for _, name := range []string{"plain", "naive", "careful", "belay"} {
		l.columns = append(l.columns, &recentColumn{column: &column{stack: stack{name: name}}})
	}
	return l, l.handler(anyPort)
}

func TestPageHasNothingInline(t *testing.T) {
	_, h := newPage()
	files := map[string]string{"/": "text/html; charset=utf-8", "/live.js": "text/javascript; charset=utf-8",
		"/live.css": "text/css; charset=utf-8", "/style.css": "text/css; charset=utf-8"}
	for path, kind := range files {
		resp := ask(h, http.MethodGet, localhost+path)
		body, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || len(body) == 0 || resp.Header.Get("Content-Type") != kind {
			t.Errorf("%s: status %d, %d bytes of %s", path, resp.StatusCode, len(body), resp.Header.Get("Content-Type"))
		}
		if got := resp.Header.Get("Content-Security-Policy"); got != contentPolicy || strings.Contains(got, "unsafe") {
			t.Errorf("%s: policy %q", path, got)
		}
		if path != "/" {
			continue
		}
		wellFormed(t, string(body))
		if found := regexp.MustCompile(`(?i)<style|style=|<script>|\son[a-z]+=|https?://|NaN|ZgotmplZ`).FindString(string(body)); found != "" {
			t.Errorf("%q in the page", found)
		}
		for _, found := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(string(body), -1) {
			if files["/"+found[1]] == "" {
				t.Errorf("the page needs %q", found[1])
			}
		}
		posts := regexp.MustCompile(`data-post="([^"]*)"`).FindAllStringSubmatch(string(body), -1)
		if want := len(presses)*(len(instances)+1) + 2; len(posts) != want {
			t.Errorf("%d buttons, want %d", len(posts), want)
		}
		for _, post := range posts { // each of them works
			if got := ask(h, http.MethodPost, localhost+"/"+post[1]).StatusCode; got != http.StatusNoContent {
				t.Errorf("POST %s: status %d", post[1], got)
			}
		}
	}
}

func TestRoutes(t *testing.T) {
	for _, c := range []struct {
		method, path string
		want         int
	}{
		{"POST", "/servers/A/hung", 204},
		{"POST", "/servers/all/mend", 204},
		{"POST", "/calls/rush", 204},
		{"GET", "/servers/A/hung", 405},
		{"PUT", "/servers/A/hung", 405},
		{"POST", "/servers/E/hung", 404},
		{"POST", "/servers/a/hung", 404},
		{"POST", "/servers/A/boom", 404},
		{"POST", "/servers/A%2Fhung/hung", 404},
		{"POST", "/servers/A/hung/", 404},
		{"POST", "/servers/%00/%ff", 404},
		{"POST", "/servers//hung", 307},
		{"POST", "/calls/1000000", 404},
		{"POST", "/", 405},
		{"POST", "/events", 405},
		{"POST", "/" + strings.Repeat("x", 5000), 404},
		{"GET", "/live.html", 404},
		{"GET", "/live.go", 404},
		{"GET", "/../main.go", 307},
	} {
		l, h := newPage()
		if got := ask(h, c.method, localhost+c.path).StatusCode; got != c.want {
			t.Errorf("%s %.40s: status %d, want %d", c.method, c.path, got, c.want)
		}
		if faults, rushing := l.board.state(); c.want != 204 && (rushing || faults != [len(instances)]fault{}) {
			t.Errorf("%s %.40s changed something", c.method, c.path)
		}
	}
}

// A stranger's page can press no button, and one whose name resolves to a loopback address reads nothing.
func TestStrangers(t *testing.T) {
	for _, c := range []struct {
		host, origin, site string
		get, post          int
	}{
		{"127.0.0.1:8080", "", "", 200, 204}, // no browser
		{"127.0.0.1:8080", "http://127.0.0.1:8080", "same-origin", 200, 204},
		{"localhost:8080", "http://localhost:8080", "same-origin", 200, 204},
		{"LOCALHOST", "", "", 200, 204},
		{"[::1]:8080", "http://[::1]:8080", "same-origin", 200, 204},
		{"127.0.0.1:8080", "http://evil.example", "cross-site", 200, 403},
		{"127.0.0.1:8080", "http://127.0.0.1:9090", "same-site", 200, 403}, // another program of this machine
		{"127.0.0.1:8080", "http://evil.example", "", 200, 403},            // an old browser
		{"127.0.0.1:8080", "null", "", 200, 403},
		{"evil.example", "http://evil.example", "same-origin", 421, 421}, // rebinding
		{"evil.example:8080", "", "", 421, 421},
		{"localhost.evil.example", "", "", 421, 421},
		{"127.0.0.1.evil.example", "", "", 421, 421},
		{"", "", "", 421, 421},
		{":8080", "", "", 421, 421},
		{"[", "", "", 421, 421},
	} {
		_, h := newPage()
		header := []string{"Host", c.host}
		if c.origin != "" {
			header = append(header, "Origin", c.origin)
		}
		if c.site != "" {
			header = append(header, "Sec-Fetch-Site", c.site)
		}
		if got := ask(h, http.MethodGet, localhost+"/", header...).StatusCode; got != c.get {
			t.Errorf("%+v: GET has status %d", c, got)
		}
		if got := ask(h, http.MethodPost, localhost+"/servers/all/down", header...).StatusCode; got != c.post {
			t.Errorf("%+v: POST has status %d", c, got)
		}
	}
	if isOwn("box.example:8080", "") || !isOwn("box.example:8080", "box.example") {
		t.Error("the name that -listen is given is the only further one")
	}
}

// started is a program at work on real sockets; end is what Ctrl-C does, and returns the exit code.
func started(t *testing.T, args ...string) (url string, end func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	stdout, out := io.Pipe()
	var stderr strings.Builder
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, append([]string{"-live"}, args...), out, &stderr)
		out.Close()
	}()
	first, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%v, %s", err, stderr.String())
	}
	go io.Copy(io.Discard, stdout)
	_, url, _ = strings.Cut(strings.TrimSpace(first), " at ")
	end = sync.OnceValue(func() int { cancel(); return <-code })
	t.Cleanup(func() { end() })
	return url, end
}

// Ctrl-C ends the streams of all viewers, and the program with 0.
func TestLiveEnds(t *testing.T) {
	url, end := started(t)
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("the page is at %q", url)
	}
	var viewers, watched sync.WaitGroup
	for range 50 {
		watched.Add(1)
		viewers.Go(func() {
			resp, err := http.Get(url + "events")
			if err != nil {
				watched.Done()
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			r := bufio.NewReader(resp.Body)
			for line := ""; line != "event: frame\n" && err == nil; {
				line, err = r.ReadString('\n')
			}
			watched.Done()
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Errorf("a stream was cut: %v", err)
			}
		})
	}
	half, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(url, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	io.WriteString(half, "GET / HTTP/1.1\r\nHost: ") // somebody who does not finish
	watched.Wait()
	if code := end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	viewers.Wait()
	if _, err := http.Get(url); err == nil {
		t.Error("the page is still there")
	}
}

func TestLiveCannotListen(t *testing.T) {
	ln, err := net.Listen("tcp", anyPort)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var out, stderr strings.Builder
	code := run(t.Context(), []string{"-live", "-listen", ln.Addr().String()}, &out, &stderr)
	if code != exitUsage || !strings.Contains(stderr.String(), "outage: -listen: ") || out.Len() > 0 {
		t.Errorf("exit code %d, %q on stderr, %q on stdout", code, stderr.String(), out.String())
	}
}
