// Package facade assembles one answer from many calls, of which some may fail.
//
// A [Plan] names the calls, its parts, once, at start-up. Functions are parts as they
// stand, and a part's handle is how others depend on it:
//
//	p := facade.New[string](facade.Config{Name: "product-page"})
//	product := facade.Step(p, "product", shop.Product) // func(context.Context, string) (Product, error)
//	stock := facade.Step(p, "stock", shop.Stock).Timeout(200 * time.Millisecond).Fallback(Unknown)
//	similar := facade.After(p, "similar", product, shop.Similar).Optional()
//	page, err := facade.Build(p, func(v *facade.Values) (Page, error) {
//		return Page{product.Value(v), stock.Value(v), similar.Value(v)}, nil
//	})
//
// Then page.Call(ctx, sku) runs them, each as soon as what it needs is there. What the
// compiler can see it refuses: a dependency, input, fallback or undo of the wrong
// type, a value read before it is there, a cycle. [Build] reports the rest.
//
// # What becomes of a part
//
// A part is required unless it is Optional. A required part that fails ends the call:
// the others are cancelled, with its error as the cause of their contexts' end,
// and Call returns an [*Error]. Where a part has a fallback, that is its value instead.
//
//	                                  required     optional   with a fallback
//	its function returns an error     call fails   Failed     FellBack
//	its time is up                    call fails   Failed     FellBack
//	too little time is left           call fails   Skipped    FellBack
//	a part that it needs has no value call fails   Skipped    FellBack
//	its condition (When) is false     Skipped      Skipped    FellBack
//	the call fails meanwhile          Cancelled    Cancelled  Cancelled
//	its function panics               Call panics  the same   the same
//
// A part without a value has the zero value; its [Result] and [Values.Missing] say why.
//
// # Time
//
// A part has until its Timeout, or until the context's deadline less what the parts
// behind it Expect to take. Its context ends a moment before (a tenth of the time,
// 10ms at most), so that a function that answers then is still heard. A function
// that does not return in time is left behind: the call goes on without it, and its
// goroutine ends when it returns.
//
// So Call answers at the deadline, whatever the functions do, and with a value if
// all required parts are done by then. Only undoing may take longer. A call that
// fails, or whose context is cancelled, has nothing to wait for but the functions
// that run: it cancels them, and waits until they return or have had their time.
//
// Without a deadline, Call waits for all functions that have no Timeout, as errgroup
// does, and runs one branch of the plan on the caller's goroutine.
//
// # Undo
//
// When a call fails, panics or is cancelled, all parts that were done are undone:
// one at a time, the last first, each even if another's Undo has failed. Their
// contexts have the caller's values, but not its end; Config.UndoTimeout bounds them,
// and the wait for those that ignore it. A fallback is never undone.
//
// A part that timed out, was cancelled or panicked may have been done all the same. It
// is named in Error.Unknown, unless there is an [UndoAlways] for it. What a
// function that was left behind returns in the end is undone then, also if the call has
// succeeded without it. After a Pivot, nothing before it is undone any more.
//
// All this lives in memory: it survives a failure, but not the end of the process.
//
// # Panics
//
// A panic of a part, and [runtime.Goexit], end the call like a failure, and then
// reach the caller's goroutine: the panic as a [*PanicError], with the part's name
// and stack. After Call has returned there is no caller: Config.Observe is told of the
// panic, or it takes its course if there is none.
//
// # When not to use it
//
// For two calls one after the other: write two lines. Where the data says which calls
// there are: use [Each], or an errgroup, inside one part. Where undoing must
// survive a crash: use a workflow engine. README.md beside this file compares.
//
// # Defaults
//
//	Config.UndoTimeout  10s
package facade

import (
	"context"
	"errors"
)

// Why a part has no value of its own, or a call no good end.
var (
	// ErrTimeout says that a part's time was up. Such errors are
	// [context.DeadlineExceeded], too.
	ErrTimeout = errors.New("facade: no answer in time")
	// ErrNoBudget says that a part was not called, because less time was left
	// than it Expects to take.
	ErrNoBudget = errors.New("facade: not enough time left to begin")
	// ErrSkipped says that a part was not called, because one that it needs
	// has no value.
	ErrSkipped = errors.New("facade: skipped")
	// ErrNotNeeded says that a part was not called, because its condition is
	// false. Nothing is amiss then.
	ErrNotNeeded = errors.New("facade: not needed")
	// ErrIncomplete is found in the error of a call that has failed and has not
	// been undone as a whole: an undo failed, an outcome is unknown, or a pivot had
	// been passed. Retryable() is false for it.
	ErrIncomplete error = incomplete{}
)

type incomplete struct{}

func (incomplete) Error() string   { return "facade: not everything could be undone" }
func (incomplete) Retryable() bool { return false }

// A Plan is the description of a call with input In: its parts and what they need of
// each other. It is written by one goroutine, at start-up. Make it with [New].
type Plan[In any] struct {
	def definition
}

// New returns an empty Plan. It panics if cfg is not valid.
func New[In any](cfg Config) *Plan[In] {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	return &Plan[In]{definition{cfg: cfg.withDefaults()}}
}

// In returns the handle of the input, for parts that need it beside others.
func (p *Plan[In]) In() *Part[In] { return &Part[In]{def: &p.def, index: input} }

// Step adds a part that needs the input only. The methods of the [Part] that it returns
// say more about it.
func Step[In, T any](p *Plan[In], name string, fn func(context.Context, In) (T, error)) *Part[T] {
	return After(p, name, p.In(), fn)
}

// After adds a part that needs the value of d. Its function is called once d has one;
// if d turns out to have none, the part is skipped. The function's context is
// cancelled when the call fails, and ends with the call.
func After[In, D, T any](p *Plan[In], name string, d *Part[D], fn func(context.Context, D) (T, error)) *Part[T] {
	return add[T](&p.def, name, fn == nil, func(ctx context.Context, r *run) (any, error) {
		return box(fn(ctx, d.get(r)))
	}, d.edge())
}

// After2 is [After] with two dependencies.
func After2[In, D1, D2, T any](p *Plan[In], name string, d1 *Part[D1], d2 *Part[D2],
	fn func(context.Context, D1, D2) (T, error)) *Part[T] {
	return add[T](&p.def, name, fn == nil, func(ctx context.Context, r *run) (any, error) {
		return box(fn(ctx, d1.get(r), d2.get(r)))
	}, d1.edge(), d2.edge())
}

// After3 is [After] with three dependencies.
func After3[In, D1, D2, D3, T any](p *Plan[In], name string, d1 *Part[D1], d2 *Part[D2], d3 *Part[D3],
	fn func(context.Context, D1, D2, D3) (T, error)) *Part[T] {
	return add[T](&p.def, name, fn == nil, func(ctx context.Context, r *run) (any, error) {
		return box(fn(ctx, d1.get(r), d2.get(r), d3.get(r)))
	}, d1.edge(), d2.edge(), d3.edge())
}

// After4 is [After] with four dependencies. A part that needs more can take
// them from one that puts them into a struct.
func After4[In, D1, D2, D3, D4, T any](p *Plan[In], name string, d1 *Part[D1], d2 *Part[D2], d3 *Part[D3], d4 *Part[D4],
	fn func(context.Context, D1, D2, D3, D4) (T, error)) *Part[T] {
	return add[T](&p.def, name, fn == nil, func(ctx context.Context, r *run) (any, error) {
		return box(fn(ctx, d1.get(r), d2.get(r), d3.get(r), d4.get(r)))
	}, d1.edge(), d2.edge(), d3.edge(), d4.edge())
}

// A Facade is a plan that can be called. It is immutable and safe for concurrent use.
// Make it with [Build].
type Facade[In, Out any] struct {
	plan     *plan
	assemble func(*Values) (Out, error)
}

// Build checks p, and returns what calls it. The error names everything that is
// wrong with it. assemble makes the answer of the parts' values; its error fails the
// call like that of a required part. Later changes to p have no effect.
func Build[In, Out any](p *Plan[In], assemble func(*Values) (Out, error)) (*Facade[In, Out], error) {
	compiled, err := p.def.compile(assemble == nil)
	if err != nil {
		return nil, err
	}
	return &Facade[In, Out]{plan: compiled, assemble: assemble}, nil
}

// Call runs the plan. It returns an [*Error] if ctx has ended, and calls nothing
// then; if a required part fails, or assemble; and if ctx is cancelled before
// all parts are done. The value beside an error is zero, unless a Pivot was passed.
//
// Contexts of parts end with the call. The values must not depend on them: read a
// response's body within the part.
//
// Call has the form of a part's function, and can be one of another plan.
func (f *Facade[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	var out Out
	if ctx.Err() != nil {
		return out, f.plan.refuse(ctx)
	}
	v := &Values{}
	r := &v.run
	r.begin(f.plan, ctx, in)
	defer r.abandon() // also when assemble panics
	r.execute()
	if r.presentable() {
		var err error
		if out, err = f.assemble(v); err == nil {
			err = v.misuse
		}
		if err != nil {
			r.fault(err)
		}
	}
	err := r.conclude()
	if err != nil && !r.pivoted {
		var none Out
		return none, err
	}
	return out, err
}
