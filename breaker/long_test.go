package breaker_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/google/go-cmp/cmp"
)

// opened returns a breaker that five failures have just opened.
func opened(t *testing.T, cfg breaker.Config) *breaker.Breaker {
	t.Helper()
	b := breaker.New(cfg)
	for range 5 {
		breaker.Run(t.Context(), b, func(context.Context) error { return errDown })
	}
	if b.State() != breaker.Open {
		t.Fatalf("%v after five failures", b.State())
	}
	return b
}

// long are calls of all lengths that real programs have, beside the lease of 30 s.
var long = map[string]func(n int) time.Duration{
	"1ms":   func(int) time.Duration { return time.Millisecond },
	"20s":   func(int) time.Duration { return 20 * time.Second },
	"31s":   func(int) time.Duration { return 31 * time.Second },
	"45s":   func(int) time.Duration { return 45 * time.Second },
	"10min": func(int) time.Duration { return 10 * time.Minute },
	"mixed": func(n int) time.Duration {
		return []time.Duration{time.Millisecond, 20 * time.Second, 31 * time.Second, 45 * time.Second, 10 * time.Minute}[rand.New(rand.NewPCG(1, uint64(n))).IntN(5)]
	},
}

// A backend that is back has a call a second. The breaker closes when the second of
// its trials has ended, however long they take.
func TestClosesInFrontOfLongCalls(t *testing.T) {
	for name, length := range long {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := opened(t, breaker.Config{})
				var succeeded atomic.Int64
				start := time.Now()
				for n := 0; b.State() != breaker.Closed && time.Since(start) < time.Hour; n++ {
					go breaker.Run(context.Background(), b, func(context.Context) error {
						time.Sleep(length(n))
						succeeded.Add(1)
						return nil
					})
					synctest.Wait()
					time.Sleep(time.Second)
				}
				if n := succeeded.Load(); b.State() != breaker.Closed || n < 2 || n > 3 {
					t.Errorf("%v after %v, %d trials have succeeded: %s", b.State(), time.Since(start), n, b.Stats().Reason)
				}
				time.Sleep(10 * time.Minute) // for those that still run
			})
		})
	}
}

// pipe is a backend that answers at once and streams for as long as length says; a
// stream of 0 breaks off.
type pipe struct {
	status int
	length time.Duration
}

func (p *pipe) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: p.status, Header: http.Header{}, Body: &stream{p.length}, Request: req}, nil
}

type stream struct{ length time.Duration }

func (s *stream) Read([]byte) (int, error) {
	if s.length == 0 {
		return 0, errReset
	}
	time.Sleep(s.length)
	return 0, io.EOF
}

func (s *stream) Close() error { return nil }

// For a Transport the headers of a trial are enough: the breaker closes while the
// bodies flow.
func TestStreamsCloseTheBreakerWithTheirHeaders(t *testing.T) {
	for name, length := range long {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := opened(t, breaker.Config{Slow: 10 * time.Second, CountInFlight: true})
				backend := &pipe{status: 200}
				rt := &breaker.Transport{Base: backend, Breaker: b}
				refused, start := 0, time.Now()
				for n := range 60 {
					backend.length = length(n)
					resp, err := get(t, rt, "http://a.test/")
					if err != nil {
						refused++
					} else {
						go io.Copy(io.Discard, resp.Body)
					}
					time.Sleep(time.Second)
				}
				if b.State() != breaker.Closed || refused > 5 {
					t.Errorf("%v %v later, %d refused: %s", b.State(), time.Since(start), refused, b.Stats().Reason)
				}
				time.Sleep(11 * time.Minute)
				if s := b.Stats(); s.State != breaker.Closed || s.Generation != 3 {
					t.Errorf("%v, generation %d, when the streams have ended", s.State, s.Generation)
				}
			})
		})
	}
}

// What good headers have said is good though the bodies still flow.
func TestOpenStreamsAreGoodAnswers(t *testing.T) {
	for _, streams := range []int{5, 100} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker.New(breaker.Config{})
			backend := &pipe{status: 200, length: time.Hour}
			rt := &breaker.Transport{Base: backend, Breaker: b}
			for range streams {
				get(t, rt, "http://a.test/")
			}
			backend.status = 500
			for range 5 {
				get(t, rt, "http://a.test/")
			}
			if b.State() != breaker.Closed {
				t.Errorf("open after %d good answers and 5 bad ones: %s", streams, b.Stats().Reason)
			}
		})
	}
}

// A backend that fails in its bodies fails.
func TestBrokenBodiesOpenTheBreaker(t *testing.T) {
	for name, cfg := range map[string]breaker.Config{
		"default":     {},
		"rows only":   {FailureRate: -1, AllFailed: -1},
		"rate only":   {Consecutive: -1, AllFailed: -1},
		"all failed":  {FailureRate: -1, Consecutive: -1},
		"high rate":   {FailureRate: 1, Consecutive: -1, AllFailed: -1},
		"slow start":  {},
		"short steps": {Window: 10 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New(cfg)
				rt := &breaker.Transport{Base: &pipe{status: 200}, Breaker: b}
				sent := 0
				for ; b.State() == breaker.Closed && sent < 100; sent++ {
					resp, err := get(t, rt, "http://a.test/")
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(100 * time.Microsecond)
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if b.State() != breaker.Open || sent > 20 {
					t.Errorf("%v after %d calls", b.State(), sent)
				}
				for range 3600 { // an hour of a call a second
					if resp, err := get(t, rt, "http://a.test/"); err == nil {
						sent++
						io.Copy(io.Discard, resp.Body)
					}
					time.Sleep(time.Second)
				}
				if sent > 20+3*3600/16 {
					t.Errorf("%d calls in an hour", sent)
				}
			})
		})
	}
}

// Trials that were answered well and then break off open the breaker again that they
// have closed.
func TestBrokenBodyTakesTheClosingBack(t *testing.T) {
	trials := func(t *testing.T, cfg breaker.Config) (*breaker.Breaker, *breaker.Transport, []*http.Response) {
		b := opened(t, cfg)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		rt := &breaker.Transport{Base: &pipe{status: 200}, Breaker: b}
		var streams []*http.Response
		for range 2 {
			resp, err := get(t, rt, "http://a.test/")
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, resp)
		}
		if b.State() != breaker.Closed {
			t.Fatalf("%v after two good headers", b.State())
		}
		return b, rt, streams
	}
	t.Run("at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _, streams := trials(t, breaker.Config{})
			io.Copy(io.Discard, streams[0].Body)
			if s := b.Stats(); s.State != breaker.Open || time.Until(s.NextTrial) <= 5*time.Second {
				t.Errorf("%v, next trial in %v: want open, for longer than before", s.State, time.Until(s.NextTrial))
			}
			io.Copy(io.Discard, streams[1].Body)
		})
	})
	t.Run("long after, when nothing else was called", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _, streams := trials(t, breaker.Config{})
			time.Sleep(time.Hour)
			io.Copy(io.Discard, streams[0].Body)
			if b.State() != breaker.Open {
				t.Errorf("%v", b.State())
			}
		})
	})
	t.Run("long after, when others are well", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _, streams := trials(t, breaker.Config{})
			time.Sleep(time.Hour)
			breaker.Run(t.Context(), b, func(context.Context) error { return nil })
			io.Copy(io.Discard, streams[0].Body)
			s := b.Stats()
			if diff := cmp.Diff(breaker.Counts{Calls: 2, Failed: 1}, s.Window); diff != "" || s.State != breaker.Closed || s.InARow != 1 {
				t.Errorf("%v, %d in a row: want one failure among others (-want +got):\n%s", s.State, s.InARow, diff)
			}
		})
	})
	t.Run("after Force", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b, _, streams := trials(t, breaker.Config{})
			b.Force(breaker.Auto)
			io.Copy(io.Discard, streams[0].Body)
			if b.State() != breaker.Closed {
				t.Errorf("%v", b.State())
			}
		})
	})
}

// A good answer that breaks off restores the row that it had ended, unless a call has
// ended well since.
func TestRowIsRestored(t *testing.T) {
	b := breaker.New(breaker.Config{AllFailed: -1, Consecutive: 9, MinCalls: 1000})
	in := func() int { return b.Stats().InARow }
	fail := func(n int) {
		for range n {
			breaker.Run(t.Context(), b, func(context.Context) error { return errDown })
		}
	}
	fail(3)
	first, _ := b.Allow()
	first.Answered(breaker.Success)
	first.Answered(breaker.Failure) // the first counts
	if in() != 0 {
		t.Errorf("%d in a row after a good answer", in())
	}
	fail(2)
	first.Done(breaker.Failure)
	if in() != 6 {
		t.Errorf("%d in a row, want the 3 before, the 2 since and the one itself", in())
	}
	second, _ := b.Allow()
	second.Answered(breaker.Success)
	breaker.Run(t.Context(), b, func(context.Context) error { return nil })
	second.Done(breaker.Failure)
	if in() != 1 {
		t.Errorf("%d in a row, want 1: another call was good in between", in())
	}
	third, _ := b.Allow()
	third.Answered(breaker.Failure)
	third.Done(breaker.Success) // too late
	if s := b.Stats(); s.InARow != 2 || s.Window != (breaker.Counts{Calls: 9, Failed: 8}) {
		t.Errorf("%d in a row, %+v", s.InARow, s.Window)
	}
	fourth, _ := b.Allow()
	fourth.Answered(breaker.Ignored)
	fourth.Answered(breaker.Default)
	fourth.Done(breaker.Success)
	if s := b.Stats(); s.InARow != 0 || s.Window != (breaker.Counts{Calls: 10, Failed: 8}) {
		t.Errorf("%d in a row, %+v after what was not known at first", s.InARow, s.Window)
	}
}

// How long the caller takes to read says nothing about the backend.
func TestSlowReadersAreNotSlowAnswers(t *testing.T) {
	for name, cfg := range map[string]breaker.Config{
		"slow":      {Slow: time.Second},
		"in flight": {Slow: time.Second, CountInFlight: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := breaker.New(cfg)
				rt := &breaker.Transport{Base: &pipe{status: 200, length: 3 * time.Second}, Breaker: b}
				for range 25 {
					resp, err := get(t, rt, "http://a.test/")
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
				}
				if s := b.Stats(); s.State != breaker.Closed || s.Window.Slow != 0 || s.Overdue != 0 {
					t.Errorf("%v, %+v, %d overdue", s.State, s.Window, s.Overdue)
				}
			})
		})
	}
}

// Those whose calls fail slowly, one after the other, are covered too: the row counts,
// though the window has forgotten its beginning.
func TestSlowFailuresOfAQuietClientOpen(t *testing.T) {
	for _, timeout := range []time.Duration{3 * time.Second, 11 * time.Second, 30 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker.New(breaker.Config{})
			calls := 0
			for ; b.State() == breaker.Closed && calls < 100; calls++ {
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				breaker.Run(ctx, b, func(ctx context.Context) error { <-ctx.Done(); return errors.New("driver: interrupted") })
				cancel()
			}
			if calls != 5 {
				t.Errorf("opened after %d calls of %v", calls, timeout)
			}
		})
	}
}

// After closing, nobody is held back who makes few calls at a time.
func TestSlowStartSparesLightClients(t *testing.T) {
	for _, simultaneous := range []int{1, 2, 10} {
		synctest.Test(t, func(t *testing.T) {
			b := opened(t, breaker.Config{})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			for range 2 {
				breaker.Run(t.Context(), b, func(context.Context) error { return nil })
			}
			var refused atomic.Int64
			for range simultaneous {
				go func() {
					for range 200 {
						err := breaker.Run(context.Background(), b, func(context.Context) error { time.Sleep(50 * time.Millisecond); return nil })
						if err != nil {
							refused.Add(1)
						}
					}
				}()
			}
			time.Sleep(time.Minute)
			if n := refused.Load(); n > 0 {
				t.Errorf("%d calls of %d simultaneous ones refused", n, simultaneous)
			}
		})
	}
}

// Old failures do not come back with a broken stream if responses have ended well
// since it began.
func TestGoodResponsesEndTheRow(t *testing.T) {
	for name, end := range map[string]func(io.ReadCloser){
		"read":   func(b io.ReadCloser) { io.Copy(io.Discard, b) },
		"closed": func(b io.ReadCloser) { b.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			b := breaker.New(breaker.Config{FailureRate: -1, AllFailed: -1})
			backend := &pipe{status: 503}
			rt := &breaker.Transport{Base: backend, Breaker: b}
			for range 19 {
				get(t, rt, "http://a.test/")
			}
			backend.status = 200
			broken, _ := get(t, rt, "http://a.test/")
			backend.length = time.Millisecond
			resp, err := get(t, rt, "http://a.test/")
			if err != nil {
				t.Fatal(err)
			}
			end(resp.Body)
			io.Copy(io.Discard, broken.Body)
			if s := b.Stats(); s.State != breaker.Closed || s.InARow != 1 {
				t.Errorf("%s: %v, %d in a row, want the one that broke off", name, s.State, s.InARow)
			}
		})
	}
}
