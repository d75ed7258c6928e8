package retry

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// counters are written where a retry is decided; a call that succeeds at first touches
// none of them.
type counters struct {
	retried, retries, recovered, gaveUp, refused, expired atomic.Uint64
}

// Stats is a snapshot of a [Policy]. The counters begin when it is made. A call
// that succeeds at first changes none of them.
type Stats struct {
	Name      string // Config.Name
	Retried   uint64 // calls with a second attempt
	Retries   uint64 // attempts from the second on
	Recovered uint64 // calls that succeeded after the first attempt
	GaveUp    uint64 // calls that failed after another attempt was made or refused
	Refused   uint64 // of them, calls that the budget refused another attempt
	Expired   uint64 // of them, calls without the time for another attempt
}

// Budget returns what limits the retries of p: Config.Budget, or its own.
func (p *Policy) Budget() *Budget { return p.budget }

// Stats returns a snapshot.
func (p *Policy) Stats() Stats {
	return Stats{
		Name:      p.cfg.Name,
		Retried:   p.retried.Load(),
		Retries:   p.retries.Load(),
		Recovered: p.recovered.Load(),
		GaveUp:    p.gaveUp.Load(),
		Refused:   p.refused.Load(),
		Expired:   p.expired.Load(),
	}
}

// LogValue implements [slog.LogValuer].
func (s Stats) LogValue() slog.Value {
	return statsValue(s.Name,
		slog.Uint64("retried", s.Retried),
		slog.Uint64("retries", s.Retries),
		slog.Uint64("recovered", s.Recovered),
		slog.Uint64("gave_up", s.GaveUp),
		slog.Uint64("refused", s.Refused),
		slog.Uint64("expired", s.Expired),
	)
}

// BudgetStats is a snapshot of a [Budget].
type BudgetStats struct {
	Name    string  // BudgetConfig.Name
	Balance float64 // retries that could be made at once, the floor's not counted
	Granted uint64  // retries granted, and made
	Refused uint64  // retries refused
}

// Stats returns a snapshot.
func (b *Budget) Stats() BudgetStats {
	return BudgetStats{
		Name:    b.name,
		Balance: float64(b.balance.Load()) / whole,
		Granted: b.granted.Load(),
		Refused: b.refused.Load(),
	}
}

// LogValue implements [slog.LogValuer].
func (s BudgetStats) LogValue() slog.Value {
	return statsValue(s.Name,
		slog.Float64("balance", s.Balance),
		slog.Uint64("granted", s.Granted),
		slog.Uint64("refused", s.Refused),
	)
}

// HedgeStats is a snapshot of a [Hedger].
type HedgeStats struct {
	Name    string        // HedgeConfig.Name
	Delay   time.Duration // before a call is hedged; 0: not known yet
	Hedges  uint64        // attempts begun beside, or after, others
	Wins    uint64        // those of them whose value was returned
	Refused uint64        // attempts that the budget refused
	Panics  uint64        // of Observe, on goroutines of the Hedger's
}

// Stats returns a snapshot.
func (h *Hedger) Stats() HedgeStats {
	return HedgeStats{
		Name:    h.cfg.Name,
		Delay:   max(h.delay(), 0),
		Hedges:  h.hedges.Load(),
		Wins:    h.wins.Load(),
		Refused: h.refused.Load(),
		Panics:  h.panics.Load(),
	}
}

// LogValue implements [slog.LogValuer]. It has the delay if it is known, and the
// panics if there were any.
func (s HedgeStats) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, 6)
	if s.Delay > 0 {
		attrs = append(attrs, slog.Duration("delay", s.Delay))
	}
	attrs = append(attrs,
		slog.Uint64("hedges", s.Hedges),
		slog.Uint64("wins", s.Wins),
		slog.Uint64("refused", s.Refused),
	)
	if s.Panics > 0 {
		attrs = append(attrs, slog.Uint64("panics", s.Panics))
	}
	return statsValue(s.Name, attrs...)
}
