package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program, so that tests can start and kill it.
func TestMain(m *testing.M) {
	if os.Getenv("HUTS_CHILD") == "" {
		os.Exit(m.Run())
	}
	if step := os.Getenv("HUTS_DIES_AT"); step != "" {
		at = func(s string) {
			if s == step {
				os.Exit(3) // nothing deferred runs, nothing is flushed: as if it were killed
			}
		}
	}
	main()
}

// A child is the program in a process of its own.
type child struct {
	cmd *exec.Cmd
	URL string

	mu  sync.Mutex
	out bytes.Buffer
}

// begin starts the program with arguments and an environment, and waits until it says
// where it is.
func begin(t *testing.T, args []string, env ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(self, args...)}
	c.cmd.Env = append(append(os.Environ(), "HUTS_CHILD=1", "HUTS_ADDR=127.0.0.1:0"), env...)
	c.cmd.Stderr = (*output)(c)
	out, err := c.cmd.StdoutPipe()
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.cmd.Process.Kill(); c.cmd.Wait() })
	lines := bufio.NewScanner(io.TeeReader(out, (*output)(c)))
	for c.URL == "" && lines.Scan() {
		if _, after, ok := strings.Cut(lines.Text(), "open at "); ok {
			c.URL, _, _ = strings.Cut(after, " ")
		}
	}
	if c.URL == "" {
		t.Fatalf("%v did not start:\n%s", args, (*output)(c))
	}
	go io.Copy((*output)(c), out) // until it ends
	return c
}

type output child

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.out.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.out.String()
}

// stop asks the child to end, and tells how it did.
func (c *child) stop(t *testing.T) {
	t.Helper()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, (*output)(c))
	}
}

// eventually asks until there is no complaint, or half a minute is over.
func eventually(t *testing.T, complaint func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		c := complaint()
		if c == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(c)
		}
		wait(t.Context(), 20*time.Millisecond)
	}
}

// nats starts NATS as a process of its own, built from the module that this one needs.
func nats(t *testing.T) (url string) {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "nats-server")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ports := filepath.Join(dir, "ports")
	if err := os.Mkdir(ports, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-a", "127.0.0.1", "-p", "-1", "-js", "-sd", filepath.Join(dir, "js"), "--ports_file_dir", ports)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	eventually(t, func() string {
		files, err := filepath.Glob(filepath.Join(ports, "*.ports"))
		if err != nil || len(files) == 0 {
			return "nats-server says no port"
		}
		text, err := os.ReadFile(files[0])
		_, after, ok := strings.Cut(string(text), `"nats://`)
		if err != nil || !ok {
			return "nats-server says no address: " + string(text)
		}
		host, _, _ := strings.Cut(after, `"`)
		url = "nats://" + host
		return ""
	})
	return url
}

func put(ctx context.Context, url, token string, beds int) (int, string) {
	status, body := send(ctx, http.MethodPut, url, token, map[string]int{"Beds": beds})
	return status, string(body)
}

func get(ctx context.Context, url, token string) string {
	status, body := send(ctx, http.MethodGet, url, token, nil)
	return fmt.Sprint(status, " ", strings.TrimSpace(string(body)))
}
