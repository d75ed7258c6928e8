package facade_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/belay-go/belay/facade"
)

// A facade's Call is a part of another plan as it stands.
func ExampleFacade_Call() {
	s := &shop{}
	p := facade.New[string](facade.Config{Name: "offer"})
	product := facade.Step(p, "product", s.Product)
	price := facade.Step(p, "price", s.Price)
	offer, err := facade.Build(p, func(v *facade.Values) (string, error) {
		return fmt.Sprintf("%s for %d", product.Value(v).Name, price.Value(v)), nil
	})
	if err != nil {
		panic(err)
	}

	home := facade.New[string](facade.Config{Name: "home"})
	offerOfTheDay := facade.Step(home, "offer", offer.Call)
	greeting := facade.Step(home, "greeting", func(_ context.Context, sku string) (string, error) {
		return "Hello!", nil
	})
	page, err := facade.Build(home, func(v *facade.Values) (string, error) {
		return greeting.Value(v) + " " + offerOfTheDay.Value(v), nil
	})
	if err != nil {
		panic(err)
	}

	fmt.Println(page.Call(context.Background(), "B-12"))
	// Output: Hello! Lamp B-12 for 4900 <nil>
}

// An answer that lacks something is still an answer: for the outer plan the part is OK.
// Where that matters, its function says that the value is a second choice.
func ExampleDegraded() {
	type Offer struct {
		Text    string
		Missing []facade.Reason
	}
	s := &shop{stockDown: true}
	p := facade.New[string](facade.Config{Name: "offer"})
	product := facade.Step(p, "product", s.Product)
	facade.Step(p, "stock", s.Stock).Optional()
	offer, err := facade.Build(p, func(v *facade.Values) (Offer, error) {
		return Offer{product.Value(v).Name, v.Missing()}, nil
	})
	if err != nil {
		panic(err)
	}

	home := facade.New[string](facade.Config{Name: "home"})
	today := facade.Step(home, "offer", func(ctx context.Context, sku string) (Offer, error) {
		o, err := offer.Call(ctx, sku)
		if len(o.Missing) > 0 {
			facade.Degraded(ctx, errors.New(o.Missing[0].String()))
		}
		return o, err
	})
	page, err := facade.Build(home, func(v *facade.Values) (string, error) {
		return fmt.Sprintf("%s (%v)", today.Value(v).Text, v.Missing()), nil
	})
	if err != nil {
		panic(err)
	}

	fmt.Println(page.Call(context.Background(), "B-12"))
	// Output: Lamp B-12 ([offer fell back: stock failed: 503 Service Unavailable]) <nil>
}

// A drawing of the plan, for a README. A test that compares it with a file keeps
// both true.
func ExampleFacade_Mermaid() {
	s := &shop{}
	p := facade.New[Order](facade.Config{Name: "checkout"})
	reserved := facade.Step(p, "reserve", s.Reserve).Undo(s.Release)
	charged := facade.After2(p, "charge", p.In(), reserved, s.Charge).Undo(s.Refund).Timeout(5 * time.Second).Pivot()
	facade.After2(p, "ship", reserved, charged, s.Ship)
	facade.After(p, "mail", facade.Settled(charged), func(context.Context, facade.Result[Charge]) (bool, error) {
		return true, nil
	}).Optional()
	checkout, err := facade.Build(p, func(v *facade.Values) (string, error) { return "", nil })
	if err != nil {
		panic(err)
	}

	fmt.Print(strings.ReplaceAll(checkout.Mermaid(), "\t", "  "))
	// Output:
	// flowchart LR
	//   input([input])
	//   p0["reserve<br>can be undone"]
	//   input --> p0
	//   p1["charge<br>within 5s<br>can be undone"]
	//   input --> p1
	//   p0 --> p1
	//   p2["ship"]
	//   p0 --> p2
	//   p1 --> p2
	//   p3["mail"]
	//   p1 -.-> p3
	//   classDef optional stroke-dasharray:4
	//   class p3 optional
	//   classDef pivot stroke-width:4px
	//   class p1 pivot
}

// What is wrong with a plan is said at once, and all of it.
func ExampleBuild() {
	s := &shop{}
	p := facade.New[string](facade.Config{Name: "page"})
	product := facade.Step(p, "product", s.Product).Optional()
	facade.After(p, "similar", product, s.Similar)
	facade.Step(p, "price", s.Price).Timeout(0)

	_, err := facade.Build[string, int](p, nil)
	fmt.Println(err)
	// Output:
	// facade: plan "page": part "price": Timeout is 0s, want more than 0
	// facade: plan "page": assemble is nil
	// facade: plan "page": part "similar" is required, but needs "product", which may have no value; give one a Fallback, make "similar" Optional or "product" Settled
}

// A part that needs another only if that has succeeded, or failed, takes it Settled.
func ExampleSettled() {
	s := &shop{}
	p := facade.New[string](facade.Config{})
	product := facade.Step(p, "product", s.Product)
	similar := facade.After(p, "similar", product, s.Similar).Optional()
	banner := facade.After(p, "banner", facade.Settled(similar),
		func(_ context.Context, r facade.Result[[]string]) (string, error) {
			if r.Err != nil {
				return "our bestsellers", nil
			}
			return strings.Join(r.Value, ", "), nil
		})
	f, err := facade.Build(p, func(v *facade.Values) (string, error) { return banner.Value(v), nil })
	if err != nil {
		panic(err)
	}

	fmt.Println(f.Call(context.Background(), "B-12"))
	// Output: our bestsellers <nil>
}

// A part that is called only under a condition. That it was not is no failure, and
// nothing is missing.
func ExamplePart_When() {
	s := &shop{}
	p := facade.New[string](facade.Config{})
	member := facade.Step(p, "is a member", func(_ context.Context, sku string) (bool, error) { return false, nil })
	discount := facade.Step(p, "discount", s.Price).When(member)
	f, err := facade.Build(p, func(v *facade.Values) (string, error) {
		return fmt.Sprint(discount.Result(v).Status, len(v.Missing())), nil
	})
	if err != nil {
		panic(err)
	}

	fmt.Println(f.Call(context.Background(), "B-12"))
	// Output: skipped 0 <nil>
}

// Up to four dependencies, the input among them if need be.
func ExampleAfter4() {
	s := &shop{}
	p := facade.New[string](facade.Config{})
	product := facade.Step(p, "product", s.Product)
	price := facade.Step(p, "price", s.Price)
	stock := facade.Step(p, "stock", s.Stock)
	title := facade.After3(p, "title", p.In(), product, stock,
		func(_ context.Context, sku string, p Product, stock string) (string, error) {
			return sku + ": " + p.Name + ", " + stock, nil
		})
	line := facade.After4(p, "line", title, product, price, stock,
		func(_ context.Context, title string, p Product, price int, stock string) (string, error) {
			return fmt.Sprint(title, " at ", price), nil
		})
	f, err := facade.Build(p, func(v *facade.Values) (string, error) { return line.Value(v), nil })
	if err != nil {
		panic(err)
	}

	fmt.Println(f.Call(context.Background(), "B-12"))
	// Output: B-12: Lamp B-12, 3 left at 4900 <nil>
}

// Time is shared out backwards: as the page takes 100ms to render, the search has until
// then, less a moment in which to say that it has found nothing.
func ExamplePart_Expects() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()

	p := facade.New[string](facade.Config{})
	hits := facade.Step(p, "search", func(search context.Context, query string) ([]string, error) {
		end, _ := ctx.Deadline()
		own, _ := search.Deadline()
		fmt.Println("to be back", end.Sub(own), "before the deadline")
		return []string{query}, nil
	}).Fallback(nil)
	html := facade.After(p, "render", hits, func(ctx context.Context, hits []string) (string, error) {
		return strings.Join(hits, "<br>"), nil
	}).Expects(100 * time.Millisecond)
	f, err := facade.Build(p, func(v *facade.Values) (string, error) { return html.Value(v), nil })
	if err != nil {
		panic(err)
	}

	fmt.Println(f.Call(ctx, "lamp"))
	// Output:
	// to be back 110ms before the deadline
	// lamp <nil>
}

// What is missing can be told in the manner of GraphQL.
func ExampleValues_Missing() {
	type Answer struct {
		Data   map[string]any      `json:"data"`
		Errors []map[string]string `json:"errors,omitempty"`
	}
	s := &shop{stockDown: true}
	p := facade.New[string](facade.Config{})
	price := facade.Step(p, "price", s.Price)
	stock := facade.Step(p, "stock", s.Stock).Optional()
	f, err := facade.Build(p, func(v *facade.Values) (Answer, error) {
		a := Answer{Data: map[string]any{"price": price.Value(v), "stock": stock.Value(v)}}
		for _, reason := range v.Missing() {
			a.Errors = append(a.Errors, map[string]string{"path": reason.Part, "message": reason.Status.String()})
		}
		return a, nil
	})
	if err != nil {
		panic(err)
	}

	answer, _ := f.Call(context.Background(), "B-12")
	json.NewEncoder(os.Stdout).Encode(answer)
	// Output: {"data":{"price":4900,"stock":""},"errors":[{"message":"failed","path":"stock"}]}
}

// The spans of a call say where its time went.
func ExampleEvent() {
	s := &shop{}
	p := facade.New[string](facade.Config{Name: "page", Observe: func(_ context.Context, e facade.Event) {
		for _, span := range e.Spans {
			fmt.Println(e.Name, span.Part, span.Status, span.End <= e.Elapsed)
		}
	}})
	product := facade.Step(p, "product", s.Product)
	facade.After(p, "similar", product, s.Similar).Optional()
	f, err := facade.Build(p, func(v *facade.Values) (Product, error) { return product.Value(v), nil })
	if err != nil {
		panic(err)
	}

	f.Call(context.Background(), "B-12")
	// Output:
	// page product ok true
	// page similar failed true
}

// A part that panics does so on the goroutine of the caller, wherever it was.
func ExamplePanicError() {
	p := facade.New[string](facade.Config{})
	facade.Step(p, "stock", func(context.Context, string) (int, error) {
		var shelf []int
		return shelf[3], nil
	})
	f, err := facade.Build(p, func(*facade.Values) (int, error) { return 0, nil })
	if err != nil {
		panic(err)
	}

	defer func() {
		err, ok := errors.AsType[*facade.PanicError](recover().(error))
		fmt.Println(ok, err.Part, err.Value)
	}()
	f.Call(context.Background(), "B-12")
	// Output: true stock runtime error: index out of range [3] with length 0
}
