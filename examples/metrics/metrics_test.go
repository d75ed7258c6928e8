package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/metrics.txt")

const golden = "testdata/metrics.txt"

// exported returns what a scrape gets after the script, in a time of its own. It leaves
// out the buckets of histograms, but for the last.
func exported(t *testing.T) (text string) {
	synctest.Test(t, func(t *testing.T) {
		o, metrics, err := observe()
		if err != nil {
			t.Fatal(err)
		}
		page, err := newPage(o, newShop())
		if err != nil {
			t.Fatal(err)
		}
		defer page.close()
		page.script(t.Context())
		w := httptest.NewRecorder()
		metrics.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		for line := range strings.Lines(w.Body.String()) {
			if !strings.Contains(line, "_bucket{") || strings.Contains(line, `le="+Inf"`) {
				text += line
			}
		}
	})
	return text
}

func TestMetrics(t *testing.T) {
	got := exported(t)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("-update writes what is right (-want +got):\n%s", diff)
	}
}

// The program serves metrics until it is told to end.
func TestRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := run(ctx, "127.0.0.1:0", w)
		w.CloseWithError(io.EOF)
		done <- err
	}()
	line := make([]byte, 100)
	n, err := r.Read(line)
	if err != nil {
		t.Fatal(<-done)
	}
	resp, err := http.Get(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(text), "belay_facade_calls_total") {
		t.Errorf("got %v, %s", err, text)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
