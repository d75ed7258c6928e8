package main

import (
	"fmt"
	"io"
)

// What -check demands.
const (
	minGain   = 15.0 // points of success that belay must be above plain
	minRate   = 99.0 // per cent of the answerable calls that belay must answer
	maxLoad   = 1.2  // upstream requests per call of belay while everything is down
	maxBehind = 2.0  // seconds that belay may recover later than plain
)

// check prints each demand with its numbers and reports whether all are met. Numbers that do not exist meet none.
func check(out io.Writer, plain, belay result) bool {
	all := true
	demand := func(ok bool, what, numbers string) {
		verdict := "ok  "
		if !ok {
			verdict = "FAIL"
			all = false
		}
		fmt.Fprintf(out, "check %s  %s: %s\n", verdict, what, numbers)
	}
	gain := 100*belay.answered.rate() - 100*plain.answered.rate()
	demand(gain >= minGain, fmt.Sprintf("belay answers at least %.0f points more of the answerable calls than plain", minGain),
		fmt.Sprintf("%.1f %% and %.1f %%, %+.1f points", 100*belay.answered.rate(), 100*plain.answered.rate(), gain))

	demand(100*belay.answered.rate() >= minRate, fmt.Sprintf("belay answers at least %.0f %% of them", minRate),
		fmt.Sprintf("%.2f %%", 100*belay.answered.rate()))

	demand(belay.load.rate() <= maxLoad, fmt.Sprintf("belay sends at most %.1f requests per call in the outage", maxLoad),
		fmt.Sprintf("%.2f", belay.load.rate()))

	behind := (belay.recovery - plain.recovery).Seconds()
	demand(belay.recovery >= 0 && (plain.recovery < 0 || behind <= maxBehind),
		fmt.Sprintf("belay recovers at most %.0f s later than plain", maxBehind),
		fmt.Sprintf("%s and %s", back(belay), back(plain)))
	return all
}
