package main

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// A tab is a page in a real browser.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// browse opens a browser, or skips the test where there is none.
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
		chromedp.DisableGPU, chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // which root cannot have
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
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
			if err == nil && !strings.Contains(m.Text, "net::ERR_") { // the program may end before the page
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
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// wait returns when an expression is true. What the page shows is in the error if it never is.
func (b *tab) wait(expression string) {
	b.t.Helper()
	ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](
		`new Promise((done) => { const look = () => { (`+expression+`) ? done(true) : setTimeout(look, 50); }; look(); })`, chromedp.EvalAwaitPromise))
	if err != nil || !ok {
		b.t.Fatalf("waiting for %s: %v", expression, err)
	}
}

// look shows the page on a screen of a width, in light or dark.
func (b *tab) look(width int64, scheme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900))
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}); err != nil {
		b.t.Fatal(err)
	}
	b.wait(`innerWidth === ` + strconv.FormatInt(width, 10))
}

// fits fails the test if the page scrolls sideways, or if words of a drawing are outside of it.
func (b *tab) fits(what string) {
	b.t.Helper()
	if wide := eval[int](b, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		b.t.Errorf("%s: the page is %d pixels wider than the screen", what, wide)
	}
	clipped := eval[[]string](b, `[...document.querySelectorAll("svg text")].filter((t) => {
		const [text, svg] = [t.getBoundingClientRect(), t.closest("svg").getBoundingClientRect()];
		return text.width > 0 && (text.left < svg.left - 0.5 || text.right > svg.right + 0.5 || text.top < svg.top - 0.5 || text.bottom > svg.bottom + 0.5);
	}).map((t) => t.textContent)`)
	if len(clipped) > 0 {
		b.t.Errorf("%s: clipped words %q", what, clipped)
	}
}
