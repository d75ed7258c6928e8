package facade_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/belay-go/belay/facade"
)

// shop stands for the systems behind a shop.
type shop struct{ stockDown, noCarrier bool }

type (
	Product struct{ Name string }
	Page    struct {
		Name    string
		Cents   int
		Stock   string
		Similar []string
		Missing []string
	}
)

var (
	errDown      = errors.New("503 Service Unavailable")
	errNoCarrier = errors.New("no carrier")
)

func (s *shop) Product(_ context.Context, sku string) (Product, error) {
	return Product{Name: "Lamp " + sku}, nil
}

func (s *shop) Price(context.Context, string) (int, error) { return 4900, nil }

func (s *shop) Stock(context.Context, string) (string, error) {
	if s.stockDown {
		return "", errDown
	}
	return "3 left", nil
}

func (s *shop) Similar(_ context.Context, p Product) ([]string, error) {
	return nil, errDown
}

// A product page is shown as long as product and price are known.
func Example() {
	s := &shop{stockDown: true}
	p := facade.New[string](facade.Config{Name: "product-page"})
	product := facade.Step(p, "product", s.Product)
	price := facade.Step(p, "price", s.Price)
	stock := facade.Step(p, "stock", s.Stock).Timeout(200 * time.Millisecond).Fallback("ask us")
	similar := facade.After(p, "similar", product, s.Similar).Optional()
	page, err := facade.Build(p, func(v *facade.Values) (Page, error) {
		page := Page{
			Name:    product.Value(v).Name,
			Cents:   price.Value(v),
			Stock:   stock.Value(v),
			Similar: similar.Value(v),
		}
		for _, reason := range v.Missing() {
			page.Missing = append(page.Missing, reason.String())
		}
		return page, nil
	})
	if err != nil { // the plan is wrong; found at start-up
		panic(err)
	}

	shown, err := page.Call(context.Background(), "B-12")
	fmt.Println(shown.Name, shown.Cents, shown.Stock, err)
	fmt.Println("X-Partial:", strings.Join(shown.Missing, "; "))
	// Output:
	// Lamp B-12 4900 ask us <nil>
	// X-Partial: stock fell back: 503 Service Unavailable; similar failed: 503 Service Unavailable
}

type (
	Order       struct{ ID string }
	Reservation struct{ Order string }
	Charge      struct{ Receipt string }
	Shipment    struct{ Number string }
)

func (s *shop) Reserve(_ context.Context, o Order) (Reservation, error) {
	fmt.Println("reserved", o.ID)
	return Reservation{o.ID}, nil
}

func (s *shop) Release(_ context.Context, r Reservation) error {
	fmt.Println("released", r.Order)
	return nil
}

func (s *shop) Charge(_ context.Context, o Order, _ Reservation) (Charge, error) {
	fmt.Println("charged", o.ID)
	return Charge{"receipt for " + o.ID}, nil
}

func (s *shop) Refund(_ context.Context, c Charge) error {
	fmt.Println("refunded", c.Receipt)
	return nil
}

func (s *shop) Ship(_ context.Context, r Reservation, c Charge) (Shipment, error) {
	if s.noCarrier {
		return Shipment{}, errNoCarrier
	}
	return Shipment{"1Z"}, nil
}

// CancelCharge voids the charge of an order, whether or not there is one.
func (s *shop) CancelCharge(_ context.Context, o Order) error {
	fmt.Println("cancelled the charge of", o.ID)
	return nil
}

// A checkout is undone where it cannot be finished.
func ExamplePart_Undo() {
	s := &shop{noCarrier: true}
	p := facade.New[Order](facade.Config{Name: "checkout"})
	reserved := facade.Step(p, "reserve", s.Reserve).Undo(s.Release)
	charged := facade.After2(p, "charge", p.In(), reserved, s.Charge).Undo(s.Refund)
	shipped := facade.After2(p, "ship", reserved, charged, s.Ship)
	checkout, err := facade.Build(p, func(v *facade.Values) (Shipment, error) {
		return shipped.Value(v), nil
	})
	if err != nil {
		panic(err)
	}

	_, err = checkout.Call(context.Background(), Order{"A-1"})
	fmt.Println(err)
	fmt.Println(errors.Is(err, errNoCarrier), errors.Is(err, facade.ErrIncomplete))
	// Output:
	// reserved A-1
	// charged A-1
	// refunded receipt for A-1
	// released A-1
	// facade "checkout": ship: no carrier (undone: charge, reserve)
	// true false
}

// When a charge times out, nobody knows whether it was made. It can be taken back by
// the order's number all the same.
func ExampleUndoAlways() {
	s := &shop{}
	charge := func(ctx context.Context, o Order, _ Reservation) (Charge, error) {
		return Charge{}, os.ErrDeadlineExceeded // of the connection
	}
	p := facade.New[Order](facade.Config{Name: "checkout"})
	order := p.In()
	reserved := facade.Step(p, "reserve", s.Reserve).Undo(s.Release)
	charged := facade.After2(p, "charge", order, reserved, charge).Undo(s.Refund)
	facade.UndoAlways(charged, order, s.CancelCharge)
	checkout, err := facade.Build(p, func(v *facade.Values) (Charge, error) { return charged.Value(v), nil })
	if err != nil {
		panic(err)
	}

	_, err = checkout.Call(context.Background(), Order{"A-1"})
	fmt.Println(err)
	// Output:
	// reserved A-1
	// cancelled the charge of A-1
	// released A-1
	// facade "checkout": charge: i/o timeout (undone: charge, reserve)
}

// Three replicas are asked, and two equal answers are enough.
func ExampleQuorum() {
	replica := func(version int, err error) func(context.Context, string) (int, error) {
		return func(context.Context, string) (int, error) { return version, err }
	}
	read := facade.Quorum(2, nil, replica(7, nil), replica(0, errDown), replica(6, nil))

	p := facade.New[string](facade.Config{})
	versions := facade.Step(p, "versions", read)
	latest, err := facade.Build(p, func(v *facade.Values) (int, error) {
		return max(versions.Value(v)[0], versions.Value(v)[1]), nil
	})
	if err != nil {
		panic(err)
	}

	fmt.Println(latest.Call(context.Background(), "key"))
	// Output: 7 <nil>
}

// The first of two mirrors is enough.
func ExampleFirst() {
	slow := func(ctx context.Context, name string) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}
	fast := func(_ context.Context, name string) (string, error) { return name + " from the mirror", nil }

	fetch := facade.First(nil, slow, fast)
	fmt.Println(fetch(context.Background(), "index"))
	// Output: index from the mirror <nil>
}

// A basket has as many prices as it has items.
func ExampleEach() {
	s := &shop{}
	p := facade.New[[]string](facade.Config{})
	prices := facade.Step(p, "prices", facade.Each(8, nil, s.Price)).Timeout(time.Second)
	total, err := facade.Build(p, func(v *facade.Values) (sum int, err error) {
		for _, cents := range prices.Value(v) {
			sum += cents
		}
		return sum, nil
	})
	if err != nil {
		panic(err)
	}

	fmt.Println(total.Call(context.Background(), []string{"B-12", "B-13", "C-2"}))
	// Output: 14700 <nil>
}

// A list is shown without the item that cannot be had.
func ExampleEachSettled() {
	price := func(_ context.Context, sku string) (int, error) {
		if sku == "B-13" {
			return 0, errDown
		}
		return 4900, nil
	}
	p := facade.New[[]string](facade.Config{})
	prices := facade.Step(p, "prices", facade.EachSettled(8, nil, price)).Timeout(time.Second)
	list, err := facade.Build(p, func(v *facade.Values) (string, error) {
		var lines []string
		for _, r := range prices.Value(v) {
			if r.Err != nil {
				lines = append(lines, "price unknown")
			} else {
				lines = append(lines, fmt.Sprint(r.Value))
			}
		}
		return strings.Join(lines, ", "), nil
	})
	if err != nil {
		panic(err)
	}

	fmt.Println(list.Call(context.Background(), []string{"B-12", "B-13", "C-2"}))
	// Output: 4900, price unknown, 4900 <nil>
}

// If the primary has no answer the archive may, and if not, "unknown" is one.
func ExampleChain() {
	primary := func(context.Context, string) (string, error) { return "", errDown }
	archive := func(context.Context, string) (string, error) { return "", errors.New("not found") }
	unknown := func(context.Context, string) (string, error) { return "unknown", nil }

	p := facade.New[string](facade.Config{})
	status := facade.Step(p, "status", facade.Chain(primary, archive, unknown))
	f, err := facade.Build(p, func(v *facade.Values) (facade.Result[string], error) {
		return status.Result(v), nil
	})
	if err != nil {
		panic(err)
	}

	r, _ := f.Call(context.Background(), "parcel")
	fmt.Println(r.Value, r.Status)
	// Output: unknown fell back
}

// While prices cannot be had, those of the last hour are good enough.
func ExampleLastGood() {
	s := &shop{}
	down := false
	price := func(ctx context.Context, sku string) (int, error) {
		if down {
			return 0, errDown
		}
		return s.Price(ctx, sku)
	}
	p := facade.New[string](facade.Config{})
	cents := facade.Step(p, "price", facade.LastGood(1000, time.Hour, price))
	f, err := facade.Build(p, func(v *facade.Values) (facade.Result[int], error) {
		return cents.Result(v), nil
	})
	if err != nil {
		panic(err)
	}

	for _, down = range []bool{false, true} {
		r, _ := f.Call(context.Background(), "B-12")
		fmt.Println(r.Value, r.Status, r.Err)
	}
	_, err = f.Call(context.Background(), "never seen")
	fmt.Println(err)
	// Output:
	// 4900 ok <nil>
	// 4900 fell back 503 Service Unavailable
	// facade: price: 503 Service Unavailable
}
