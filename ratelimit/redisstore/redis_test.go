package redisstore

import (
	"fmt"
	"io"
	"net"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A server is a Redis of the test's own, which can be started again at its address.
type server struct {
	addr string
	args []string
	cmd  *exec.Cmd
}

// startRedis starts a server without a file.
func startRedis(t *testing.T, args ...string) *server {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("there is no redis-server in the PATH")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().(*net.TCPAddr)
	l.Close()
	s := &server{addr: addr.String(), args: append([]string{"--bind", "127.0.0.1", "--port", fmt.Sprint(addr.Port),
		"--save", "", "--appendonly", "no", "--dir", t.TempDir()}, args...)}
	s.start(t)
	t.Cleanup(func() { s.kill() })
	return s
}

func (s *server) start(t *testing.T) {
	s.cmd = exec.Command("redis-server", s.args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: 1000, MaxRetryBackoff: 10 * time.Millisecond})
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
}

func (s *server) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// A door is an address behind which the server can change, as after a failover.
type door struct {
	net.Listener
	mu    sync.Mutex
	to    string
	muted bool
	conns map[net.Conn]bool
}

func openDoor(t *testing.T, to string) *door {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{Listener: l, to: to, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { l.Close(); d.lead("") })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(conn)
		}
	}()
	return d
}

// lead lets all that come from now on through to another server, and ends what is there.
func (d *door) lead(to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = to
	for conn := range d.conns {
		conn.Close()
	}
	clear(d.conns)
}

// mute decides whether answers are dropped.
func (d *door) mute(muted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.muted = muted
}

func (d *door) silent() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.muted
}

func (d *door) enter(conns ...net.Conn) (to string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, conn := range conns {
		d.conns[conn] = true
	}
	return d.to
}

func (d *door) serve(in net.Conn) {
	defer in.Close()
	out, err := net.Dial("tcp", d.enter(in))
	if err != nil {
		return
	}
	defer out.Close()
	d.enter(out)
	go func() {
		io.Copy(out, in)
		out.Close()
	}()
	buf := make([]byte, 4096)
	for {
		n, err := out.Read(buf)
		if err != nil {
			return
		}
		if d.silent() {
			continue
		}
		if _, err := in.Write(buf[:n]); err != nil {
			return
		}
	}
}
