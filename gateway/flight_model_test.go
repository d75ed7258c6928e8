package gateway_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/gateway"
)

// FuzzFlight lets callers come and go at times that the input gives, and compares what
// each gets with a model that goes through the same events one by one.
func FuzzFlight(f *testing.F) {
	f.Add([]byte("\x00\x05\x01\x03\x02\x09\x07\x00"))
	f.Add([]byte("\x10\x01\x11\x02\x12\x03\x13\x04\x14\x05"))
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		b := make([]byte, 40)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		synctest.Test(t, func(t *testing.T) { flightAgainstModel(t, input) })
	})
}

// visit is one caller: it comes at a time, for one of two keys, and leaves when it has no
// more patience (0: it has no end of it). All times differ, so that order is certain.
type visit struct {
	key        int
	comes      int
	patience   int // in steps
	wantFlight int
	wantLeave  bool
}

const flightSteps = 7 // that fn takes

func flightAgainstModel(t *testing.T, input []byte) {
	if len(input) > 60 {
		input = input[:60]
	}
	var visits []visit
	now := 0
	for i := 0; i+1 < len(input); i += 2 {
		now += int(input[i] >> 4)
		visits = append(visits, visit{key: int(input[i] & 1), comes: now, patience: int(input[i+1] & 15)})
	}
	model(visits)

	// A caller comes at its step, and leaves, or a flight lands, a part of a step later.
	const step = time.Second
	var flight gateway.Flight[int, int]
	flights := 0
	var mu sync.Mutex
	fn := func(ctx context.Context) (int, error) {
		mu.Lock()
		flights++
		n := flights
		mu.Unlock()
		select {
		case <-ctx.Done():
			return -1, ctx.Err()
		case <-time.After(flightSteps*step + step/4):
			return n, nil
		}
	}
	var callers sync.WaitGroup
	begin := time.Now()
	for i, v := range visits {
		time.Sleep(time.Until(begin.Add(time.Duration(v.comes) * step)))
		callers.Go(func() {
			ctx := context.Background()
			if v.patience > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(v.patience)*step+step/2)
				defer cancel()
			}
			got, err := flight.Join(ctx, v.key, fn)
			want := fmt.Sprint(v.wantFlight, nil)
			if v.wantLeave {
				want = fmt.Sprint(0, context.DeadlineExceeded)
			}
			if text := fmt.Sprint(got, err); text != want {
				t.Errorf("visit %d of %+v: got %s, want %s", i, visits, text, want)
			}
		})
		synctest.Wait()
	}
	callers.Wait()
}

// model fills in what the visitors should get.
func model(visits []visit) {
	type plane struct {
		number, lands int
		inline        bool
		ends          int // when the last of its passengers so far leaves
		forever       bool
	}
	var aloft [2]*plane
	number := 0
	for i := range visits {
		v := &visits[i]
		p := aloft[v.key]
		// Landing and leaving happen within the step, after the arrivals.
		if p != nil && (p.lands < v.comes || !p.inline && !p.forever && p.ends < v.comes) {
			p = nil
		}
		if p == nil {
			number++
			p = &plane{number: number, lands: v.comes + flightSteps, inline: v.patience == 0}
			aloft[v.key] = p
		}
		if v.patience == 0 {
			p.forever = true
		}
		p.ends = max(p.ends, v.comes+v.patience)
		v.wantFlight = p.number
		v.wantLeave = v.patience > 0 && v.comes+v.patience < p.lands
	}
}

// Many callers, keys and ways to leave at once, for the race detector.
func TestFlightRace(t *testing.T) {
	var f gateway.Flight[int, int]
	var callers sync.WaitGroup
	for g := range 8 {
		callers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 2000 {
				ctx, cancel := context.WithCancel(context.Background())
				if r.IntN(3) == 0 {
					ctx = context.Background()
				}
				key := r.IntN(3)
				stop := context.AfterFunc(ctx, func() {})
				if r.IntN(4) == 0 {
					callers.Go(cancel)
				}
				v, err := f.Join(ctx, key, func(ctx context.Context) (int, error) {
					if ctx.Done() != nil && key == 0 {
						runtime.Gosched()
					}
					return key, nil
				})
				if err == nil && v != key || err != nil && err != context.Canceled {
					t.Errorf("key %d: %d, %v", key, v, err)
				}
				stop()
				cancel()
			}
		})
	}
	callers.Wait()
}
