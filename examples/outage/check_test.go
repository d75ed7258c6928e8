package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	plain := result{answered: share{600, 1000}, load: share{100, 100}, recovery: 3 * time.Second}
	good := result{answered: share{995, 1000}, load: share{20, 100}, recovery: 4 * time.Second}
	with := func(change func(plain, belay *result)) [2]result {
		p, b := plain, good
		change(&p, &b)
		return [2]result{p, b}
	}
	for _, c := range []struct {
		what  string
		input [2]result
		fails string // the only demand that is not met, by a word in it
	}{
		{"good", with(func(_, _ *result) {}), ""},
		{"just enough", with(func(_, b *result) {
			*b = result{answered: share{990, 1000}, load: share{120, 100}, recovery: 5 * time.Second}
		}), ""},
		{"too few answers", with(func(_, b *result) { b.answered.part = 989 }), "of them"},
		{"too little more than plain", with(func(p, _ *result) { p.answered.part = 846 }), "more of"},
		{"too many requests", with(func(_, b *result) { b.load.part = 121 }), "sends"},
		{"too late", with(func(_, b *result) { b.recovery = 5*time.Second + 1 }), "recovers"},
		{"never back", with(func(_, b *result) { b.recovery = -1 }), "recovers"},
		{"both never back", with(func(p, b *result) { p.recovery, b.recovery = -1, -1 }), "recovers"},
		{"only plain never back", with(func(p, b *result) { p.recovery, b.recovery = -1, 9*time.Second }), ""},
		{"no answerable calls", with(func(p, b *result) { p.answered, b.answered = share{}, share{} }), "belay answers"},
		{"no calls in the outage", with(func(_, b *result) { b.load = share{} }), "sends"},
	} {
		var out strings.Builder
		ok := check(&out, c.input[0], c.input[1])
		if ok != (c.fails == "") {
			t.Errorf("%s: %v", c.what, ok)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 {
			t.Fatalf("%s: %d lines, want one for each demand:\n%s", c.what, len(lines), out.String())
		}
		for _, line := range lines {
			if failed := strings.Contains(line, "FAIL"); failed != (c.fails != "" && strings.Contains(line, c.fails)) {
				t.Errorf("%s: %s", c.what, line)
			}
		}
	}
}

func TestCheckWithoutARun(t *testing.T) {
	if check(io.Discard, result{recovery: -1}, result{recovery: -1}) {
		t.Error("nothing measured meets the demands")
	}
}
