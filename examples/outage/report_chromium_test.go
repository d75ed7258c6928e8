package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// The report fits on each screen and on paper.
func TestReportFits(t *testing.T) {
	b := browse(t)
	e := staged()
	e.schedule.total, e.end = usual, usual
	own := render(t, options{duration: usual, rate: 100, seed: 7}, e)
	e.schedule, e.targets = schedule{}, names(targets(t, "https://a-server-with-a-long-name.region-1.cloud.example:8443/and/a/path", "http://b.example/"))
	others := render(t, options{duration: usual, rate: 5, urls: targets(t, "http://b.example/")}, e)
	for i, page := range []string{own, others} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/" {
				w.Write([]byte(page))
			}
		}))
		defer server.Close()
		b.do(chromedp.Navigate(server.URL))
		for _, width := range []int64{320, 400, 700, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				b.look(width, scheme)
				b.fits(fmt.Sprintf("page %d, %d, %s", i, width, scheme))
				if n := eval[int](b, `[...document.querySelectorAll("svg")].filter((svg) => svg.getBoundingClientRect().width > 0).length`); n != 1 {
					t.Errorf("page %d, %d: %d drawings, want one", i, width, n)
				}
			}
		}
		if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
			t.Fatal(err)
		}
		for _, width := range []int64{600, 720} { // about what A5 and A4 have
			b.do(chromedp.EmulateViewport(width, 1000))
			b.fits(fmt.Sprintf("page %d on paper, %d", i, width))
			if !eval[bool](b, `document.querySelector("svg.wide").getBoundingClientRect().width > 0`) {
				t.Errorf("page %d on paper, %d: the drawing is that of a phone", i, width)
			}
		}
	}
}
