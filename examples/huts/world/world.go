// Simulation: systems of others that can be broken, over real sockets. Not worth it for
// what never fails.

// Package world simulates the systems of others that the huts depend on: a payment
// provider, a weather service, three mirrors of the avalanche bulletin, mail, and an
// identity provider. Each can be broken in the ways such systems break, and remembers what was asked of it.
package world

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// A Fault is a way in which a system is broken.
type Fault string

const (
	Well    Fault = ""
	Slow    Fault = "slow"    // answers after 1.5 s
	Failing Fault = "failing" // answers 503, and does nothing
	Hanging Fault = "hanging" // takes the request, and never answers
	Cutting Fault = "cutting" // does what was asked, and breaks off in the answer
	Limited Fault = "limited" // answers 429, come back in a second
)

// Faults are all ways to be broken.
var Faults = []Fault{Slow, Failing, Hanging, Cutting, Limited}

// A System is a server that can be broken. It is an http.Handler, for tests that bring
// a network of their own.
type System struct {
	Name string
	URL  string // on loopback; "" if it does not listen

	fault   atomic.Pointer[Fault]
	asked   atomic.Int64
	server  *http.Server
	handler http.Handler
}

func newSystem(name string, h http.Handler) *System {
	s := &System{Name: name, handler: h}
	s.server = &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second}
	return s
}

func (s *System) listen() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("world: %s: %w", s.Name, err)
	}
	s.URL = "http://" + l.Addr().String()
	go s.server.Serve(l) // until Close
	return nil
}

// Close stops the system at once, whatever it is doing.
func (s *System) Close() error { return s.server.Close() }

// Break breaks the system; Break(Well) mends it.
func (s *System) Break(f Fault) { s.fault.Store(&f) }

// Fault tells how the system is broken.
func (s *System) Fault() Fault {
	if f := s.fault.Load(); f != nil {
		return *f
	}
	return Well
}

// Asked counts the requests that came, however they were answered.
func (s *System) Asked() int { return int(s.asked.Load()) }

// ServeHTTP answers as the system's fault says.
func (s *System) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.asked.Add(1)
	switch s.Fault() {
	case Slow:
		wait := time.NewTimer(1500 * time.Millisecond)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-r.Context().Done():
			return
		}
	case Failing:
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
		return
	case Hanging:
		io.Copy(io.Discard, r.Body) // only then does the server notice that the client leaves
		<-r.Context().Done()
		return
	case Cutting:
		w = &cut{w}
	case Limited:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "slow down", http.StatusTooManyRequests)
		return
	}
	s.handler.ServeHTTP(w, r)
}

// cut breaks off in the middle of the body.
type cut struct{ http.ResponseWriter }

func (c *cut) Write(p []byte) (int, error) {
	c.ResponseWriter.Write(p[:len(p)/2])
	http.NewResponseController(c.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// A World is all systems together.
type World struct {
	Payment   *Payment
	Weather   *System
	Bulletins []*System
	Mail      *Mail
	Identity  *Identity
}

// New returns a world that listens on loopback.
func New() (*World, error) {
	w := Silent()
	for _, s := range w.Systems() {
		if err := s.listen(); err != nil {
			return nil, errors.Join(err, w.Close())
		}
	}
	return w, nil
}

// Silent returns a world that listens nowhere.
func Silent() *World {
	w := &World{Payment: newPayment(), Weather: newSystem("weather", weather()), Mail: newMail(), Identity: newIdentity()}
	for i := range 3 {
		w.Bulletins = append(w.Bulletins, newSystem(fmt.Sprint("bulletin-", i+1), bulletin()))
	}
	return w
}

// Systems returns all systems.
func (w *World) Systems() []*System {
	return append([]*System{w.Payment.System, w.Weather, w.Mail.System, w.Identity.System}, w.Bulletins...)
}

// Close stops all systems.
func (w *World) Close() error {
	var errs []error
	for _, s := range w.Systems() {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
