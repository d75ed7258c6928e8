package ratelimit

import "context"

// An Acquirer gives a call leave for as long as it lasts, or returns why the call must
// not be made. A [*Bulkhead] is one. An Acquirer of your own makes its Permits with
// [NewPermit].
type Acquirer interface {
	Acquire(context.Context) (Permit, error)
}

// An Owner has given a [Permit], and gets it back. Its methods are called by the
// goroutines of the calls, and must be safe for concurrent use.
//
// An Owner may also have a method
//
//	Classify(ctx context.Context, err error) Outcome
//
// It says what the error of a call means. Default leaves it to the rules of
// [Permit.Outcome].
type Owner interface {
	// Answered says how a call was answered. It comes at most once for each Permit,
	// before Done, and the Outcome is never Default.
	Answered(lease uint64, o Outcome)
	// Done says that a call has ended. It comes once for each Permit.
	Done(lease uint64)
}

// A Permit is leave for a call that is under way. The zero Permit is for a call that no
// limit applies to. A Permit must not be copied; go vet reports copies. It is not safe
// for concurrent use.
type Permit struct {
	_        noCopy
	owner    Owner // nil: given back, or nothing to give back
	lease    uint64
	answered bool
}

// noCopy is a mark for go vet.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// NewPermit returns a Permit of owner. The lease is a word that owner gets back with
// every message about the call: a weight, a time, an index.
func NewPermit(owner Owner, lease uint64) Permit { return Permit{owner: owner, lease: lease} }

// Done says that the call has ended, and gives its place to those that wait. Further
// calls on the same variable do nothing. Done on a copy as well is a mistake: a
// [Bulkhead] panics when more places come back than it has given.
func (p *Permit) Done() {
	if o := p.owner; o != nil {
		p.owner = nil
		o.Done(p.lease)
	}
}

// Answered says how the call was answered, while its place stays taken. For a limit
// that learns, the latency of the call ends here. Only the first Outcome counts;
// Default says nothing. A call that is never answered teaches nothing.
func (p *Permit) Answered(o Outcome) {
	if p.owner == nil || p.answered || o == Default {
		return
	}
	p.answered = true
	p.owner.Answered(p.lease, o)
}

// Outcome returns what [Do] would say of a call that ended with err. ctx is the
// context of the call. The [Owner] is asked first, if it has a method Classify. The
// rules are:
//
//   - No error is a Success.
//   - The refusal of another layer (an error with Rejected() bool), and the end of a
//     context that the caller has cancelled, are Ignored.
//   - Every other error is a Failure, and so is a deadline, whoever has set it.
func (p *Permit) Outcome(ctx context.Context, err error) Outcome {
	if c, ok := p.owner.(interface {
		Classify(context.Context, error) Outcome
	}); ok {
		if o := c.Classify(ctx, err); o != Default {
			return o
		}
	}
	return byError(ctx, err)
}

// wantsAnswer reports whether the owner does anything with an Outcome.
func (p *Permit) wantsAnswer() bool {
	_, deaf := p.owner.(*places)
	return p.owner != nil && !deaf
}

// returned tells the owner how an operation has ended.
func (p *Permit) returned(ctx context.Context, err error) {
	if p.wantsAnswer() {
		p.tell(ctx, err)
	}
}

func (p *Permit) tell(ctx context.Context, err error) { p.Answered(p.Outcome(ctx, err)) }
