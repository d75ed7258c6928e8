package facade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"
)

// definition is a plan that is being written.
type definition struct {
	cfg   Config
	nodes []*node
	errs  []error
}

// node is what is known of a part.
type node struct {
	name             string
	call             func(context.Context, *run) (any, error)
	fits             func(any) bool // for values from outside
	edges            []edge
	optional, pivot  bool
	timeout, expects time.Duration
	when             func(*run) bool
	given            []string // methods that can be called once
	fallbacks        int
	fallback         func(context.Context, error) (any, error) // nil: substitute, if there is one
	substitute       any
	undo             func(context.Context, any) error
	always           func(context.Context, *run) error
	waits            int32         // for as many parts
	dependents       []dependent   // in order
	tail             time.Duration // expected of the parts behind it
	required         bool          // it is not optional, or a part behind it is not
}

// urgency orders parts that wait for a place: those that the call cannot do without come
// first, and of them those on the longest way to the end.
func (p *plan) urgency(a, b int32) int {
	x, y := &p.nodes[a], &p.nodes[b]
	if x.required != y.required {
		if x.required {
			return -1
		}
		return 1
	}
	return cmp.Compare(y.expects+y.tail, x.expects+x.tail)
}

func (n *node) undoable() bool { return n.undo != nil || n.always != nil }

// edge is what a part needs; soft, it may have no value.
type edge struct {
	def   *definition // nil: none, a mistake
	index int
	soft  bool
}

type dependent struct {
	index int
	soft  bool
}

func (d *definition) wrong(format string, args ...any) {
	d.errs = append(d.errs, fmt.Errorf("facade: plan %q: "+format, append([]any{d.cfg.Name}, args...)...))
}

// add is every way to add a part.
func add[T any](d *definition, name string, missing bool, call func(context.Context, *run) (any, error), edges ...edge) *Part[T] {
	if missing {
		d.wrong("part %q has no function", name)
	}
	d.nodes = append(d.nodes, &node{
		name:  name,
		call:  call,
		edges: edges,
		fits: func(v any) bool {
			_, ok := v.(T)
			return ok || v == nil && reflect.TypeFor[T]().Kind() == reflect.Interface
		},
	})
	return &Part[T]{def: d, index: len(d.nodes) - 1}
}

// plan is a definition that has been checked and copied.
type plan struct {
	def    *definition // only to be compared
	cfg    Config
	nodes  []node
	roots  []int32
	timed  bool // some part has a Timeout
	counts []counts

	inFlight                                atomic.Int64
	calls, failed, partial, refused, panics atomic.Uint64
}

// counts are how a part has ended, by Status.
type counts struct {
	ended [Cancelled + 1]atomic.Uint64
	left  atomic.Uint64
}

func (d *definition) compile(noAssemble bool) (*plan, error) {
	c := definition{cfg: d.cfg, nodes: d.nodes, errs: slices.Clone(d.errs)}
	if noAssemble {
		c.wrong("assemble is nil")
	}
	c.checkParts()
	for i := range d.nodes {
		c.checkEdges(d, i)
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	p := &plan{def: d, cfg: d.cfg.withDefaults(), nodes: make([]node, len(d.nodes)), counts: make([]counts, len(d.nodes))}
	for i, n := range d.nodes {
		p.nodes[i] = *n
		p.timed = p.timed || n.timeout > 0
	}
	for i := range p.nodes {
		p.connect(i)
	}
	for i := len(p.nodes) - 1; i >= 0; i-- {
		n := &p.nodes[i]
		n.required = !n.optional
		for _, d := range n.dependents {
			on := &p.nodes[d.index]
			n.tail = max(n.tail, on.expects+on.tail)
			n.required = n.required || on.required
		}
	}
	slices.SortStableFunc(p.roots, p.urgency)
	return p, nil
}

func (d *definition) checkParts() {
	required := 0
	names := map[string]int{}
	for _, n := range d.nodes {
		if names[n.name]++; names[n.name] == 2 {
			d.wrong("two parts are called %q", n.name)
		}
		if n.name == "" {
			d.wrong("a part has no name")
		}
		for i, method := range n.given {
			if slices.Index(n.given, method) < i {
				d.wrong("part %q has a second %s", n.name, method)
			}
		}
		if n.fallbacks > 1 {
			d.wrong("part %q has %d fallbacks", n.name, n.fallbacks)
		}
		if n.timeout > 0 && n.expects > n.timeout {
			d.wrong("part %q: it Expects %v, more than its Timeout of %v", n.name, n.expects, n.timeout)
		}
		if n.pivot && n.optional {
			d.wrong("part %q: a Pivot cannot be Optional", n.name)
		}
		if !n.optional {
			required++
		}
	}
	if len(d.nodes) == 0 {
		d.wrong("it has no parts")
	} else if required == 0 {
		d.wrong("all its parts are Optional")
	}
}

// checkEdges checks what part i needs. A part can only need those added before it,
// so there are no cycles.
func (d *definition) checkEdges(own *definition, i int) {
	n := d.nodes[i]
	for _, e := range n.edges {
		switch {
		case e.def == nil:
			d.wrong("part %q needs a part that is nil, or that Step or After has not made", n.name)
		case e.def != own:
			d.wrong("part %q needs a part of plan %q", n.name, e.def.cfg.Name)
		case e.index == input:
		case e.index >= i:
			d.wrong("part %q needs %q, which must be added before it", n.name, d.nodes[e.index].name)
		case !e.soft && !n.optional && n.fallbacks == 0:
			if on := d.nodes[e.index]; on.fallbacks == 0 && (on.optional || on.when != nil) {
				d.wrong("part %q is required, but needs %q, which may have no value; give one a Fallback, make %[2]q Optional or %[3]q Settled", n.name, on.name)
			}
		}
	}
}

// connect makes an edge of part i known to the part at its other end.
func (p *plan) connect(i int) {
	n := &p.nodes[i]
	for _, e := range n.edges {
		if e.index == input {
			continue
		}
		on := &p.nodes[e.index]
		if last := len(on.dependents) - 1; last >= 0 && on.dependents[last].index == i {
			on.dependents[last].soft = on.dependents[last].soft && e.soft
			continue
		}
		on.dependents = append(on.dependents, dependent{index: i, soft: e.soft})
		n.waits++
	}
	if n.waits == 0 {
		p.roots = append(p.roots, int32(i))
	}
}

// Override returns a copy of f in which the part of that name calls fn instead. The
// copy has counters of its own. Override is for tests: package facadetest makes its
// arguments from handles, so that the compiler checks them. It panics if there is no
// such part. A value that does not have the part's type fails the part.
func (f *Facade[In, Out]) Override(part string, fn func(context.Context) (any, error)) *Facade[In, Out] {
	f.must("Override")
	if fn == nil {
		panic("facade: Override: fn is nil")
	}
	i := slices.IndexFunc(f.plan.nodes, func(n node) bool { return n.name == part })
	if i < 0 {
		panic(fmt.Sprintf("facade: Override: plan %q has no part %q", f.plan.cfg.Name, part))
	}
	p := &plan{def: f.plan.def, cfg: f.plan.cfg, nodes: slices.Clone(f.plan.nodes), roots: f.plan.roots, timed: f.plan.timed,
		counts: make([]counts, len(f.plan.nodes))}
	n := &p.nodes[i]
	n.call = func(ctx context.Context, r *run) (any, error) {
		v, err := fn(ctx)
		if err == nil && !n.fits(v) {
			return nil, fmt.Errorf("facade: Override: part %q cannot have a value of type %T", part, v)
		}
		return v, err
	}
	return &Facade[In, Out]{plan: p, assemble: f.assemble}
}
