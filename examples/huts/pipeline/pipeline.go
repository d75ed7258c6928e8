// Data pipeline: extract, transform, load, and remember how far. Not worth it while a query
// over the log itself is fast enough: here it would be, for years.

// Package pipeline makes yearly figures for the alpine club out of the log of events: how
// many beds were taken at each hut in each week, and how many of them under a clear sky.
// What is live and what is made anew from the beginning runs the same code.
package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/ratelimit"
)

// A Pipeline carries what happens from the log into the figures. All fields must be set but
// Batch.
type Pipeline struct {
	Huts store.Huts
	Log  interface {
		Lines(ctx context.Context, after int64, limit int) ([]store.Line, error)
	}
	Sky     func(context.Context, Night) (string, error) // asked with low priority: guests go first
	Figures *Figures
	Batch   int // lines at a time; 0: 200
}

// A Night is one at a hut.
type Night struct {
	Hut  domain.HutID
	Date domain.Date
}

// at is told of each step, so that a test can let the process die there.
var at = func(step string) {}

// Run keeps the figures up to date until ctx ends.
func (p *Pipeline) Run(ctx context.Context) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := p.CatchUp(ctx); err != nil && ctx.Err() == nil {
			slog.DebugContext(ctx, "pipeline: tried again soon", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// CatchUp carries over what has happened since the checkpoint. After an error, the next
// call goes on where this one came to.
func (p *Pipeline) CatchUp(ctx context.Context) error {
	for {
		if n, err := p.step(ctx); err != nil || n == 0 {
			return err
		}
	}
}

// step carries one batch over: the figures and the checkpoint change in one transaction, or
// not at all.
func (p *Pipeline) step(ctx context.Context) (n int, err error) {
	from, err := p.Figures.Checkpoint(ctx)
	if err != nil {
		return 0, err
	}
	limit := p.Batch
	if limit == 0 {
		limit = 200
	}
	lines, err := p.Log.Lines(ctx, from, limit)
	if err != nil || len(lines) == 0 {
		return 0, err
	}
	at("extracted")
	facts := make([]fact, len(lines))
	for i, l := range lines {
		facts[i] = transform(l, p.Huts)
	}
	if err := p.enrich(ctx, facts); err != nil {
		return 0, err
	}
	at("enriched")
	if err := p.Figures.load(ctx, from, facts); err != nil {
		return 0, err
	}
	at("loaded")
	return len(lines), nil
}

// enrich asks for the sky over each night on which beds were taken. While it cannot be had
// the figures wait, since they would be others without it. A night of which nothing is
// known has none.
func (p *Pipeline) enrich(ctx context.Context, facts []fact) error {
	index := map[Night]int{}
	var nights []Night
	for _, f := range facts {
		if _, seen := index[f.night]; f.kind == taken && !seen {
			index[f.night] = len(nights)
			nights = append(nights, f.night)
		}
	}
	skies, err := facade.Each(4, nil, p.sky)(ratelimit.LowPriority(ctx), nights)
	if err != nil {
		return err
	}
	for i := range facts {
		if facts[i].kind == taken {
			facts[i].sky = skies[index[facts[i].night]]
		}
	}
	return nil
}

func (p *Pipeline) sky(ctx context.Context, n Night) (string, error) {
	sky, err := p.Sky(ctx, n)
	if e, ok := errors.AsType[*gateway.Error](err); ok && e.Status == http.StatusNotFound {
		return "", nil
	}
	return sky, err
}
