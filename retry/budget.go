package retry

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"sync/atomic"
	"time"
)

// BudgetConfig describes a [Budget].
type BudgetConfig struct {
	// Name stands in [BudgetStats].
	Name string
	// Ratio is what one success adds, in retries. A final answer is a success, too.
	// 0 means 0.1, so that retries add at most 10 % to a healthy load; negative:
	// nothing.
	Ratio float64
	// PerRequest lets each call add Ratio, whatever its outcome. In an outage
	// retries then go on at that share of the load, where they would otherwise
	// sink to Floor.
	PerRequest bool
	// Credit is the budget at the start and its upper bound, in retries.
	// 0 means 10; negative: none.
	Credit int
	// Floor is the rate, in retries per second, that is granted even if the
	// budget is empty, so that a process with few calls still retries. 0 means
	// 1; negative: none.
	Floor float64
}

// Validate reports everything that is wrong with c, or nil.
func (c BudgetConfig) Validate() error {
	var errs []error
	if math.IsNaN(c.Ratio) || c.Ratio > 1 {
		errs = append(errs, fmt.Errorf("retry: BudgetConfig.Ratio is %v, want at most 1", c.Ratio))
	}
	if c.Credit > math.MaxInt32 {
		errs = append(errs, fmt.Errorf("retry: BudgetConfig.Credit is %d, want at most %d", c.Credit, math.MaxInt32))
	}
	if math.IsNaN(c.Floor) || c.Floor > 1e9 {
		errs = append(errs, fmt.Errorf("retry: BudgetConfig.Floor is %v, want at most 1e9", c.Floor))
	}
	return errors.Join(errs...)
}

func (c BudgetConfig) withDefaults() BudgetConfig {
	c.Ratio = cmp.Or(c.Ratio, 0.1)
	c.Credit = cmp.Or(c.Credit, 10)
	c.Floor = cmp.Or(c.Floor, 1)
	return c
}

// A Budget bounds the retries and hedges of all calls that share it: over any time
// t after its making, retries <= Credit + Floor*t + Ratio*successes (or requests,
// if PerRequest is set). Free, and not counted among them, are attempts after one that
// a layer below refused, or that met a connection closed while idle. It is lock-free and safe for concurrent use. Make it with
// [NewBudget].
type Budget struct {
	name          string
	ratio, credit int64 // in millionths of a retry
	perRequest    bool
	floor         time.Duration // between two retries of the floor; 0: none
	epoch         time.Time

	balance          atomic.Int64
	next             atomic.Int64 // when the floor grants again, in ns after epoch
	granted, refused atomic.Uint64
}

// whole is one retry in the unit of the balance.
const whole = 1_000_000

// NoBudget is the [Budget] that grants everything.
var NoBudget = new(Budget)

// NewBudget returns a Budget. It panics if cfg is not valid.
func NewBudget(cfg BudgetConfig) *Budget {
	if err := cfg.Validate(); err != nil {
		panic(err.Error())
	}
	cfg = cfg.withDefaults()
	b := &Budget{
		name:   cfg.Name,
		ratio:  int64(max(0, cfg.Ratio) * whole),
		credit: int64(max(0, cfg.Credit)) * whole,
		epoch:  time.Now(),

		perRequest: cfg.PerRequest,
	}
	if cfg.Floor > 0 {
		// Rounded up, so that the rate is never exceeded.
		b.floor = time.Duration(min(math.Ceil(float64(time.Second)/cfg.Floor), math.MaxInt64/2))
	}
	b.balance.Store(b.credit)
	b.next.Store(int64(b.floor))
	return b
}

// request books a call that was sent, success one that succeeded. A call that
// succeeds at first books both, in one deposit.
func (b *Budget) request() {
	if b.perRequest {
		b.deposit()
	}
}

func (b *Budget) success() {
	if !b.perRequest {
		b.deposit()
	}
}

// deposit adds Ratio. A full budget is only read.
func (b *Budget) deposit() {
	for {
		have := b.balance.Load()
		if have >= b.credit || b.ratio == 0 {
			return
		}
		if b.balance.CompareAndSwap(have, min(have+b.ratio, b.credit)) {
			return
		}
	}
}

// withdraw pays for a retry, or reports that there is nothing left for one. What it has
// paid for is either made or refunded.
func (b *Budget) withdraw() bool {
	if b == NoBudget || b.spend() || b.tick() {
		return true
	}
	b.refused.Add(1)
	return false
}

// made counts a retry that was paid for: only now, since a counter never falls.
func (b *Budget) made() { b.granted.Add(1) }

// refund is for a retry that was paid for and is not made. One that the floor had
// granted is kept like any other.
func (b *Budget) refund() {
	for {
		have := b.balance.Load()
		if have >= b.credit || b.balance.CompareAndSwap(have, min(have+whole, b.credit)) {
			return
		}
	}
}

func (b *Budget) spend() bool {
	for {
		have := b.balance.Load()
		if have < whole {
			return false
		}
		if b.balance.CompareAndSwap(have, have-whole) {
			return true
		}
	}
}

func (b *Budget) tick() bool {
	if b.floor == 0 {
		return false
	}
	now := int64(time.Since(b.epoch))
	for {
		next := b.next.Load()
		if now < next {
			return false
		}
		// From now on, not from next: unused grants do not pile up.
		if b.next.CompareAndSwap(next, now+int64(b.floor)) {
			return true
		}
	}
}
