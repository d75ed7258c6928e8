package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestBadFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-nosuch"}, "flag provided but not defined: -nosuch"},
		{[]string{"word"}, `unexpected argument "word"`},
		{[]string{"-duration", "soon"}, "invalid value"},
		{[]string{"-duration", "9s"}, "-duration 9s: want 12s to 1h0m0s"},
		{[]string{"-duration", "0s"}, "-duration 0s: want"},
		{[]string{"-duration", "-12s"}, "-duration -12s: want"},
		{[]string{"-duration", "2h"}, "-duration 2h0m0s: want"},
		{[]string{"-rate", "0"}, "-rate 0: want 20 to 2000"},
		{[]string{"-rate", "NaN"}, "-rate NaN: want"},
		{[]string{"-rate", "1e9"}, "-rate 1e+09: want"},
		{[]string{"-seed", "-1"}, "invalid value"},
		{[]string{"-url", "localhost:80"}, "want http://host/path"},
		{[]string{"-url", "http://"}, "want http://host/path"},
		{[]string{"-url", "ftp://a.example/"}, "want http://host/path"},
		{[]string{"-url", "http://a.example:port/"}, "-url: parse"},
		{[]string{"-url", "http://user:pass@a.example/"}, `-url "http://user:xxxxx@a.example/": credentials`},
		{[]string{"-url", "http://a.example/", "-check"}, "-check is about"},
		{[]string{"-url", "http://a.example/", "-rate", "101"}, "-rate 101: want 0.1 to 100"},
		{[]string{"-listen", "127.0.0.1:8080"}, "-listen is where -live serves"},
		{[]string{"-live", "-check"}, "it cannot be used with -check"},
		{[]string{"-live", "-duration", "26s"}, "it cannot be used with -duration"},
		{[]string{"-live", "-url", "http://a.example/"}, "it cannot be used with -url"},
		{[]string{"-live", "-report", "x.html"}, "it cannot be used with -report"},
		{[]string{"-live", "-rate", "1000"}, "-rate 1000: want 20 to 200"},
		{[]string{"-live", "-listen", "127.0.0.1"}, "-listen: listen tcp"},
		{[]string{"-report", filepath.Join(t.TempDir(), "no", "such", "folder.html")}, "-report: open"},
	} {
		var out, err strings.Builder
		if code := run(t.Context(), c.args, &out, &err); code != exitUsage {
			t.Errorf("%v: exit code %d, want %d", c.args, code, exitUsage)
		}
		if !strings.Contains(err.String(), c.want) || out.Len() > 0 {
			t.Errorf("%v: %q on stderr, want %q; %q on stdout", c.args, err.String(), c.want, out.String())
		}
	}
}

func TestHelp(t *testing.T) {
	var out, err strings.Builder
	if code := run(t.Context(), []string{"-help"}, &out, &err); code != 0 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"-check", "-duration", "-listen", "-live", "-rate", "-report", "-seed", "-url", "default 26s", "default 200"} {
		if !strings.Contains(err.String(), want) {
			t.Errorf("no %q in the help", want)
		}
	}
}

func TestDefaults(t *testing.T) {
	var err strings.Builder
	own, _ := parse(nil, &err)
	if own.duration != 26*time.Second || own.rate != 200 || own.seed != 1 || own.check || own.report != "" || own.urls != nil {
		t.Errorf("%+v", own)
	}
	urls, _ := parse([]string{"-url", "http://a.example/", "-url", "https://b.example/"}, &err)
	if urls.duration != time.Minute || urls.rate != 5 || len(urls.urls) != 2 {
		t.Errorf("%+v", urls)
	}
	if o, _ := parse([]string{"-live"}, &err); !o.live || o.rate != 40 || o.listen != "127.0.0.1:0" {
		t.Errorf("%+v", o)
	}
	if err.Len() > 0 {
		t.Errorf("%s", err.String())
	}
}

func TestUnreachableURL(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String() + "/"
	ln.Close()
	var out, stderr strings.Builder
	if code := run(t.Context(), []string{"-url", url}, &out, &stderr); code != exitUsage {
		t.Errorf("exit code %d, want %d", code, exitUsage)
	}
	if want := "-url " + url + " cannot be reached"; !strings.Contains(stderr.String(), want) {
		t.Errorf("%q on stderr, want %q", stderr.String(), want)
	}
	if want := "298 GET requests at most, in 1m0s, to 1 URL: "; !strings.HasPrefix(out.String(), want) {
		t.Errorf("%q on stdout, want %q first", out.String(), want)
	}
}

// A run on real sockets that is interrupted before it has begun still prints, and writes its report.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	file := filepath.Join(t.TempDir(), "report.html")
	var out, stderr strings.Builder
	if code := run(ctx, []string{"-check", "-report", file}, &out, &stderr); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	for _, want := range []string{"Interrupted after", "plain", "naive", "belay", "report: " + file} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q on stdout:\n%s", want, out.String())
		}
	}
	page, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(page), "interrupted after") || stderr.Len() > 0 {
		t.Errorf("report %.100q, error %v, stderr %q", page, err, stderr.String())
	}
	if strings.Contains(out.String(), "check ") {
		t.Errorf("an interrupted run was checked:\n%s", out.String())
	}
}
