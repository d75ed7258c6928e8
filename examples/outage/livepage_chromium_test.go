package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func (b *tab) press(server, name string) {
	b.t.Helper()
	button := fmt.Sprintf(`[data-post="servers/%s/%s"]`, server, name)
	b.do(chromedp.Click(chromedp.CSS(button)))
	b.wait(`document.querySelector('` + button + `').ariaPressed === "true"`)
}

// level is an expression for where the curve of a client's success ends: 0 is the bottom of its panel, 1 the top.
func level(client string) string {
	return fmt.Sprintf(`((path, lines) => {
		const [bottom, , top] = [...lines].map((l) => Number(l.getAttribute("y1")));
		return path === null ? NaN : (bottom - Number(path.getAttribute("d").split(" ").at(-1))) / (bottom - top);
	})(document.querySelector("path.line.%s"), document.querySelectorAll("line.grid"))`, client)
}

const breakerIs = `document.getElementById("breaker").dataset.state === `

func TestLivePage(t *testing.T) {
	b := browse(t)
	url, end := started(t)
	b.do(chromedp.EmulateViewport(1280, 900), chromedp.Navigate(url))
	for _, client := range []string{"plain", "naive", "careful", "belay"} {
		b.wait(level(client) + ` === 1`)
	}
	b.wait(breakerIs + `"closed"`)

	// One server hangs. Who calls all of them in turn loses a quarter of the calls.
	b.press("A", "hung")
	b.wait(level("plain") + ` < 0.9 && ` + level("belay") + ` > 0.97`)
	b.wait(`["out", "passed"].includes(document.querySelector('[data-endpoint="A"]').dataset.shown)`)
	b.wait(breakerIs + `"closed"`)

	// All hang. Nobody succeeds, and belay sends next to nothing.
	b.press("all", "hung")
	b.wait(breakerIs + `"open"`)
	b.wait(level("plain") + ` === 0 && ` + level("belay") + ` === 0`)
	b.wait(`parseInt(document.querySelectorAll('[data-client="belay"] td')[3].textContent) <= 5`)
	b.wait(`document.getElementById("news").textContent !== ""`)

	b.press("all", "mend")
	b.wait(breakerIs + `"closed"`)
	b.wait(level("plain") + ` > 0.97 && ` + level("belay") + ` > 0.97`)
	for _, server := range instances {
		b.wait(fmt.Sprintf(`document.querySelector('[data-endpoint="%c"]').dataset.shown === "used"`, server))
	}

	if code := end(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	b.wait(`document.getElementById("connection").textContent.includes("-live")`)
}

// The page fits on each screen, and its buttons work without a mouse.
func TestLivePageFits(t *testing.T) {
	b := browse(t)
	url, _ := started(t)
	b.do(chromedp.Navigate(url))
	b.wait(`document.querySelector("path.line.belay") !== null`)
	b.press("A", "slow") // a word in the drawing, and reasons in the list below
	b.press("B", "refused")
	for _, width := range []int64{320, 400, 700, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			b.look(width, scheme)
			b.wait(fmt.Sprintf(`Number(document.querySelector("svg").viewBox.baseVal.width) <= %d`, width)) // is drawn anew
			b.fits(fmt.Sprintf("%d, %s", width, scheme))
		}
	}
}

func TestLivePageByKeyboard(t *testing.T) {
	b := browse(t)
	url, _ := started(t)
	b.do(chromedp.Navigate(url))
	b.wait(`document.querySelector("path.line.belay") !== null`)
	var reached []string
	for range eval[int](b, `document.querySelectorAll("button").length`) {
		b.do(chromedp.KeyEvent(kb.Tab))
		reached = append(reached, eval[string](b, `document.activeElement.dataset.post ?? document.activeElement.id`))
		if eval[string](b, `getComputedStyle(document.activeElement).outlineStyle`) == "none" {
			t.Errorf("nobody sees that %s has the focus", reached[len(reached)-1])
		}
		if name := eval[string](b, `document.activeElement.textContent`); len(name) < 3 {
			t.Errorf("a button is called %q", name)
		}
	}
	want := eval[[]string](b, `[...document.querySelectorAll("button")].map((b) => b.dataset.post ?? b.id)`)
	if !slices.Equal(reached, want) {
		t.Errorf("Tab reaches %q, want %q", reached, want)
	}
	const first = `document.querySelector('[data-post="servers/A/slow"]')`
	for _, key := range []string{" ", kb.Enter} {
		eval[bool](b, first+`.focus() ?? true`)
		b.do(chromedp.KeyEvent(key))
		b.wait(first + `.ariaPressed === "true"`)
		b.press("A", "mend")
	}
}

// Who holds the picture has time to look at it, and the figures go on.
func TestLivePageHeld(t *testing.T) {
	b := browse(t)
	url, _ := started(t)
	b.do(chromedp.Navigate(url))
	b.wait(`document.querySelector("path.line.belay") !== null`)
	b.do(chromedp.Click(chromedp.CSS("#pause")))
	b.wait(`document.getElementById("pause").ariaPressed === "true"`)
	eval[bool](b, `(held0 = document.querySelector("svg"), true)`)
	b.press("all", "down")
	b.wait(`document.querySelector('[data-now="belay"]').textContent === "0 %"`)
	if !eval[bool](b, `document.querySelector("svg") === held0`) {
		t.Error("the picture has changed")
	}
	b.do(chromedp.Click(chromedp.CSS("#pause")))
	b.wait(`document.querySelector("svg") !== held0`)
}
