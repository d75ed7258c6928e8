package facade

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// run is one call.
//
// Workers run the parts: the caller's goroutine, if nothing can make the call end
// before a part does, and others. A worker that has finished a part takes one of
// those that are ready now, and starts a goroutine for each of the rest that the
// limit has a place for. Nothing waits in a place.
type run struct {
	plan     *plan
	ctx      lazy // of all parts
	in       any
	cells    []cell // by part
	clocked  bool
	start    time.Time     // if clocked, as all times are durations since then
	deadline time.Duration // of the caller's context; 0: none
	wg       sync.WaitGroup
	over     atomic.Bool // cause is set

	mu          sync.Mutex
	first, last int32 // of the queue of parts that are ready
	running     int   // workers in a place
	undecided   int   // parts
	woken       bool  // the caller, as none is
	timer       *time.Timer
	alarm       time.Duration // when it fires; 0: it does not
	cause       error         // the call has failed
	failed      string        // the part that did it
	stop        error         // the cause for the others
	undos       int32         // the latest part to undo; others by cell.before
	pivoted     bool
	crash       *PanicError
	exits       bool // some part has called runtime.Goexit
	closed      bool // Call returns
}

// cell is what a run knows of a part. It is the context of the part's function.
type cell struct {
	run   *run  // nil: the function has not been called
	timed *lazy // nil: the part has no time of its own

	value   any
	err     error // why status is not OK; before it is decided, why not to call
	rare    *rare
	status  Status
	phase   phase
	done    bool // value is the function's, of this call
	left    bool // behind, by the run; the function goes on
	unknown bool // the part may have been done all the same
	undone  bool

	waited       int32 // for as many parts
	next         int32 // in the queue
	before       int32 // in the list of undos
	limit        time.Duration
	begun, ended time.Duration
}

// rare is what few cells need.
type rare struct {
	served  error // why the function's value is a second choice
	stale   bool  // it is not of this call
	undoErr error
}

type phase uint8

const (
	waiting      phase = iota // for others, or in the queue
	running                   // its function
	substituting              // its fallback
	decided
)

const none int32 = -1

// grace is how long before its time is up a part's context ends, at most.
const grace = 10 * time.Millisecond

// soften returns the time after which a context ends, if d is all there is.
func soften(d time.Duration) time.Duration { return d - min(d/10, grace) }

// more returns the cell's rare, for writing.
func (c *cell) more() *rare {
	if c.rare == nil {
		c.rare = new(rare)
	}
	return c.rare
}

func (r *run) begin(p *plan, ctx context.Context, in any) {
	r.plan, r.in = p, in
	r.ctx.parent = ctx
	r.cells = make([]cell, len(p.nodes))
	r.undecided = len(p.nodes)
	r.first, r.last, r.undos = none, none, none
	r.wg.Add(1)
	deadline, ok := ctx.Deadline()
	if r.clocked = ok || p.timed || p.cfg.Observe != nil; r.clocked {
		r.start = time.Now()
	}
	if ok {
		r.deadline = max(deadline.Sub(r.start), 1)
	}
}

func (r *run) now() time.Duration { return time.Since(r.start) }

// timed reports whether part i may be left behind. The caller's goroutine cannot be.
func (r *run) timed(i int32) bool { return r.deadline > 0 || r.plan.nodes[i].timeout > 0 }

// execute returns when all parts are decided.
func (r *run) execute() {
	r.mu.Lock()
	for _, i := range r.plan.roots {
		r.enqueue(int32(i))
	}
	r.running++
	r.work(r.dispatch(true), true)
	r.wg.Wait()
}

func (r *run) enqueue(i int32) {
	r.cells[i].next = none
	if r.first == none {
		r.first = i
	} else {
		r.cells[r.last].next = i
	}
	r.last = i
}

// dispatch gives back a worker's place, and takes as many parts from the queue as
// there are places. It returns one for the worker itself and starts goroutines for
// the others. It is called with the lock held and releases it.
func (r *run) dispatch(inline bool) (own int32) {
	r.running--
	own = none
	limit := r.plan.cfg.Limit
	first, last := none, none // the others
	for r.first != none && (limit == 0 || r.running < limit) {
		i := r.first
		c := &r.cells[i]
		r.first, c.next = c.next, none
		r.running++
		c.phase = running
		switch {
		case own == none && !(inline && r.timed(i)):
			own = i
		case first == none:
			first, last = i, i
		default:
			r.cells[last].next = i
			last = i
		}
	}
	r.unlock()
	for first != none {
		i := first
		first = r.cells[i].next
		go r.work(i, false)
	}
	return own
}

// unlock wakes the caller when nothing is undecided any more.
func (r *run) unlock() {
	if r.undecided == 0 && !r.woken {
		r.woken = true
		r.wg.Done()
	}
	r.mu.Unlock()
}
