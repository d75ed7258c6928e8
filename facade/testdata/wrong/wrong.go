// Package wrong holds mistakes that must not compile, each with what the compiler
// says of it.
package wrong

import (
	"context"
	"time"

	"github.com/belay-go/belay/facade"
)

type product struct{}

func lookup(context.Context, string) (product, error)    { return product{}, nil }
func price(context.Context, string) (int, error)         { return 0, nil }
func similar(context.Context, product) ([]string, error) { return nil, nil }
func release(context.Context, product) error             { return nil }
func byOrder(context.Context, string) error              { return nil }
func plain(string) (int, error)                          { return 0, nil }

func mistakes() {
	p := facade.New[string](facade.Config{})
	numbers := facade.New[int](facade.Config{})
	found := facade.Step(p, "product", lookup)
	cents := facade.Step(p, "price", price)

	// A dependency of the wrong type.
	facade.After(p, "similar", cents, similar) // ERROR "type .*product.* does not match"
	// A dependency where the input belongs.
	facade.After(p, "similar", p.In(), similar) // ERROR "type .*product.* does not match"
	// The dependencies in the wrong order.
	facade.After2(p, "both", cents, found, func(context.Context, product, int) (int, error) { return 0, nil }) // ERROR "does not match"
	// An input of the wrong type.
	facade.Step(numbers, "price", price) // ERROR "type .*string.* does not match"
	// A function that takes no context.
	facade.Step(p, "plain", plain) // ERROR "type .* does not match"
	// A value where a function belongs.
	facade.Step(p, "value", 3) // ERROR "cannot infer T|does not match"
	// A fallback of the wrong type.
	cents.Fallback("free")                                                              // ERROR "cannot use .free."
	cents.FallbackFunc(func(context.Context, error) (string, error) { return "", nil }) // ERROR "cannot use func"
	// An undo of the wrong type.
	cents.Undo(release) // ERROR "cannot use release"
	// An undo by a key of the wrong type.
	facade.UndoAlways(cents, found, byOrder) // ERROR "type .* does not match"
	// A condition that is none.
	found.When(cents) // ERROR "cannot use cents"
	// A settled part without its result.
	facade.After(p, "similar", facade.Settled(found), similar) // ERROR "does not match"
	// A timeout without a unit is a number of nanoseconds; one of words is nothing.
	found.Timeout("1s") // ERROR "cannot use .1s."
	found.Timeout(time.Second)

	// A cycle.
	one := facade.After(p, "one", two, similar)   // ERROR "undefined: two|declared and not used: one"
	two := facade.After(p, "two", found, similar) // ERROR "declared and not used: two"

	// An answer of the wrong type.
	f, err := facade.Build(p, func(v *facade.Values) (int, error) { return found.Value(v), nil }) // ERROR "cannot use found.Value"
	_, _ = f, err
	// A part of a plan is not the plan's value: there is none before a call.
	_ = found.Value(p) // ERROR "cannot use p"

	// A facade within a plan of another input.
	answer, _ := facade.Build(p, func(*facade.Values) (int, error) { return 0, nil })
	facade.Step(numbers, "answer", answer.Call) // ERROR "does not match"
	facade.Step(p, "answer", answer.Call)
	// Alternatives of different types.
	facade.First(nil, lookup, price) // ERROR "type .* does not match"
	// A last good value by a key that cannot be one.
	facade.LastGood(9, 0, func(context.Context, []string) (int, error) { return 0, nil }) // ERROR "does not satisfy comparable"
}
