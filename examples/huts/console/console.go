// Operator's console: what is broken, what the layers do about it, and what becomes of
// the bookings, on one page. Not worth building for a service that has dashboards: this
// one is for whoever wants to see how it works.

// Package console shows the simulated world and breaks it. It is for this machine only:
// whoever can ask it can do harm.
package console

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"net/http"
	"slices"

	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/examples/huts/world"
	"github.com/belay-go/belay/ratelimit"
)

// A Console serves the page. Bookings is optional.
type Console struct {
	Systems  []*world.System
	Layers   []Layer
	Bookings func(ctx context.Context, limit int) ([]domain.Booking, error) // the latest, newest first
	Done     <-chan struct{}                                                // ends all streams
}

//go:embed pages
var files embed.FS

var views = platform.NewViews(files, "script-src 'self'; connect-src 'self'")

// Handler returns the page and what belongs to it, all at /world and below.
func (c *Console) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /world", c.page)
	mux.HandleFunc("POST /world/{system}", c.breakSystem)
	mux.HandleFunc("GET /world/live.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "pages/live.js")
	})
	streams := ratelimit.NewBulkhead(ratelimit.BulkheadConfig{Name: "streams", Limit: 20})
	mux.HandleFunc("GET /world/events", func(w http.ResponseWriter, r *http.Request) {
		place, err := streams.Allow()
		if err != nil {
			platform.Refuse(w, platform.Problem{Status: http.StatusServiceUnavailable, Detail: "many are watching already"})
			return
		}
		defer place.Done()
		c.stream(w, r)
	})
	return mux
}

// A snapshot is all that the page shows.
type snapshot struct {
	Systems  []system
	Layers   []row
	Bookings []domain.Booking
	Problem  string // why there are no bookings
}

type system struct {
	Name   string
	Fault  world.Fault
	Faults []world.Fault // all there are
	Asked  int
}

func (c *Console) look(ctx context.Context) snapshot {
	s := snapshot{Layers: rows(c.Layers)}
	for _, w := range c.Systems {
		s.Systems = append(s.Systems, system{w.Name, w.Fault(), world.Faults, w.Asked()})
	}
	s.Problem = "The booking service runs elsewhere."
	if c.Bookings != nil {
		var err error
		if s.Bookings, err = c.Bookings(ctx, 10); err != nil {
			s.Problem = "The bookings cannot be read."
		} else {
			s.Problem = "Nobody has booked yet."
		}
	}
	return s
}

func (c *Console) page(w http.ResponseWriter, r *http.Request) {
	views.Show(w, r, http.StatusOK, "world", c.look(r.Context()))
}

// breakSystem breaks the system in the path in the way that the form says.
func (c *Console) breakSystem(w http.ResponseWriter, r *http.Request) {
	name, fault := r.PathValue("system"), world.Fault(r.PostFormValue("fault"))
	if fault == "well" {
		fault = world.Well
	}
	i := slices.IndexFunc(c.Systems, func(s *world.System) bool { return s.Name == name })
	switch {
	case i < 0:
		platform.Refuse(w, platform.Problem{Status: http.StatusNotFound, Detail: "there is no such system"})
	case !r.PostForm.Has("fault") || fault != world.Well && !slices.Contains(world.Faults, fault):
		platform.Refuse(w, platform.Problem{Status: http.StatusBadRequest, Detail: fmt.Sprintf("want a form with fault=well, or one of %v", world.Faults)})
	default:
		c.Systems[i].Break(fault)
		w.Header().Set("Location", "/world#"+name) // back to where the button was
		w.WriteHeader(http.StatusSeeOther)
		fmt.Fprintf(w, "%s is %s\n", name, cmp.Or(fault, "well"))
	}
}
