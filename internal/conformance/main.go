// Conformance runs the public HTTP cache test suite, http-tests/cache-tests, against
// package httpcache and prints the table of
// gateway/httpcache/CONFORMANCE.md.
//
// It needs Node and a checkout of the suite in which "npm install" has been run:
//
//	go -C internal/conformance run . -suite DIR
package main

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/belay-go/belay/gateway/httpcache"
)

//go:embed run.mjs
var script string

// A profile is a cache behind a front, and the tests that concern it.
type profile struct {
	title, tests string
	cfg          httpcache.Config
	partition    func(*http.Request) string
	front        func(target string, rt http.RoundTripper) http.Handler
}

// user is whose all requests of the suite are: it has one.
func user(r *http.Request) string { return cmp.Or(httpcache.Credentials(r), "user") }

// everybody is one partition of a shared cache, whose responses may be anybody's.
func everybody(*http.Request) string { return "everybody" }

var (
	private = httpcache.Config{}
	guesses = httpcache.Config{Heuristic: 0.1}
	shared  = httpcache.Config{Shared: true, Targeted: []string{"CDN-Cache-Control"}}
)

var profiles = []profile{
	{"private", "private", private, user, raw},
	{"private, Heuristic 0.1", "private", guesses, user, raw},
	{"shared, Targeted CDN-Cache-Control", "shared", shared, everybody, reverseProxy},
	{"private, without a Partition", "private", private, nil, raw},
	{"private, Heuristic 0.1, without a Partition", "private", guesses, nil, raw},
	{"shared, Targeted CDN-Cache-Control, without a Partition", "shared", shared, nil, reverseProxy},
}

// result is what run.mjs prints of a test.
type result struct{ ID, Kind, Outcome, Why string }

func main() {
	log.SetFlags(0)
	suite := flag.String("suite", "", "the directory of the suite's checkout")
	only := flag.String("profile", "", "run only the profile with this title")
	verbose := flag.Bool("v", false, "say why each test failed")
	flag.Parse()
	dir, err := filepath.Abs(*suite)
	if *suite == "" || err != nil {
		log.Fatal("usage: conformance -suite DIR")
	}
	if err := run(context.Background(), dir, *only, *verbose); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir, only string, verbose bool) error {
	tmp, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	scriptFile := filepath.Join(tmp, "run.mjs")
	if err := os.WriteFile(scriptFile, []byte(script), 0o600); err != nil {
		return err
	}
	address, stop, err := startOrigin(ctx, dir, tmp)
	if err != nil {
		return err
	}
	defer stop()

	var details strings.Builder
	fmt.Println("| profile | required | optimal | checks answered yes |")
	fmt.Println("|---|---|---|---|")
	for _, p := range profiles {
		if only != "" && p.title != only {
			continue
		}
		results, err := p.run(ctx, dir, scriptFile, "http://"+address)
		if err != nil {
			return fmt.Errorf("%s: %w", p.title, err)
		}
		fmt.Printf("| %s | %s | %s | %s |\n", p.title, score(results, "required"), score(results, "optimal"), score(results, "check"))
		fmt.Fprintf(&details, "\n%s, not passed:\n\n", p.title)
		for _, r := range results {
			if r.Kind != "check" && r.Outcome != "pass" {
				fmt.Fprintf(&details, "- `%s` (%s, %s)\n", r.ID, r.Kind, r.Outcome)
			}
			if verbose && r.Outcome != "pass" && r.Outcome != "yes" {
				log.Printf("%s: %s %s: %s", r.ID, r.Kind, r.Outcome, r.Why)
			}
		}
	}
	fmt.Print(details.String())
	return nil
}

// score returns how many tests of a kind passed, of how many.
func score(results []result, kind string) string {
	n, passed := 0, 0
	for _, r := range results {
		if r.Kind == kind {
			n++
			if r.Outcome == "pass" || r.Outcome == "yes" {
				passed++
			}
		}
	}
	return fmt.Sprintf("%d of %d", passed, n)
}

// startOrigin starts the suite's server, which must be stopped in the end.
func startOrigin(ctx context.Context, dir, tmp string) (address string, stop func(), err error) {
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		return "", nil, err
	}
	address = l.Addr().String()
	l.Close() // the server takes a number, not a listener
	_, port, _ := net.SplitHostPort(address)
	cmd := exec.CommandContext(ctx, "node", "test-engine/server/server.mjs")
	cmd.Dir = dir
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), "npm_config_protocol=http", "npm_config_port="+port,
		"npm_config_pidfile="+filepath.Join(tmp, "pid"))
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	for range 100 {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return address, stop, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	stop()
	return "", nil, fmt.Errorf("the suite's server does not listen on %s", address)
}

// run runs the profile's tests against its front.
func (p profile) run(ctx context.Context, dir, scriptFile, target string) ([]result, error) {
	cache := httpcache.New(p.cfg)
	defer cache.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: p.front(target, &httpcache.Transport{Cache: cache, Partition: p.partition, Base: &http.Transport{}})}
	go server.Serve(l)
	defer server.Close()

	cmd := exec.CommandContext(ctx, "node", "--no-warnings", scriptFile, dir, "http://"+l.Addr().String(), p.tests)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	// The suite prints as well.
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var results []result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &results); err != nil {
		return nil, err
	}
	slices.SortStableFunc(results, func(a, b result) int { return cmp.Compare(b.Kind, a.Kind) })
	return results, nil
}
