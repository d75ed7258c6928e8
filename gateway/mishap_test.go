package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/internal/mishap"
)

// A shared function that ends badly, on the leader's goroutine and on one of its own: the
// leader gets the panic or exit, the others an error, and the key is free afterwards. If
// all have left, a panic takes its course.
func TestFlightMishaps(t *testing.T) {
	var cases []mishap.Case
	for name, place := range map[string]struct {
		ends     bool          // the leader's context can end
		leaves   time.Duration // and does
		followed bool
		want     [3]string // of a panic, an exit, a hang: the leader, and the follower
	}{
		"on the leader's goroutine":       {false, 0, false, [3]string{"panics", "exits", "returns <nil>"}},
		"on the leader's, followed":       {false, 0, true, [3]string{"panics, aborted", "exits, aborted", "returns <nil>, in time"}},
		"on its own goroutine":            {true, 0, false, [3]string{"panics", "exits", "returns <nil>"}},
		"on its own, followed":            {true, 0, true, [3]string{"panics, aborted", "exits, aborted", "returns <nil>, in time"}},
		"on its own, the leader has left": {true, time.Millisecond, true, [3]string{"returns gone, aborted", "returns gone, aborted", "returns gone, in time"}},
		"on its own, everybody has left":  {true, time.Millisecond, false, [3]string{mishap.Dies, "returns gone", "returns gone"}},
	} {
		for i, want := range place.want {
			cases = append(cases, mishap.Case{
				Name: fmt.Sprint(name, " ", mishap.Endings[i]),
				Want: want,
				Run: func(t *testing.T) string {
					var f gateway.Flight[string, int]
					bad := func(context.Context) (int, error) {
						time.Sleep(time.Second)
						mishap.Endings[i].End()
						return 1, nil
					}
					ctx := context.Background()
					if place.ends {
						c, cancel := context.WithCancelCause(ctx)
						ctx = c
						defer cancel(nil)
						if place.leaves > 0 {
							time.AfterFunc(place.leaves, func() { cancel(errors.New("gone")) })
						}
					}
					follower := make(chan string, 1)
					if place.followed {
						time.AfterFunc(time.Millisecond/2, func() {
							_, err := f.Join(t.Context(), "key", bad)
							switch {
							case err == nil:
								follower <- "in time"
							case errors.Is(err, gateway.ErrAborted):
								follower <- "aborted"
							default:
								follower <- err.Error()
							}
						})
					}
					var err error
					how, _ := mishap.Ended(func() { _, err = f.Join(ctx, "key", bad) })
					outcome := how.String()
					if how == mishap.Returns {
						outcome += fmt.Sprint(" ", err)
					}
					if place.followed {
						outcome += ", " + <-follower
					}
					time.Sleep(2 * mishap.Hang)
					v, err := f.Join(t.Context(), "key", func(context.Context) (int, error) { return 2, nil })
					if v != 2 || err != nil {
						return fmt.Sprintf("%s; a later call: %d, %v", outcome, v, err)
					}
					return outcome
				},
			})
		}
	}
	mishap.Run(t, mishap.Sorted(cases))
}

// A function that gets tokens and ends badly, for a request that waits for it and early,
// in the background: the request fails or is not concerned, and the next one gets a
// token. In the background a panic takes its course.
func TestTokenMishaps(t *testing.T) {
	var cases []mishap.Case
	for name, place := range map[string]struct {
		early bool
		want  [3]string
	}{
		"waited for": {false, [3]string{"panics", "exits", "returns context deadline exceeded"}},
		"early":      {true, [3]string{mishap.Dies, "returns <nil>", "returns <nil>"}},
	} {
		for i, want := range place.want {
			cases = append(cases, mishap.Case{
				Name: fmt.Sprint(name, " ", mishap.Endings[i]),
				Want: want,
				Run: func(t *testing.T) string {
					var armed atomic.Bool
					armed.Store(!place.early)
					auth := gateway.Bearer(gateway.BearerConfig{Token: func(context.Context, string) (string, time.Time, error) {
						if armed.Load() {
							mishap.Endings[i].End()
						}
						return "token", time.Now().Add(time.Hour), nil
					}})
					apply := func() error {
						req, err := http.NewRequest("GET", "http://a.example/", nil)
						if err != nil {
							return err
						}
						return auth.Apply(t.Context(), req)
					}
					if place.early {
						if err := apply(); err != nil {
							return err.Error()
						}
						time.Sleep(59 * time.Minute)
						armed.Store(true)
					}
					var err error
					how, _ := mishap.Ended(func() { err = apply() })
					time.Sleep(40 * time.Second) // past Timeout
					armed.Store(false)
					outcome := how.String()
					if how == mishap.Returns {
						outcome += fmt.Sprint(" ", err)
					}
					for range 3 {
						if err := apply(); err != nil {
							return fmt.Sprintf("%s; a later request: %v", outcome, err)
						}
						time.Sleep(time.Minute)
					}
					return outcome
				},
			})
		}
	}
	mishap.Run(t, mishap.Sorted(cases))
}
