package main

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoisson(t *testing.T) {
	a := poisson(1, 200, 100*time.Second)
	if n := len(a); n < 19000 || n > 21000 {
		t.Errorf("%d calls, want about 20000", n)
	}
	if !slices.IsSorted(a) || a[0] < 0 || a[len(a)-1] >= 100*time.Second {
		t.Error("not in order, or not within the time")
	}
	if !slices.Equal(a, poisson(1, 200, 100*time.Second)) {
		t.Error("the same seed gives other calls")
	}
	if slices.Equal(a, poisson(2, 200, 100*time.Second)) {
		t.Error("another seed gives the same calls")
	}
	// Independent arrivals: the number in a second scatters as widely as it is large.
	var squares float64
	for s := range 100 {
		d := float64(within(a, time.Duration(s)*time.Second, time.Duration(s+1)*time.Second) - 200)
		squares += d * d / 100
	}
	if squares < 100 || squares > 400 {
		t.Errorf("variance %.0f, want about 200", squares)
	}
}

func TestIssue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		moments := []time.Duration{0, time.Second, time.Second, 3 * time.Second}
		var sent []time.Duration
		late := issue(t.Context(), start, slices.Values(moments), func(id int) {
			if id != len(sent) {
				t.Errorf("id %d, want %d", id, len(sent))
			}
			sent = append(sent, time.Since(start))
		})
		if !slices.Equal(sent, moments) || late != 0 {
			t.Errorf("sent at %v, %v late; want %v", sent, late, moments)
		}
	})
}

func TestIssueLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []time.Duration
		start := time.Now()
		late := issue(t.Context(), start, slices.Values([]time.Duration{0, time.Second, 5 * time.Second}), func(int) {
			sent = append(sent, time.Since(start))
			time.Sleep(3 * time.Second)
		})
		if want := []time.Duration{0, 3 * time.Second, 6 * time.Second}; !slices.Equal(sent, want) || late != 2*time.Second {
			t.Errorf("sent at %v, %v late; want %v, 2s", sent, late, want)
		}
	})
}

func TestIssueEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		sent := 0
		start := time.Now()
		issue(ctx, start, slices.Values([]time.Duration{0, time.Second, 2 * time.Second}), func(int) { sent++ })
		if sent != 2 || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%d sent until %v", sent, time.Since(start))
		}
		issue(ctx, start, slices.Values([]time.Duration{0, time.Second}), func(int) { t.Error("sent a late call after the end") })
	})
}
