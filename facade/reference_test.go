package facade_test

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/belay-go/belay/facade"
)

// spec is a plan and what happens in a call of it.
type spec struct {
	parts    []specPart
	limit    int
	deadline time.Duration // 0: none
	cancel   time.Duration // 0: never
}

type specPart struct {
	on       []int // earlier parts
	soft     []bool
	when     int // an earlier part, which is true if odd; -1: none
	takes    time.Duration
	fails    bool
	ignores  bool // its context
	optional bool
	fallback int // 0: none, 1: a value, 2: a function, 3: one that fails
	timeout  time.Duration
	expects  time.Duration
	undo     bool
	always   bool
	pivot    bool
}

func (p specPart) undoable() bool { return p.undo || p.always }

// outcome is what comes of a call.
type outcome struct {
	elapsed  time.Duration
	statuses []facade.Status
	values   []int
	failed   string // "": it succeeded
	part     string
	undone   []undone // in order of completion
	unknown  []string
	undos    []string // whenever they are called
}

type undone struct {
	part string
	at   time.Duration
}

// reference is a slow and obvious interpreter of plans: it steps from event to event,
// and looks at every part in each step.
type reference struct {
	spec
	outcome
	now       time.Duration
	state     []refState
	queue     []int
	running   int
	call      string // why it has failed
	pivoted   bool
	begun     int  // now
	uncalled  int  // of them
	ambiguous bool // two things happen at a time: their order is anybody's guess
	tails     []time.Duration
}

type refState struct {
	decided, started bool
	told             int  // by parts that it needs
	skip             bool // without being called
	ends             time.Duration
	limit            time.Duration // left behind then
	expired          bool          // its limit has passed
	left             bool          // and its function goes on
	timeout          bool          // it ends by its context
	unknown          bool
	at               time.Duration // decided
	ok               bool
}

const never = time.Duration(math.MaxInt64)

func (s spec) run() *reference {
	n := len(s.parts)
	r := &reference{spec: s, state: make([]refState, n), tails: make([]time.Duration, n)}
	r.statuses, r.values = make([]facade.Status, n), make([]int, n)
	for i := n - 1; i >= 0; i-- {
		for j := i + 1; j < n; j++ {
			if slices.Contains(s.parts[j].on, i) || s.parts[j].when == i {
				r.tails[i] = max(r.tails[i], s.parts[j].expects+r.tails[j])
			}
		}
	}
	for i, p := range s.parts {
		if len(p.on) == 0 && p.when < 0 {
			r.enqueue(i)
		}
	}
	r.fill()
	for !r.over() {
		r.step()
	}
	r.elapsed = r.now
	r.conclude()
	return r
}

func (r *reference) over() bool {
	return !slices.ContainsFunc(r.state, func(s refState) bool { return !s.decided })
}

// step goes to the next event.
func (r *reference) step() {
	next, events := never, 0
	note := func(at time.Duration) {
		if at < next {
			next, events = at, 0
		}
		if at == next {
			events++
		}
	}
	for _, s := range r.state {
		if s.started && (!s.decided || s.left) && (!s.expired || s.left) {
			note(s.ends)
			if !s.expired {
				note(s.limit)
			}
		}
	}
	if r.cancel > r.now {
		note(r.cancel)
	}
	if next == never {
		panic(fmt.Sprintf("reference: nothing will ever happen: %+v\nqueue %v running %d call %q\n%+v", r.state, r.queue, r.running, r.call, r.spec))
	}
	r.ambiguous = r.ambiguous || events > 1
	r.now, r.begun, r.uncalled = next, 0, 0
	if r.cancel == next {
		for i, s := range r.state {
			if s.started && !s.decided && !r.parts[i].ignores {
				r.interrupt(i)
			}
		}
		return
	}
	for i := range r.state {
		s := &r.state[i]
		switch {
		case !s.started:
		case s.left && s.ends == next:
			r.late(i)
		case s.decided || s.expired:
		case s.ends == next:
			r.ended(i)
			return
		case s.limit == next:
			s.expired, s.left, s.unknown = true, true, r.parts[i].undoable()
			r.running--
			if r.parts[i].fallback >= 2 && r.call == "" {
				r.queue = slices.Insert(r.queue, 0, i) // it keeps its place
			} else {
				r.without(i, facade.Failed)
			}
			r.fill()
			return
		}
	}
}

// enqueue puts part i before the first that is less urgent, if places are short.
func (r *reference) enqueue(i int) {
	at := slices.IndexFunc(r.queue, func(j int) bool { return r.limit > 0 && !r.state[j].expired && r.moreUrgent(i, j) })
	if at < 0 {
		at = len(r.queue)
	}
	r.queue = slices.Insert(r.queue, at, i)
}

func (r *reference) moreUrgent(i, j int) bool {
	if a, b := r.required(i), r.required(j); a != b {
		return a
	}
	return r.parts[i].expects+r.tails[i] > r.parts[j].expects+r.tails[j]
}

func (r *reference) required(i int) bool {
	for j := i + 1; j < len(r.parts); j++ {
		if p := r.parts[j]; (slices.Contains(p.on, i) || p.when == i) && r.required(j) {
			return true
		}
	}
	return !r.parts[i].optional
}

func (r *reference) fill() {
	for len(r.queue) > 0 && (r.limit == 0 || r.running < r.limit) {
		i := r.queue[0]
		r.queue = r.queue[1:]
		r.begin(i)
	}
}

func (r *reference) begin(i int) {
	p, s := r.parts[i], &r.state[i]
	r.begun++
	defer func() {
		if !s.started || s.expired {
			// Of two that are decided at once, which one's dependents queue first?
			r.uncalled++
			r.ambiguous = r.ambiguous || r.uncalled > 1 && r.limit > 1
		}
	}()
	given := never
	if p.timeout > 0 {
		given = p.timeout
	}
	left := r.deadline - r.tails[i] - r.now
	if r.deadline > 0 {
		given = min(given, left)
	}
	switch {
	case s.expired:
		r.without(i, facade.Failed)
	case s.skip:
		r.without(i, facade.Skipped)
	case r.cancel > 0 && r.now >= r.cancel:
		r.fail("cancelled", "")
		r.decide(i, facade.Cancelled, 0)
	case p.when >= 0 && r.values[p.when]%2 == 0:
		r.notNeeded(i)
	case r.deadline > 0 && (left <= 0 || left < facade.Soften(p.expects)):
		r.without(i, facade.Skipped)
	default:
		r.running++
		s.started, s.ends, s.limit = true, r.now+p.takes, never
		if given != never {
			s.limit = r.now + given
			if soft := r.now + facade.Soften(given); s.ends >= soft {
				r.ambiguous = r.ambiguous || s.ends == soft
				s.timeout = true
				if !p.ignores {
					s.ends = soft
				}
			}
		}
		if !p.ignores && r.call != "" {
			panic("reference: begun too late")
		}
	}
}

// interrupt ends part i by its context.
func (r *reference) interrupt(i int) {
	if r.state[i].decided {
		return
	}
	r.running--
	s := &r.state[i]
	s.ends, s.unknown = r.now, r.parts[i].undoable()
	r.fail("cancelled", "")
	r.decide(i, facade.Cancelled, 0)
}

// ended is the return of part i's function.
func (r *reference) ended(i int) {
	p, s := r.parts[i], &r.state[i]
	r.running--
	cancelled := r.cancel > 0 && r.now >= r.cancel
	switch {
	case !p.fails && (!s.timeout || p.ignores):
		v := 1
		for _, d := range p.on {
			v += r.values[d]
		}
		s.ok = true
		r.decide(i, facade.OK, v)
	case r.call != "" || cancelled:
		s.unknown = p.undoable()
		r.fail("cancelled", "")
		r.decide(i, facade.Cancelled, 0)
	default:
		s.unknown = p.undoable() && s.timeout
		r.without(i, facade.Failed)
	}
	r.fill()
}

func name(i int) string { return fmt.Sprint("p", i) }
