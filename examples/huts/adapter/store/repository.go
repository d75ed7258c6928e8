// Repository: a collection of aggregates, as if they were in memory. Not worth it where
// a handler needs one query: let it write the query.

package store

import (
	"context"
	"fmt"
	"sync"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/domain"
)

// Huts are the huts there are, by ID.
type Huts map[domain.HutID]domain.Hut

// night returns an empty night.
func (h Huts) night(id domain.HutID, date domain.Date) (*domain.Night, error) {
	hut, ok := h[id]
	if !ok {
		return nil, fmt.Errorf("%w: no hut %q", domain.ErrNotFound, id)
	}
	return domain.NewNight(hut, date), nil
}

// Nights is an [app.Nights] over the events of a Store.
type Nights struct {
	Huts  Huts
	Store *Store
}

// Load replays what has happened to the night.
func (n *Nights) Load(ctx context.Context, hut domain.HutID, date domain.Date) (*domain.Night, error) {
	night, err := n.Huts.night(hut, date)
	if err != nil {
		return nil, err
	}
	recorded, err := n.Store.Events(ctx, hut, date)
	for _, r := range recorded {
		night.Apply(r.Event)
	}
	return night, err
}

// Save appends the events.
func (n *Nights) Save(ctx context.Context, night *domain.Night, events ...domain.Event) error {
	return n.Store.Append(ctx, night.Hut.ID, night.Date, night.Version(), events...)
}

// MemoryNights is an [app.Nights] for tests of whatever stands above it.
type MemoryNights struct {
	Huts Huts

	mu     sync.Mutex
	events map[night][]domain.Event
}

type night struct {
	hut  domain.HutID
	date domain.Date
}

// Load replays what has happened to the night.
func (n *MemoryNights) Load(_ context.Context, hut domain.HutID, date domain.Date) (*domain.Night, error) {
	found, err := n.Huts.night(hut, date)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	found.Apply(n.events[night{hut, date}]...)
	return found, nil
}

// Save appends the events.
func (n *MemoryNights) Save(_ context.Context, changed *domain.Night, events ...domain.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	key := night{changed.Hut.ID, changed.Date}
	if changed.Version() != len(n.events[key]) {
		return app.ErrConflict
	}
	if n.events == nil {
		n.events = map[night][]domain.Event{}
	}
	n.events[key] = append(n.events[key], events...)
	return nil
}
