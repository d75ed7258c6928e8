package httpcache

import (
	"testing"
	"time"
)

// While a machine sleeps, one of its clocks stands still; the other may be set by
// anybody. The one that has gone further counts.
func TestInstant(t *testing.T) {
	at := instant{10 * time.Second, 1000e9}
	for name, tt := range map[string]struct {
		now  instant
		want time.Duration
	}{
		"a second":             {instant{11 * time.Second, 1001e9}, time.Second},
		"an hour asleep":       {instant{11 * time.Second, 4601e9}, 3601 * time.Second},
		"the clock set back":   {instant{11 * time.Second, 1e9}, time.Second},
		"the clock set ahead":  {instant{11 * time.Second, 2001e9}, 1001 * time.Second},
		"the same moment":      {at, 0},
		"years asleep, at 386": {instant{11 * time.Second, 1000e9 + int64(87600*time.Hour)}, 87600 * time.Hour},
	} {
		if got := tt.now.sub(at); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
	e := &entry{received: at, lifetime: time.Minute}
	want := noDirectives()
	if f := e.freshness(instant{11 * time.Second, 1001e9}, &want); f != fresh {
		t.Errorf("after a second: %v", f)
	}
	if f := e.freshness(instant{11 * time.Second, 4601e9}, &want); f != stale {
		t.Errorf("after an hour asleep: %v", f)
	}
}

// The names of partitions are hashed with a salt of the cache's own.
func TestPartitionNamesAreSalted(t *testing.T) {
	a, b := New(Config{}), New(Config{})
	name := []byte("Bearer s3cr3t")
	sum := a.sum(name)
	if sum == b.sum(name) || sum != a.sum(name) || sum == a.sum([]byte("Bearer s3cr3T")) {
		t.Error("the sums are not what they should be")
	}
	for i := range 10 * maxSums { // what is remembered is bounded, and right
		a.sum([]byte{byte(i), byte(i >> 8)})
	}
	if n := len(*a.sums.Load()); n > maxSums {
		t.Errorf("%d sums are remembered", n)
	}
	if fresh := New(Config{}); true {
		fresh.salt = a.salt
		if fresh.sum(name) != a.sum(name) {
			t.Error("a sum depends on what was asked for before")
		}
	}
}

// What is remembered of names is bounded, and what is not remembered is found out.
func TestNamesSeenAreBounded(t *testing.T) {
	for i := range 3 * maxSeen {
		name := "X-Token-" + string(rune('A'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676))
		if has := unusual(name); has&hasPersonal == 0 {
			t.Errorf("%s: %v", name, has)
		}
	}
	if n := len(*seen.Load()); n > maxSeen {
		t.Errorf("%d names", n)
	}
}
