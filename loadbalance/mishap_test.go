package loadbalance_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/mishap"
	"github.com/belay-go/belay/loadbalance"
)

// A check or a source that ends badly, and an Observe that hears of it on a goroutine of
// the balancer's: picks go on meanwhile, and afterwards all is as before. A panic needs
// an Observe to be told; without one it takes its course.
func TestMishaps(t *testing.T) {
	var cases []mishap.Case
	for name, wants := range map[string][3]string{ // of a panic, an exit, a hang
		"check":              {"unhealthy, or dies", "unhealthy", "unhealthy"},
		"source":             {"source failed, or dies", "source failed", "picks"},
		"Observe of checks":  {"unhealthy", "unhealthy", "unhealthy"},
		"Observe of sources": {"source failed", "source failed", "source failed"},
	} {
		for i, want := range wants {
			for _, observes := range []bool{false, true} {
				want := want
				switch {
				case name[0] == 'O' && !observes:
					continue
				case want == "unhealthy, or dies" && observes:
					want = "unhealthy"
				case want == "source failed, or dies" && observes:
					want = "source failed"
				case want == "unhealthy, or dies", want == "source failed, or dies":
					want = mishap.Dies
				}
				cases = append(cases, mishap.Case{
					Name: fmt.Sprintf("%s %v, observed: %v", name, mishap.Endings[i], observes),
					Want: want,
					Run:  func(t *testing.T) string { return runMishap(t, name, mishap.Endings[i], observes) },
				})
			}
		}
	}
	mishap.Run(t, mishap.Sorted(cases))
}

// mishapSource has the same two endpoints all the time, but when it has an error.
type mishapSource func() error

func (s mishapSource) Watch(ctx context.Context, set func([]loadbalance.Endpoint[string], error)) error {
	var err error
	for {
		if err != nil {
			set(nil, err)
		} else {
			set([]loadbalance.Endpoint[string]{{Key: "a", Value: "a"}, {Key: "b", Value: "b"}}, nil)
		}
		select {
		case <-time.After(10 * time.Minute):
			err = s()
		case <-ctx.Done():
			return nil
		}
	}
}

func runMishap(t *testing.T, place string, ending mishap.Ending, observes bool) string {
	var armed atomic.Bool
	end := func(where string) {
		if where == place && armed.Load() {
			ending.End()
		}
	}
	cfg := loadbalance.Config{CheckEvery: 10 * time.Minute, CheckTimeout: time.Minute}
	if observes {
		cfg.Observe = func(_ context.Context, e loadbalance.Event) {
			switch e.Kind {
			case loadbalance.Changed:
				end("Observe of checks")
			case loadbalance.SourceFailed:
				end("Observe of sources")
			}
		}
	}
	source := mishapSource(func() error {
		if end("source"); place == "Observe of sources" && armed.Load() {
			return errors.New("down")
		}
		return nil
	})
	b := loadbalance.New(source, cfg)
	defer b.Close()
	b.Check(func(context.Context, string) error {
		if end("check"); place == "Observe of checks" && armed.Load() {
			return errors.New("down")
		}
		return nil
	})
	picks := func() error {
		p, err := b.Pick(t.Context())
		if err == nil {
			p.Done(loadbalance.Result{})
		}
		return err
	}
	time.Sleep(2 * time.Hour)
	if err := picks(); err != nil {
		return err.Error()
	}
	armed.Store(true)
	failed := false
	for range 2 * 3600 {
		time.Sleep(time.Second)
		failed = failed || b.Stats().Err != nil // until there is a good set again
	}
	s := b.Stats()
	outcome := "picks"
	if len(s.Endpoints) == 2 && s.Endpoints[0].State == loadbalance.Unhealthy && s.Endpoints[1].State == loadbalance.Unhealthy {
		outcome = "unhealthy"
	} else if failed {
		outcome = "source failed"
	}
	if err := picks(); err != nil { // all are unhealthy: health is ignored
		return outcome + ": " + err.Error()
	}
	armed.Store(false)
	time.Sleep(3 * mishap.Hang)
	if s := b.Stats(); len(s.Endpoints) != 2 || s.Endpoints[0].State != loadbalance.Healthy || s.Endpoints[1].State != loadbalance.Healthy || s.Err != nil {
		return fmt.Sprintf("%s, and for good: %+v", outcome, s)
	}
	return outcome
}
