package facade

import (
	"context"
	"fmt"
	"time"
)

// A Part is the handle of one call of a [Plan], and of its value. Its methods
// describe the part further, and return it. [Build] reports what they are given that
// is wrong.
type Part[T any] struct {
	def   *definition
	index int          // of its node, or input
	view  func(*run) T // of a settled part
}

// input is the index of the plan's input.
const input = -1

// Optional lets the call succeed without the part.
func (p *Part[T]) Optional() *Part[T] {
	p.option("Optional").optional = true
	return p
}

// Timeout bounds the part: after d it has failed, even if its function goes on. The
// function's context ends earlier by d/10, and by 10ms at most, so that a function that
// answers then is in time.
func (p *Part[T]) Timeout(d time.Duration) *Part[T] {
	n := p.once("Timeout")
	if n.timeout = d; d <= 0 {
		p.def.wrong("part %q: Timeout is %v, want more than 0", n.name, d)
	}
	return p
}

// Expects says how long the part usually takes. If the context has a deadline, the
// parts that it needs have to leave it that much time, and the part does not begin if
// notably less is left.
func (p *Part[T]) Expects(d time.Duration) *Part[T] {
	n := p.once("Expects")
	if n.expects = d; d <= 0 {
		p.def.wrong("part %q: Expects is %v, want more than 0", n.name, d)
	}
	return p
}

// Fallback gives the part the value v where it would have none, unless the call
// fails.
func (p *Part[T]) Fallback(v T) *Part[T] {
	n := p.option("Fallback")
	n.fallbacks++
	n.substitute = v
	return p
}

// FallbackFunc is [Part.Fallback] with a value that f makes of the cause. The context
// of f ends with the call, not with the part. f must return soon when it has ended.
func (p *Part[T]) FallbackFunc(f func(ctx context.Context, cause error) (T, error)) *Part[T] {
	n := p.option("FallbackFunc")
	n.fallbacks++
	if f == nil {
		p.def.wrong("part %q: FallbackFunc is nil", n.name)
	}
	n.fallback = func(ctx context.Context, cause error) (any, error) { return box(f(ctx, cause)) }
	return p
}

// Undo says how the part is taken back. f gets the part's value if the part was done
// and the call fails, or if the value comes when the call does not wait for it any
// more. f runs on a goroutine of its own.
func (p *Part[T]) Undo(f func(context.Context, T) error) *Part[T] {
	n := p.once("Undo")
	if f == nil {
		p.def.wrong("part %q: Undo is nil", n.name)
	}
	n.undo = func(ctx context.Context, v any) error { return f(ctx, unbox[T](v)) }
	return p
}

// UndoAlways has f take part back also if nobody knows whether it was done: if it has
// timed out, was cancelled or panicked. There is no value then, so f gets the value of
// key, on which part depends too: for instance the input, with an idempotency key in
// it. f is called when part's function has returned. If part has an Undo and a value,
// the Undo is called instead.
func UndoAlways[T, K any](part *Part[T], key *Part[K], f func(context.Context, K) error) *Part[T] {
	n := part.once("UndoAlways")
	if f == nil {
		part.def.wrong("part %q: UndoAlways is nil", n.name)
	}
	n.always = func(ctx context.Context, r *run) error { return f(ctx, key.get(r)) }
	n.edges = append(n.edges, key.edge())
	return part
}

// Pivot makes the part the point of no return: when it is done, what was done before
// is not undone any more. If the call fails later, Call returns its error together
// with what assemble makes of the values that are there. Required ones may be missing
// then.
func (p *Part[T]) Pivot() *Part[T] {
	p.option("Pivot").pivot = true
	return p
}

// When calls the part only if the value of cond is true. Otherwise the part is
// Skipped. That is not a failure, even of a required part.
func (p *Part[T]) When(cond *Part[bool]) *Part[T] {
	n := p.once("When")
	n.when = cond.get
	n.edges = append(n.edges, cond.edge())
	return p
}

// Name returns the part's name.
func (p *Part[T]) Name() string {
	p.must("Name")
	if p.index == input {
		return "input"
	}
	return p.def.nodes[p.index].name
}

// must panics if no plan has made p.
func (p *Part[T]) must(method string) {
	if p == nil || p.def == nil {
		panic(fmt.Sprintf("facade: %s of a Part that is nil, or that no Step, After or In has made", method))
	}
}

// option returns what a method is to change.
func (p *Part[T]) option(method string) *node {
	p.must(method)
	if p.index == input || p.view != nil {
		p.def.wrong("%s of %s, which is not a part of its own", method, p.Name())
		return &node{}
	}
	return p.def.nodes[p.index]
}

// once is option for a method of which a second call would hide the first.
func (p *Part[T]) once(method string) *node {
	n := p.option(method)
	n.given = append(n.given, method)
	return n
}

// Settled returns a handle of how p ends. A part that depends on it is called also if p
// has no value, and finds out from the [Result].
func Settled[T any](p *Part[T]) *Part[Result[T]] {
	if p == nil {
		return nil
	}
	return &Part[Result[T]]{def: p.def, index: p.index, view: p.result}
}

// Value returns the part's value, or the zero value if it has none.
func (p *Part[T]) Value(v *Values) T {
	p.must("Value")
	if v.foreign(p.def, p.index, p.Name) {
		var zero T
		return zero
	}
	return p.get(&v.run)
}

// Result returns the part's value and how the part has ended.
func (p *Part[T]) Result(v *Values) Result[T] {
	p.must("Result")
	if v.foreign(p.def, p.index, p.Name) {
		return Result[T]{Status: Cancelled, Err: v.misuse}
	}
	return p.result(&v.run)
}

// A Result is how a part has ended.
type Result[T any] struct {
	Value  T      // zero unless Status is OK or FellBack
	Status Status // how it has ended
	Err    error  // why it is not OK
}

// A Status is how a part has ended.
type Status uint8

const (
	// OK: its function has returned a value.
	OK Status = iota
	// FellBack: the value is a fallback.
	FellBack
	// Failed: its function has returned an error, or not in time.
	Failed
	// Skipped: it was not called.
	Skipped
	// Cancelled: the call had failed, or its context had been cancelled.
	Cancelled
)

func (s Status) String() string {
	if s > Cancelled {
		return fmt.Sprintf("Status(%d)", uint8(s))
	}
	return [...]string{"ok", "fell back", "failed", "skipped", "cancelled"}[s]
}

// MarshalText returns the same as String.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s Status) hasValue() bool { return s <= FellBack }

func (p *Part[T]) get(r *run) T {
	switch {
	case p.view != nil:
		return p.view(r)
	case p.index == input:
		return unbox[T](r.in)
	}
	return unbox[T](r.cells[p.index].value)
}

func (p *Part[T]) result(r *run) Result[T] {
	if p.index == input || p.view != nil {
		return Result[T]{Value: p.get(r)}
	}
	c := &r.cells[p.index]
	return Result[T]{Value: unbox[T](c.value), Status: c.status, Err: c.err}
}

func (p *Part[T]) edge() edge {
	if p == nil {
		return edge{}
	}
	return edge{def: p.def, index: p.index, soft: p.view != nil}
}

// box spares a value beside an error its allocation.
func box[T any](v T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// unbox knows that v is a T, or nil for none and for T's that are nil interfaces.
func unbox[T any](v any) T {
	t, _ := v.(T)
	return t
}
