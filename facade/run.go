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
//
// The files follow a call: run.go begins it, worker.go runs its parts, settle.go books
// what has become of them, expire.go leaves behind what has had its time, and
// finish.go and undo.go end it. late.go is for what comes after that.
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
	timedCtx    *lazy // of the part that began last of those that have a time
	timedEnd    time.Duration
	timer       *time.Timer
	alarm       time.Duration // when it fires; 0: it does not
	cause       error         // the call has failed
	failed      string        // the part that did it
	stop        error         // the cause for the others
	undos       int32         // the latest part to undo; others by cell.before
	pivoted     bool
	panics      *PanicError // some part's
	exits       bool        // some part has called runtime.Goexit
	closed      bool        // the parts are what they are; the call returns, or undoes them
	gone        bool        // whoever called: a panic has nobody to reach
}

// cell is what a run knows of a part. It is the context of the part's function. Its
// states are
//
//	phase         left  done
//	waiting       no    no    for other parts, or in the queue
//	waiting       yes   no    in the queue again, for its fallback
//	running       no    no    its function runs, or is about to
//	substituting  no    no    its function has no value; its fallback runs
//	substituting  yes   no    its fallback runs, and its function goes on
//	decided       no    yes   it has the value of its function
//	decided       no    no    it has that of a fallback, or none
//	decided       yes   no    the same, and its function goes on
//
// A part that is left and not waiting for its fallback holds no place. left ends
// when the function has returned and been undone where it can be.
type cell struct {
	run   *run  // nil: the function has not been called
	timed *lazy // nil: the part has no time of its own

	value    any
	err      error // why status is not OK; before it is decided, why not to call
	rare     *rare
	status   Status
	phase    phase
	done     bool // value is the function's, of this call
	left     bool // behind, by the run; the function goes on
	unknown  bool // the part may have been done all the same
	undone   bool
	unneeded bool // its condition is false, or that of one that it needs

	waited       int32 // for as many parts
	next         int32 // in the queue
	before       int32 // in the list of undos
	limit        time.Duration
	begun, ended time.Duration
}

// rare is what few cells need.
type rare struct {
	second  second // choice, which the function's value is if there is a cause
	undoErr error
}

type phase uint8

const (
	waiting phase = iota
	running
	substituting
	decided
)

const none int32 = -1

// grace is how long before its time is up a part's context ends, at most.
const grace = 10 * time.Millisecond

// atOnce is the difference up to which two parts begin at once.
const atOnce = 100 * time.Microsecond

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
	p.inFlight.Add(1)
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
	r.work(r.launch(r.open()), true)
	r.wg.Wait()
}

// open puts the parts that need no others into the queue, and takes the first.
func (r *run) open() (own, others int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.plan.roots {
		r.enqueueLocked(i)
	}
	r.running++
	return r.dispatchLocked(true)
}

// enqueueLocked puts part i behind those that are as urgent, if places are short, or
// else at the end.
func (r *run) enqueueLocked(i int32) {
	c := &r.cells[i]
	switch {
	case r.first == none:
		c.next, r.first, r.last = none, i, i
	case r.plan.cfg.Limit == 0 || r.plan.urgency(r.last, i) <= 0:
		c.next, r.cells[r.last].next, r.last = none, i, i
	default:
		r.insertLocked(i)
	}
}

// insertLocked puts part i before the first that is less urgent. Those that were left
// behind have had their place, and keep it.
func (r *run) insertLocked(i int32) {
	at := &r.first
	for *at != none && (r.cells[*at].left || r.plan.urgency(*at, i) <= 0) {
		at = &r.cells[*at].next
	}
	if r.cells[i].next, *at = *at, i; r.cells[i].next == none {
		r.last = i
	}
}

// dispatchLocked gives back a worker's place, and takes as many parts from the queue
// as there are places: one for the worker itself, and others, a list, that need a
// goroutine each.
func (r *run) dispatchLocked(inline bool) (own, others int32) {
	r.running--
	own, others = none, none
	limit, last := r.plan.cfg.Limit, none
	for r.first != none && (limit == 0 || r.running < limit) {
		i := r.first
		c := &r.cells[i]
		r.first, c.next = c.next, none
		r.running++
		c.phase = running
		switch {
		case own == none && !(inline && r.timed(i)):
			own = i
		case others == none:
			others, last = i, i
		default:
			r.cells[last].next = i
			last = i
		}
	}
	return own, others
}

// launch gives each of others a goroutine, and returns own.
func (r *run) launch(own, others int32) int32 {
	for others != none {
		i := others
		others = r.cells[i].next
		go r.work(i, false)
	}
	return own
}
