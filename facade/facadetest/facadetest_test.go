package facadetest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/facade/facadetest"
)

// page is a plan under test.
type page struct {
	*facade.Facade[string, string]
	price, stock, similar *facade.Part[string]
}

func newPage() page {
	get := func(_ context.Context, sku string) (string, error) { return sku, nil }
	p := facade.New[string](facade.Config{Name: "page"})
	var page page
	page.price = facade.Step(p, "price", get)
	page.stock = facade.Step(p, "stock", get).Timeout(time.Second).Fallback("ask us")
	page.similar = facade.After(p, "similar", page.stock, get).Optional()
	sale := facade.Step(p, "is on sale", func(context.Context, string) (bool, error) { return false, nil })
	facade.Step(p, "discount", get).When(sale)
	f, err := facade.Build(p, func(v *facade.Values) (string, error) {
		return strings.Join([]string{page.price.Value(v), page.stock.Value(v), page.similar.Value(v)}, ","), nil
	})
	if err != nil {
		panic(err)
	}
	page.Facade = f
	return page
}

func ExampleReturn() {
	page := newPage()
	sold := facadetest.Return(page.Facade, page.stock, "sold out")
	fmt.Println(sold.Call(context.Background(), "B-12"))
	// Output: B-12,sold out,sold out <nil>
}

func ExampleFail() {
	page := newPage()
	down := facadetest.Fail(page.Facade, page.price, errors.New("down"))
	fmt.Println(down.Call(context.Background(), "B-12"))
	// Output: facade "page": price: down
}

// Whatever fails, there is a page as long as there is a price.
func ExampleEachFailure() {
	test := func(t *testing.T) {
		facadetest.EachFailure(t, newPage().Facade, "B-12", func(t *testing.T, part, out string, err error) {
			switch part {
			case "price", "is on sale":
				if err == nil {
					t.Errorf("a page without %s: %s", part, out)
				}
			default:
				if !strings.HasPrefix(out, "B-12,") {
					t.Errorf("no page without %s: %q, %v", part, out, err)
				}
			}
		})
	}
	_ = test
}

func TestEachFailure(t *testing.T) {
	var got []string
	facadetest.EachFailure(t, newPage().Facade, "B-12", func(t *testing.T, part, out string, err error) {
		if err != nil && !errors.Is(err, facadetest.ErrInjected) {
			t.Errorf("%s: %v", part, err)
		}
		got = append(got, fmt.Sprintf("%s: %s %v", part, out, err != nil))
	})
	want := []string{"price:  true", "stock: B-12,ask us,ask us false", "similar: B-12,B-12, false", "is on sale:  true"}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		page := newPage()
		hangs := facadetest.Func(page.Facade, page.stock, func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})
		if got, err := hangs.Call(t.Context(), "B-12"); got != "B-12,ask us,ask us" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
		if got, err := page.Call(t.Context(), "B-12"); got != "B-12,B-12,B-12" || err != nil {
			t.Errorf("the original has changed: %q, %v", got, err)
		}
	})
}
