package httpcache

import "time"

// An instant is read off two clocks: one that only goes forward but stands still
// while the machine sleeps, and that on the wall, which anybody may set.
type instant struct {
	mono time.Duration // since the cache was made
	wall int64         // Unix nanoseconds
}

func (c *Cache) now() instant {
	t := time.Now()
	return instant{t.Sub(c.epoch), t.UnixNano()}
}

// sub returns how much later i is than from: what the clock says that has gone
// further, so that nothing is taken for younger than it is.
func (i instant) sub(from instant) time.Duration {
	return max(i.mono-from.mono, time.Duration(i.wall-from.wall))
}

func (i instant) time() time.Time { return time.Unix(0, i.wall) }
