package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// parseEvents reads a stream as browsers do: fields up to an empty line are an event, and data lines are joined.
func parseEvents(t *testing.T, stream string) (names, data []string) {
	t.Helper()
	var name string
	var lines []string
	for line := range strings.SplitSeq(stream, "\n") {
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case strings.ContainsRune(line, '\r'):
			t.Errorf("a carriage return ends a line: %q", line)
		case field == "event":
			name = value
		case field == "data":
			lines = append(lines, value)
		case line == "" && len(lines) > 0:
			names, data = append(names, name), append(data, strings.Join(lines, "\n"))
			name, lines = "", nil
		}
	}
	return names, data
}

func FuzzEvent(f *testing.F) {
	for _, s := range []string{"", "a", "a\nb", "\r\n\r\n", "\n\ndata: x\n\n", ": comment", "\u2028\u2029", "</script>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		stream := string(event("frame", s)) + string(event("other", 1))
		names, data := parseEvents(t, stream)
		if len(names) != 2 || names[0] != "frame" || names[1] != "other" || data[1] != "1" {
			t.Fatalf("%q is read as %q, %q", stream, names, data)
		}
		want, _ := json.Marshal(s)
		if data[0] != string(want) {
			t.Errorf("data %q, want %q", data[0], want)
		}
	})
}

func (f *feed) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.viewers)
}

func number(i int) []byte { return []byte(strconv.Itoa(i) + " ") }

func TestFeedRemembersALittle(t *testing.T) {
	var f feed
	for i := range 3 * remembered {
		f.send(number(i))
	}
	v, err := f.join()
	if err != nil {
		t.Fatal(err)
	}
	past := strings.Fields(string(<-v))
	if len(past) != remembered || past[0] != strconv.Itoa(2*remembered) || len(f.past) != remembered {
		t.Errorf("%d messages from %s, want the last %d", len(past), past[0], remembered)
	}
}

// A viewer who does not read is sent away; the others miss nothing, and nobody waits.
func TestSlowViewer(t *testing.T) {
	var f feed
	slow, _ := f.join()
	quick, _ := f.join()
	<-quick // the past
	for i := range 2 * mostBehind {
		f.send(number(i)) // would wait for ever
		if got := string(<-quick); got != string(number(i)) {
			t.Fatalf("message %q, want %d", got, i)
		}
	}
	n := 0
	for range slow {
		n++
	}
	if n != mostBehind || f.count() != 1 {
		t.Errorf("%d messages for the slow one, want %d; %d viewers, want 1", n, mostBehind, f.count())
	}
	f.leave(slow) // as it does when it notices
	f.leave(quick)
	f.leave(quick)
	if f.count() != 0 {
		t.Errorf("%d viewers, want none", f.count())
	}
}

// Whoever comes in the middle sees the past and what follows, without a gap, whatever the others do.
func TestManyViewers(t *testing.T) {
	var f feed
	var viewers, watched sync.WaitGroup
	for range 50 {
		watched.Add(1)
		viewers.Go(func() {
			v, err := f.join()
			if err != nil {
				t.Error(err)
				return
			}
			defer f.leave(v)
			watched.Done()
			next := -1
			for message := range v {
				for s := range strings.FieldsSeq(string(message)) {
					i, _ := strconv.Atoi(s)
					if next >= 0 && i != next {
						t.Errorf("message %d, want %d", i, next)
					}
					next = i + 1
				}
				if next > 500 {
					return
				}
			}
		})
		viewers.Go(func() {
			if v, err := f.join(); err == nil {
				f.leave(v)
			}
		})
	}
	watched.Wait()
	for i := range 1000 {
		f.send(number(i))
	}
	f.end()
	viewers.Wait()
	if f.count() != 0 {
		t.Errorf("%d viewers are left", f.count())
	}
	f.send(number(1)) // nobody hears it
	if _, err := f.join(); err != errEnded {
		t.Errorf("joining after the end: %v", err)
	}
}

// stream serves f in memory and returns what a browser gets.
func stream(t *testing.T, f http.Handler) (get func() *http.Response, stop func()) {
	m := &memory{}
	ln, _ := m.listen()
	server := &http.Server{Handler: f}
	go server.Serve(ln)
	transport := &http.Transport{DialContext: m.DialContext}
	get = func() *http.Response {
		resp, err := (&http.Client{Transport: transport}).Get("http://" + ln.Addr().String() + "/events")
		if err != nil {
			t.Fatal(err)
		}
		return resp
	}
	return get, func() { server.Close(); transport.CloseIdleConnections() }
}

func TestStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f feed
		get, stop := stream(t, &f)
		defer stop()
		f.send(event("frame", 1))
		resp := get()
		defer resp.Body.Close()
		if got := resp.Header.Get("Content-Type"); got != "text/event-stream" {
			t.Errorf("Content-Type %q", got)
		}
		time.AfterFunc(time.Second, func() { f.send(event("frame", 2)) })
		time.AfterFunc(time.Hour, func() { f.send(event("frame", 3)) }) // nothing has happened, and the stream stays
		time.AfterFunc(2*time.Hour, f.end)
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_, data := parseEvents(t, string(body))
		if got := strings.Join(data, " "); got != "1 2 3" || !strings.HasPrefix(string(body), "retry: 1000\n\n") {
			t.Errorf("%q", body)
		}
		again := get()
		again.Body.Close()
		if again.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("status %d after the end", again.StatusCode)
		}
	})
}

func TestTooManyViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f feed
		for range mostViewers {
			if _, err := f.join(); err != nil {
				t.Fatal(err)
			}
		}
		get, stop := stream(t, &f)
		defer stop()
		resp := get()
		defer resp.Body.Close()
		if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "too many viewers") {
			t.Errorf("status %d, %s", resp.StatusCode, body)
		}
	})
}

// A viewer whose connection takes nothing any more, and one who has left, are forgotten.
func TestStuckAndGoneViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f feed
		get, stop := stream(t, &f)
		defer stop()
		stuck := get()
		defer stuck.Body.Close()
		gone := get()
		gone.Body.Close()
		time.Sleep(time.Second) // since Go 1.27 a client reads on for a moment before it hangs up
		synctest.Wait()
		if n := f.count(); n != 1 {
			t.Errorf("%d viewers, want only the stuck one", n)
		}
		large := []byte(strings.Repeat("x", 1<<20))
		f.send(large) // more than connection and reader hold
		time.Sleep(patienceFor - time.Millisecond)
		if n := f.count(); n != 1 {
			t.Errorf("%d viewers, want 1: there is time left", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n := f.count(); n != 0 {
			t.Errorf("%d viewers after %v, want none", n, patienceFor)
		}
	})
}
