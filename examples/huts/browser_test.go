package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/examples/huts/world"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// A tab is a page in a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// browse opens a browser, or skips the test where there is none. What a page complains
// of, such as something that its policy forbids, fails the test.
func browse(t *testing.T) *tab {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a browser")
	}
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("there is no chromium in the PATH")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.DisableGPU, chromedp.Flag("disable-component-update", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root cannot have
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	ctx, end := chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(end)
	ctx, shut := chromedp.NewContext(ctx)
	b := &tab{t, ctx}
	b.do() // starts it
	messages := chromedp.Console(ctx)
	read := make(chan struct{})
	go func() {
		defer close(read)
		for m, err := range messages {
			if err == nil && !strings.Contains(m.Text, "the server responded with a status of") {
				t.Errorf("the page complains: %s", m)
			}
		}
	}()
	t.Cleanup(func() { shut(); <-read })
	return b
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns the value of an expression.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait returns when an expression is true, on this page or on one that comes.
func (b *tab) wait(expression string) {
	b.t.Helper()
	for {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && ok {
			return
		}
		if b.ctx.Err() != nil {
			b.t.Fatalf("waiting for %s: %v", expression, err)
		}
		wait(b.ctx, 30*time.Millisecond)
	}
}

// says waits until a part of the page has a text.
func (b *tab) says(selector, text string) {
	b.t.Helper()
	b.wait(fmt.Sprintf(`document.querySelector(%q)?.innerText.includes(%q)`, selector, text))
}

func (b *tab) open(url string) {
	b.t.Helper()
	b.do(chromedp.Navigate(url))
}

func (b *tab) click(selector string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// keys presses keys, wherever the focus is.
func (b *tab) keys(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.do(chromedp.KeyEvent(k))
	}
}

// tabTo presses Tab until an element has the focus, as somebody without a mouse does.
func (b *tab) tabTo(selector string) {
	b.t.Helper()
	for range 100 {
		b.keys(kb.Tab)
		if eval[bool](b, fmt.Sprintf(`document.activeElement.matches(%q)`, selector)) {
			return
		}
	}
	b.t.Fatalf("%s is out of reach", selector)
}

// set gives a field a value: how a date is typed depends on the language of the browser.
func (b *tab) set(selector, value string) {
	b.t.Helper()
	eval[string](b, fmt.Sprintf(`document.querySelector(%q).value = %q`, selector, value))
}

// signin signs in, with the keyboard alone.
func (b *tab) signin(p *program, name, hut string) {
	b.t.Helper()
	b.open(p.URL + "/desk/signin")
	if eval[bool](b, `document.querySelector(".who") !== null`) {
		b.tabTo(".who button")
		b.keys(kb.Enter)
		b.wait(`document.querySelector(".who") === null`)
	}
	b.tabTo("input[name=name]")
	b.keys(name)
	if hut != "" {
		b.set("select[name=hut]", hut)
	}
	b.tabTo("button.act")
	b.keys(kb.Enter)
	b.says(".who", name)
}

// picture writes what the page looks like to a file, for people, if HUTS_PICTURES says
// where.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("HUTS_PICTURES")
	if dir == "" {
		return
	}
	for _, width := range []int64{400, 1280} {
		b.do(chromedp.EmulateViewport(width, 900))
		data, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s-%d.png", name, width)), data, 0o644)
		}
		if err != nil {
			b.t.Error(err)
		}
	}
}

// fits fails the test if the page, or a table in it, scrolls sideways on some screen.
func (b *tab) fits(page string) {
	b.t.Helper()
	b.picture(page)
	for _, width := range []int64{320, 400, 1280} {
		b.do(chromedp.EmulateViewport(width, 900))
		b.wait(fmt.Sprintf(`innerWidth >= %d`, width))
		wide := eval[int](b, fmt.Sprintf(`Math.max(document.documentElement.scrollWidth - %d, ...[...document.querySelectorAll(".scroll")].map((e) => e.scrollWidth - e.clientWidth))`, width))
		if wide > 0 {
			b.t.Errorf("%s is %d pixels wider than a screen of %d", page, wide, width)
		}
	}
}

// TestBookWhilePaymentIsDown: payment is broken on one page, a guest books on another,
// the booking is kept, payment is mended, and the first page shows by itself that the
// booking is paid. Then it is cancelled; another guest never sees it, the warden does.
func TestBookWhilePaymentIsDown(t *testing.T) {
	b := browse(t)
	p := running(t)
	b.open(p.URL + "/world")
	b.says("#connection", "live")
	b.click(`#payment [value="failing"]`)
	b.says("#fault-payment", "failing")
	b.says("#bookings", "Nobody has booked yet")
	b.fits("world")

	b.signin(p, "ann", "")
	b.fits("bookings")
	b.open(p.URL + "/desk/")
	b.set("select[name=hut]", "planura")
	b.set("input[name=date]", "2027-07-31")
	b.set("input[name=beds]", "2")
	b.tabTo("button.act")
	b.keys(kb.Enter)
	b.says("main", "awaiting payment")
	b.says("main", "The beds are held")
	b.fits("booking")
	booking := eval[string](b, `location.href`)
	if !strings.HasPrefix(booking, p.URL+"/desk/bookings/planura/2027-07-31/") {
		t.Fatalf("the page of the booking is %s", booking)
	}

	b.open(p.URL + "/world")
	b.says("#connection", "live")
	b.says("#bookings", "awaiting payment")
	b.fits("world-awaiting")
	eval[int](b, `window.stays = 1`)
	b.tabTo(`#payment [value="well"]`)
	b.keys(kb.Enter)
	b.says("#fault-payment", "well")
	b.says("#bookings", "paid")
	if !eval[bool](b, `window.stays === 1 && document.activeElement.matches('#payment [value="well"]')`) {
		t.Error("the page was loaded again, or lost the focus")
	}

	b.open(booking)
	b.says("main", "The beds are booked and paid")
	b.signin(p, "bob", "")
	b.says("main", "You have no bookings")
	b.open(booking)
	b.says("h1", "Not Found")
	if text := eval[string](b, `document.body.innerText`); strings.Contains(text, "ann") || strings.Contains(text, "paid") {
		t.Errorf("bob learns of ann's booking:\n%s", text)
	}
	b.open(p.URL + "/desk/arrivals")
	b.says("h1", "Forbidden")

	b.signin(p, "paul", "planura")
	b.open(p.URL + "/desk/arrivals?date=2027-07-31")
	b.says("tbody", "ann")
	b.fits("arrivals")
	b.signin(p, "emma", "etzli")
	b.open(p.URL + "/desk/arrivals?date=2027-07-31")
	b.says("main", "Nobody comes")
	b.open(booking)
	b.says("h1", "Not Found")

	b.signin(p, "ann", "")
	b.open(booking)
	b.tabTo(`form[action$="/cancel"] button`)
	b.keys(kb.Enter)
	b.says("main", "cancelled by the guest")
	if r := finished(t, p); r.bookings != 1 || r.charges != 1 || r.refunds != 1 {
		t.Errorf("%+v", r)
	}
	b.open(p.URL + "/world")
	b.says("#bookings", "settled")
}

// TestWithoutScript: a browser that runs no script books, breaks and mends all the same.
func TestWithoutScript(t *testing.T) {
	b := browse(t)
	p := running(t)
	if _, err := chromedp.Call(b.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true}); err != nil {
		t.Fatal(err)
	}
	b.open(p.URL + "/world")
	b.click(`#weather [value="slow"]`)
	b.says("#fault-weather", "slow")
	b.says("#connection", "when it was loaded")
	if f := p.World.Weather.Fault(); f != world.Slow {
		t.Errorf("the weather service is %q", f)
	}
	b.click(`#weather [value="well"]`)
	b.says("#fault-weather", "well")
	b.signin(p, "ann", "")
	b.click("button.act")
	b.says("main", "booked and paid")
}

// TestAnotherSiteIsRefused: a page of another site sends forms with the visitor's browser.
// It is on this machine, too, so that his session comes along.
func TestAnotherSiteIsRefused(t *testing.T) {
	b := browse(t)
	p := running(t)
	b.signin(p, "ann", "")
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<form method="post" action="%s%s"><input name="fault" value="failing"><input name="hut" value="planura">
			<input name="date" value="2027-07-31"><input name="beds" value="1"><input name="key" value="k"><button>Win</button></form>`, p.URL, r.URL.Path)
	}))
	defer evil.Close()
	for path, refused := range map[string]string{"/desk/bookings": "sent by another site", "/world/payment": "cross-origin"} {
		b.open(evil.URL + path)
		b.click("button")
		b.says("body", refused)
	}
	if p.World.Payment.Fault() != world.Well {
		t.Error("payment was broken")
	}
	if recorded, err := p.store.After(t.Context(), 0, 10); err != nil || len(recorded) > 0 {
		t.Errorf("%v, %v", recorded, err)
	}
}
