package mishap_test

import (
	"sync"
	"testing"
	"time"

	"github.com/belay-go/belay/internal/mishap"
)

// The kit sees what there is to see, also after a process has died.
func TestRun(t *testing.T) {
	var mu sync.Mutex
	here := func(e mishap.Ending) func(*testing.T) string {
		return func(*testing.T) string {
			begin := time.Now()
			how, value := mishap.Ended(e.End)
			if d := time.Since(begin); value != nil && value != mishap.Value || (d == mishap.Hang) != (e == mishap.Hangs) {
				return "wrong"
			}
			return how.String()
		}
	}
	elsewhere := func(e mishap.Ending) func(*testing.T) string {
		return func(*testing.T) string {
			go e.End()
			time.Sleep(time.Second)
			return "goes on"
		}
	}
	mishap.Run(t, []mishap.Case{
		{"here, returns", here(mishap.Returns), "returns"},
		{"here, panics", here(mishap.Panics), "panics"},
		{"here, exits", here(mishap.Exits), "exits"},
		{"here, hangs", here(mishap.Hangs), "returns"},
		{"elsewhere, panics", elsewhere(mishap.Panics), mishap.Dies},
		{"elsewhere, exits", elsewhere(mishap.Exits), "goes on"},
		{"elsewhere, panics again", elsewhere(mishap.Panics), mishap.Dies},
		{"many lines", func(*testing.T) string { return "one\n\"two\"" }, "one\n\"two\""},
		{"before the last", func(*testing.T) string { mu.Lock(); return "" }, ""},
	})
}
