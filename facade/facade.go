// Package facade assembles one answer from many calls, some of which may fail.
//
// A [Plan] names the calls, its parts. It is made once, when the program starts. A
// function becomes a part as it is, and the part's handle is how others depend on it:
//
//	p := facade.New[string](facade.Config{Name: "product-page"})
//	product := facade.Step(p, "product", shop.Product) // func(context.Context, string) (Product, error)
//	stock := facade.Step(p, "stock", shop.Stock).Timeout(200 * time.Millisecond).Fallback(Unknown)
//	similar := facade.After(p, "similar", product, shop.Similar).Optional()
//	page, err := facade.Build(p, func(v *facade.Values) (Page, error) {
//		return Page{product.Value(v), stock.Value(v), similar.Value(v)}, nil
//	})
//
// Then page.Call(ctx, sku) runs them. Each part begins as soon as the values that it
// needs are there. A dependency, input, fallback or undo of the wrong type does not
// compile, nor does a cycle, nor a value that is read too early. [Build] reports every
// other mistake.
//
// # What becomes of a part
//
// A part is required unless it is Optional. A required part that fails ends the call:
// the contexts of the others end, with its error as their cause, and Call returns an
// [*Error]. If the part has a fallback, the fallback is its value instead.
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
// A part without a value has the zero value. Its [Result] and [Values.Missing] say why.
//
// # Time
//
// A part has until its Timeout, or until the context's deadline less what the parts
// behind it Expect to take, whichever is earlier. Its context ends a little earlier
// still: by a tenth of its time, and 10ms at most. So a function that answers when its
// context ends is heard. A function that does not return in time is left behind: the
// call goes on without it, and its goroutine ends when the function returns.
//
// So Call answers at the deadline, whatever the functions do. It answers with a value
// if all required parts are done by then. Only undoing may take longer. A call that
// fails, or whose context is cancelled, cancels the functions that run, and waits until
// they return or have had their time.
//
// Without a deadline, Call waits for all functions that have no Timeout, as errgroup
// does, and runs one branch of the plan on the caller's goroutine.
//
// # Undo
//
// When a call fails, also because it was cancelled, or panics, all parts that were done
// are undone: one at a time, the last first, each even if another's Undo has failed. The context of
// an Undo has the caller's values, but does not end with the caller's context. All
// undos together have Config.UndoTimeout, and Call does not wait longer for those that
// ignore it. A fallback is never undone.
//
// A part that timed out, was cancelled or panicked may have been done all the same. It
// is named in Error.Unknown, unless its [UndoAlways] has been called by then. That is
// called once the function has ended. If a function that was left behind returns a value
// in the end, the value is undone then, also if the call has succeeded without it. After
// a Pivot, nothing before it is undone any more.
//
// All this lives in memory: it survives a failure, but not the end of the process.
//
// # Code that ends badly
//
// A panic of a part, and [runtime.Goexit], end the call like a failure, and then
// reach the caller's goroutine: the panic as a [*PanicError], with the part's name
// and stack. After Call has returned there is no caller. Then Config.Observe is told,
// and without an Observe a panic takes its course: the process dies. In a plan within a
// plan, the outer one is told. Whatever happens, all that was done is undone, and no
// later call is affected:
//
//	                                  panics          exits       hangs
//	function, fallback                Call panics     Call exits  left behind
//	  left behind, Call goes on       Call panics     Call exits  no matter
//	  left behind, after Call         told, or dies   told        no matter
//	function in First, Quorum, Each   Call panics     Call exits  left behind
//	  loser, Call goes on             Call panics     told        no matter
//	  loser, after Call               told, or dies   told        no matter
//	discard, Call goes on             Call panics     told        no matter
//	discard, after Call               told, or dies   told        no matter
//	Undo                              Call panics     Error.Undo  Error.Undo
//	  after its time, Call goes on    Call panics     told        no matter
//	  of a late value, Call goes on   Call panics     told        no matter
//	  after Call                      told, or dies   told        no matter
//	method of an error                Call panics     Call exits  left behind
//	key of LastGood                   Call panics
//	assemble                          Call panics     Call exits  Call hangs
//	Observe of Called                 Call panics     Call exits  Call hangs
//	Observe of Late                   Stats.Panics    Stats.Panics  no matter
//
// Left behind is what has a time that is up. A value that assemble or an Observe of
// Called has had when it ended badly is gone with it; when assemble did, the parts are
// undone.
//
// # When not to use it
//
// For two calls one after the other, write two lines. If the data says which calls
// there are, use [Each], or an errgroup, inside one part. If undoing must survive a
// crash of the process, use a workflow engine. README.md beside this file compares.
//
// # Defaults
//
//	Config.UndoTimeout  10s
package facade

import "context"

// A Plan describes a call with input In: its parts, and what they need of each other.
// One goroutine writes it, when the program starts. Make it with [New], or use the zero
// value, which has the zero Config.
type Plan[In any] struct {
	def definition
}

// New returns an empty Plan. It panics if cfg is not valid.
func New[In any](cfg Config) *Plan[In] {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	return &Plan[In]{definition{cfg: cfg}}
}

// In returns the handle of the input, for parts that need it beside other parts.
func (p *Plan[In]) In() *Part[In] { return &Part[In]{def: p.must("In"), index: input} }

func (p *Plan[In]) must(verb string) *definition {
	if p == nil {
		panic("facade: " + verb + " of a nil Plan; make one with New")
	}
	return &p.def
}

// Step adds a part that needs only the input. The methods of the [Part] that it returns
// describe it further.
func Step[In, T any](p *Plan[In], name string, fn func(context.Context, In) (T, error)) *Part[T] {
	p.must("Step")
	return After(p, name, p.In(), fn)
}

// After adds a part that needs the value of d. Its function is called when d has a
// value. If d ends without one, the part is skipped. The function's context is
// cancelled when the call fails, and ends with the call.
func After[In, D, T any](p *Plan[In], name string, d *Part[D], fn func(context.Context, D) (T, error)) *Part[T] {
	return add[T](p.must("After"), name, fn == nil, func(ctx context.Context, r *run) (any, error) {
		return box(fn(ctx, d.get(r)))
	}, d.edge())
}

// After2 is [After] with two dependencies.
func After2[In, D1, D2, T any](p *Plan[In], name string, d1 *Part[D1], d2 *Part[D2],
	fn func(context.Context, D1, D2) (T, error)) *Part[T] {
	return add[T](p.must("After"), name, fn == nil, func(ctx context.Context, r *run) (any, error) {
		return box(fn(ctx, d1.get(r), d2.get(r)))
	}, d1.edge(), d2.edge())
}

// After3 is [After] with three dependencies.
func After3[In, D1, D2, D3, T any](p *Plan[In], name string, d1 *Part[D1], d2 *Part[D2], d3 *Part[D3],
	fn func(context.Context, D1, D2, D3) (T, error)) *Part[T] {
	return add[T](p.must("After"), name, fn == nil, func(ctx context.Context, r *run) (any, error) {
		return box(fn(ctx, d1.get(r), d2.get(r), d3.get(r)))
	}, d1.edge(), d2.edge(), d3.edge())
}

// After4 is [After] with four dependencies. For more, let one part put some of them
// into a struct.
func After4[In, D1, D2, D3, D4, T any](p *Plan[In], name string, d1 *Part[D1], d2 *Part[D2], d3 *Part[D3], d4 *Part[D4],
	fn func(context.Context, D1, D2, D3, D4) (T, error)) *Part[T] {
	return add[T](p.must("After"), name, fn == nil, func(ctx context.Context, r *run) (any, error) {
		return box(fn(ctx, d1.get(r), d2.get(r), d3.get(r), d4.get(r)))
	}, d1.edge(), d2.edge(), d3.edge(), d4.edge())
}

// A Facade is a plan that can be called. It is immutable and safe for concurrent use.
// Make it with [Build].
type Facade[In, Out any] struct {
	plan     *plan
	assemble func(*Values) (Out, error)
}

// Build checks p and returns its Facade. The error names everything that is wrong
// with p. assemble makes the answer of the parts' values. An error of assemble fails
// the call like that of a required part. Later changes to p have no effect.
func Build[In, Out any](p *Plan[In], assemble func(*Values) (Out, error)) (*Facade[In, Out], error) {
	compiled, err := p.must("Build").compile(assemble == nil)
	if err != nil {
		return nil, err
	}
	return &Facade[In, Out]{plan: compiled, assemble: assemble}, nil
}

// Call runs the plan. It returns an [*Error] if a required part fails, if assemble
// fails, and if the cancellation of ctx keeps any part from its end: one that has not
// begun yet, or whose function returns an error then. If all functions return values in
// spite of it, nothing is missing, and Call returns the answer, as an errgroup does. If
// ctx has ended before, Call calls nothing and returns an [*Error] that is Rejected. The
// value beside an error is zero, unless a Pivot was passed.
//
// The contexts of the parts end with the call. Values must not depend on them: read
// a response's body within the part.
//
// Call has the form of a part's function: it can be a part of another plan.
func (f *Facade[In, Out]) Call(ctx context.Context, in In) (Out, error) {
	f.must("Call")
	mustHaveContext("Call", ctx)
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

func (f *Facade[In, Out]) must(method string) {
	if f == nil || f.plan == nil {
		panic("facade: " + method + " of a Facade that Build has not made")
	}
}
