package loadbalance_test

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// Whatever hints the picks have, an endpoint that was ejected gets a trial, and comes
// back.
func TestTrialsComeWithEveryHint(t *testing.T) {
	many := make([]string, 20)
	for i := range many {
		many[i] = strconv.Itoa(i % 3)
	}
	for name, hint := range map[string]loadbalance.Hint{
		"none":                   {},
		"preferred":              {Prefer: []string{"0", "1"}},
		"preferred, a long list": {Prefer: many},
		"another is preferred":   {Prefer: []string{"2"}},
		"another is excluded":    {Exclude: []string{"2"}},
		"a hash":                 {Hash: 7},
		"all of it":              {Prefer: []string{"1"}, Exclude: []string{"2"}, Hash: 7},
	} {
		for _, policy := range policies {
			inBubble(t, func(t *testing.T) {
				b := fixed(4, loadbalance.Config{Policy: policy, EjectAfter: 1, EjectFor: time.Second, SlowStart: -1})
				at(t, b, "0", failed)
				time.Sleep(time.Second)
				inState(t, b, "0", loadbalance.HalfOpen, "")
				for range 20 {
					p, err := b.PickWith(t.Context(), hint)
					if err != nil {
						t.Fatal(err)
					}
					p.Done(good)
				}
				if s := stats(t, b, "0").State; s != loadbalance.Healthy {
					t.Errorf("%v, %s: it is %v after twenty picks", policy, name, s)
				}
			})
		}
	}
}

// One that is excluded is not tried, not even for a trial.
func TestTrialsHeedExclude(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(4, loadbalance.Config{EjectAfter: 1, EjectFor: time.Second})
		at(t, b, "0", failed)
		time.Sleep(time.Second)
		synctest.Wait()
		for range 100 {
			p, err := b.PickWith(t.Context(), loadbalance.Hint{Exclude: []string{"0"}})
			if err != nil || p.Value() == 0 {
				t.Fatal(p.Value(), err)
			}
			p.Done(good)
		}
		inState(t, b, "0", loadbalance.HalfOpen, "")
	})
}

// Retries and hedges are no trials as long as first attempts take them.
func TestTrialsOfFirstAttempts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := fixed(4, loadbalance.Config{EjectAfter: 1, EjectFor: time.Second, SlowStart: -1})
		at(t, b, "0", failed)
		time.Sleep(time.Second)
		synctest.Wait()
		for range 20 {
			ctx := loadbalance.WithSpread(t.Context())
			for attempt := range 3 {
				p, err := b.Pick(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if p.Value() == 0 && stats(t, b, "0").State != loadbalance.Healthy && attempt > 0 {
					t.Errorf("attempt %d was a trial", attempt)
				}
				p.Done(good)
			}
		}
		inState(t, b, "0", loadbalance.Healthy, "")
	})
}

// Two zones of four, each preferring its own. All of one zone is ejected in an outage,
// and has its traffic again soon after it is well.
func TestZoneComesBack(t *testing.T) {
	for _, policy := range policies {
		inBubble(t, func(t *testing.T) {
			var set []endpoint
			var zone []string
			for i := range 8 {
				key := []string{"eu/", "us/"}[i/4] + strconv.Itoa(i)
				set = append(set, endpoint{Key: key, Value: i})
				if i < 4 {
					zone = append(zone, key)
				}
			}
			b := loadbalance.New(loadbalance.Static(set...), loadbalance.Config{Policy: policy, MaxEjected: 0.5, EjectFor: time.Second})
			begin, local := time.Now(), 0
			for range 10_000 { // a thousand a second
				p, err := b.PickWith(t.Context(), loadbalance.Hint{Prefer: zone})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond)
				since := time.Since(begin)
				r := good
				if p.Value() < 4 {
					if since < 200*time.Millisecond {
						r = failed
					}
					if since > 9*time.Second {
						local++
					}
				}
				p.Done(r)
			}
			if local < 990 {
				t.Errorf("%v: %d of the last thousand calls stay in the zone", policy, local)
			}
		})
	}
}

// Of many that wait for their trial, all come back before long, and not many calls at a
// time are trials.
func TestTrialsOfMany(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const n = 1000
		b := fixed(n, loadbalance.Config{Policy: loadbalance.Random, EjectAfter: 1, EjectFor: time.Second, SlowStart: -1})
		for i := range 300 {
			at(t, b, strconv.Itoa(i), failed)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		var trials []int
		for k := range 4000 {
			if i := one(t, b, good); i < 300 && !slices.Contains(trials, i) {
				trials = append(trials, i)
			}
			if k == 100 && len(trials) > 10 {
				t.Errorf("%d of the first hundred calls were trials", len(trials))
			}
		}
		if len(trials) != 300 {
			t.Errorf("%d have had a trial", len(trials))
		}
	})
}

// A hashed call is the trial of its own home; of another only if none came by.
func TestTrialsOfHashes(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		home := loadbalance.PolicyFunc(func(v loadbalance.View) int {
			if i := int(v.Hash() % uint64(v.Len())); !v.Skip(i) {
				return i
			}
			return v.At(loadbalance.HashUint64(v.Hash()))
		})
		b := fixed(4, loadbalance.Config{Policy: home, EjectAfter: 1, EjectFor: time.Second, SlowStart: -1})
		at(t, b, "0", failed)
		time.Sleep(time.Second)
		synctest.Wait()
		for hash := range uint64(400) {
			p, err := b.PickWith(t.Context(), loadbalance.Hint{Hash: hash + 1})
			if err != nil {
				t.Fatal(err)
			}
			if p.Value() == 0 && (hash+1)%4 != 0 {
				t.Errorf("the hash %d went to 0", hash+1)
			}
			p.Done(good)
		}
		inState(t, b, "0", loadbalance.Healthy, "")
	})
}
