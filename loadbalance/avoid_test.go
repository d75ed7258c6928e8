package loadbalance_test

import (
	"testing"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// avoided plays 50 calls a second, one at a time, that take 10 ms each, after two failures
// of the endpoint 0 that took so long. It returns how many calls went there in each second.
func avoided(t *testing.T, n int, cfg loadbalance.Config, took time.Duration, then result) (seconds [60]int) {
	inBubble(t, func(t *testing.T) {
		b := fixed(n, cfg)
		call := func(at0 result) (server int) {
			p := picked(t, b)
			time.Sleep(10 * time.Millisecond)
			if p.Value() == 0 {
				p.Done(at0)
			} else {
				p.Done(good)
			}
			time.Sleep(10 * time.Millisecond)
			return p.Value()
		}
		for range 50 * n {
			call(good)
		}
		for range 2 {
			p, err := b.PickWith(t.Context(), loadbalance.Hint{Prefer: []string{"0"}})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(took)
			p.Done(failed)
		}
		for second := range seconds {
			for range 50 {
				if call(then) == 0 {
					seconds[second]++
				}
			}
		}
	})
	return seconds
}

// An endpoint that is avoided for its failures, and not ejected, is tried again within
// seconds, and has its share again soon after it is well.
func TestAvoidedIsTriedAgain(t *testing.T) {
	for _, n := range []int{2, 3, 10, 30} {
		for _, took := range []time.Duration{time.Millisecond, time.Second} { // refused at once, and timed out
			first, half := -1, -1
			for second, calls := range avoided(t, n, loadbalance.Config{}, took, good) {
				if calls > 0 && first < 0 {
					first = second
				}
				if 2*calls*n >= 50 && half < 0 {
					half = second
				}
			}
			if first < 3 || first > 10 || half < 0 || half > 30 {
				t.Errorf("one of %d that has failed after %v is tried after %d s, and has half its share after %d s", n, took, first, half)
			}
		}
	}
}

// One that goes on failing has few calls, even if nothing is ever ejected.
func TestAvoidedHasFewCalls(t *testing.T) {
	for _, n := range []int{2, 3, 10, 30} {
		sum := 0
		for _, calls := range avoided(t, n, loadbalance.Config{EjectAfter: -1, EjectRate: -1}, time.Second, failed) {
			sum += calls
		}
		if sum < 3 || sum > 12 { // one in five to twenty seconds
			t.Errorf("one of %d that fails has %d of 3,000 calls", n, sum)
		}
	}
}
