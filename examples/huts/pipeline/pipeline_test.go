package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/examples/huts/adapter/outside"
	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/world"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/ratelimit"
	"github.com/google/go-cmp/cmp"
)

var huts = store.Huts{"planura": {ID: "planura", Beds: 20}, "etzli": {ID: "etzli", Beds: 75}}

// lines are a log in memory.
type lines []store.Line

func (l lines) Lines(_ context.Context, after int64, limit int) ([]store.Line, error) {
	rest := l[min(int(after), len(l)):]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

func (l *lines) add(hut, date, kind, data string) {
	*l = append(*l, store.Line{Position: int64(len(*l) + 1), Hut: domain.HutID(hut), Date: domain.Date(date), Type: kind, Data: []byte(data)})
}

// some are n lines, of which a few are bad.
func some(n int) lines {
	random := rand.New(rand.NewPCG(1, 2))
	var l lines
	for i := range n {
		hut := []string{"planura", "etzli", "etzli"}[random.IntN(3)]
		date := fmt.Sprintf("2027-07-%02d", 1+random.IntN(28))
		switch {
		case i%9 == 8:
			l.add("nowhere", date, "reserved", `{}`)
		case i%3 == 2:
			before := l[random.IntN(len(l))] // it may be a release, or released: a bad line
			l.add(string(before.Hut), string(before.Date), "released", string(before.Data))
		default:
			l.add(hut, date, "reserved", fmt.Sprintf(`{"Booking": "b%d", "Beds": %d}`, i, 1+random.IntN(4)))
		}
	}
	return l
}

// clear is a sky of which nobody knows why.
func clear(_ context.Context, n Night) (string, error) {
	if n.Date[len(n.Date)-1]%2 == 0 {
		return "clear", nil
	}
	return "cloudy", nil
}

func open(t *testing.T, path string) *Figures {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// result is what there is to compare.
type result struct {
	Weeks []Week
	Bad   map[int64]string
}

func (f *Figures) result(t *testing.T) result {
	t.Helper()
	r := result{Bad: map[int64]string{}}
	var n int
	var err error
	if r.Weeks, n, err = f.Occupancy(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := f.db.Query(`SELECT position, why FROM bad`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var position int64
		var why string
		if err := rows.Scan(&position, &why); err != nil {
			t.Fatal(err)
		}
		r.Bad[position] = why
	}
	if n != len(r.Bad) {
		t.Errorf("%d bad lines are counted, and %d are there", n, len(r.Bad))
	}
	return r
}

// TestOccupancy: the figures of a few lines, by hand; what is bad is set aside, with the
// reason, and stops nothing.
func TestOccupancy(t *testing.T) {
	var l lines
	l.add("planura", "2027-07-30", "reserved", `{"Booking": "a", "Beds": 2}`) // clear, W30
	l.add("planura", "2027-07-31", "reserved", `{"Booking": "a", "Beds": 3}`) // cloudy, W30
	l.add("planura", "2027-08-02", "reserved", `{"Booking": "c", "Beds": 4}`) // clear, W31
	l.add("planura", "2027-07-31", "confirmed", `{"Booking": "a"}`)
	l.add("planura", "2027-08-02", "released", `{"Booking": "c"}`)
	l.add("planura", "2027-08-02", "settled", `{"Booking": "c"}`)
	l.add("etzli", "2027-01-01", "reserved", `{"Booking": "e", "Beds": 5}`) // cloudy, in the last week of 2026
	good := len(l)
	l.add("planura", "2027-07-30", "reserved", `{"Booking": "a", "Beds": 2}`)
	l.add("planura", "2027-07-30", "released", `{"Booking": "x"}`)
	l.add("planura", "2027-07-30", "reserved", `{"Booking": "y", "Beds": 21}`)
	l.add("planura", "2027-07-30", "reserved", `{"Booking": "y"`)
	l.add("planura", "2027-07-30", "renamed", `{"Booking": "y"}`)
	l.add("planura", "30.7.2027", "released", `{"Booking": "y"}`)
	l.add("nowhere", "2027-07-30", "reserved", `{"Booking": "y", "Beds": 1}`)
	l.add("planura", "2027-07-30", "confirmed", `{}`)
	l.add("planura", "2027-07-30", "reserved", `{"Booking": "last", "Beds": 1}`)
	f := open(t, filepath.Join(t.TempDir(), "figures.db"))
	p := &Pipeline{Huts: huts, Log: l, Sky: clear, Figures: f, Batch: 4}
	if err := p.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := f.result(t)
	want := []Week{{"etzli", "2026-W53", 5, 0, 0}, {"planura", "2027-W30", 6, 3, 0}, {"planura", "2027-W31", 0, 0, 4}}
	if diff := cmp.Diff(want, got.Weeks); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i, why := range []string{"before", "no beds", "21 beds", "JSON", "renamed", "not a day", "no hut", "no booking"} {
		if !strings.Contains(got.Bad[int64(good+1+i)], why) {
			t.Errorf("line %d: %q, want %q", good+1+i, got.Bad[int64(good+1+i)], why)
		}
	}
	if len(got.Bad) != 8 {
		t.Errorf("%d bad lines, want 8", len(got.Bad))
	}
}

// TestBackfillIsLive: figures that have grown line by line, with four processes at it, are
// those that are made at once, and those that are made anew.
func TestBackfillIsLive(t *testing.T) {
	all := some(120)
	dir := t.TempDir()
	live := open(t, filepath.Join(dir, "live.db"))
	for n := 1; n <= len(all); n += 7 {
		var at sync.WaitGroup
		for range 4 {
			at.Go(func() {
				p := &Pipeline{Huts: huts, Log: all[:n], Sky: clear, Figures: live, Batch: 3}
				if err := p.CatchUp(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		at.Wait()
	}
	once := open(t, filepath.Join(dir, "once.db"))
	for _, f := range []*Figures{live, once} {
		if err := (&Pipeline{Huts: huts, Log: all, Sky: clear, Figures: f}).CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := once.result(t)
	if len(want.Weeks) < 8 || len(want.Bad) < 10 {
		t.Fatalf("that shows nothing: %v", want)
	}
	if diff := cmp.Diff(want, live.result(t)); diff != "" {
		t.Errorf("grown (-want +got):\n%s", diff)
	}
	if err := once.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := once.result(t); len(r.Weeks)+len(r.Bad) > 0 {
		t.Errorf("after a reset: %v", r)
	}
	if err := (&Pipeline{Huts: huts, Log: all, Sky: clear, Figures: once}).CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, once.result(t)); diff != "" {
		t.Errorf("anew (-want +got):\n%s", diff)
	}
}

// TestPipelineWaitsForTheSky: while the weather cannot be had, no figure changes; of a night
// that the service does not know, the beds count. It is asked once a night, at a low priority.
func TestPipelineWaitsForTheSky(t *testing.T) {
	var l lines
	for i := range 6 {
		l.add("planura", fmt.Sprintf("2027-07-0%d", 1+i/2), "reserved", fmt.Sprintf(`{"Booking": "b%d", "Beds": 1}`, i))
	}
	f := open(t, filepath.Join(t.TempDir(), "figures.db"))
	down := errors.New("down")
	var asked atomic.Int64
	p := &Pipeline{Huts: huts, Log: l, Figures: f, Sky: func(ctx context.Context, n Night) (string, error) {
		asked.Add(1)
		if !ratelimit.IsLowPriority(ctx) {
			t.Error("guests must wait for the pipeline")
		}
		return "clear", down
	}}
	if err := p.CatchUp(t.Context()); !errors.Is(err, down) {
		t.Fatal(err)
	}
	if r := f.result(t); len(r.Weeks)+len(r.Bad) > 0 {
		t.Errorf("without the sky: %v", r)
	}
	asked.Store(0)
	down = nil
	unknown := &gateway.Error{Kind: gateway.BadStatus, Status: http.StatusNotFound}
	sky := p.Sky
	p.Sky = func(ctx context.Context, n Night) (string, error) {
		if n.Date == "2027-07-02" {
			asked.Add(1)
			return "", unknown
		}
		return sky(ctx, n)
	}
	if err := p.CatchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Week{{"planura", "2027-W26", 6, 4, 0}}, f.result(t).Weeks); diff != "" || asked.Load() != 3 {
		t.Errorf("asked %d times (-want +got):\n%s", asked.Load(), diff)
	}
}

// TestMain lets the test binary be a process that dies at its step of a number.
func TestMain(m *testing.M) {
	if os.Getenv("PIPELINE_FIGURES") == "" {
		os.Exit(m.Run())
	}
	var left atomic.Int64
	var n int64
	fmt.Sscan(os.Getenv("PIPELINE_STEPS"), &n)
	left.Store(n)
	at = func(string) {
		if left.Add(-1) == 0 {
			os.Exit(3) // nothing deferred runs, nothing is flushed: as if it were killed
		}
	}
	f, err := Open(os.Getenv("PIPELINE_FIGURES"))
	if err == nil {
		err = catchUp(f, os.Getenv("PIPELINE_WEATHER"))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// catchUp asks the weather service at url.
func catchUp(f *Figures, url string) error {
	weather, err := outside.NewWeather(url, http.DefaultTransport)
	if err != nil {
		return err
	}
	defer weather.Close()
	p := &Pipeline{Huts: huts, Log: some(40), Figures: f, Batch: 4, Sky: func(ctx context.Context, n Night) (string, error) {
		forecast, err := weather.Forecast(ctx, n.Hut, n.Date)
		return forecast.Sky, err
	}}
	return p.CatchUp(context.Background())
}

// TestPipelineResumes: processes die one after the other, each one step later than the one
// before, in the middle of a transaction too. The last one's figures are those of one that
// nobody disturbed.
func TestPipelineResumes(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	w, err := world.New()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	dir := t.TempDir()
	undisturbed := open(t, filepath.Join(dir, "undisturbed.db"))
	if err := catchUp(undisturbed, w.Weather.URL); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path, deaths := filepath.Join(dir, "figures.db"), 0
	for steps := 1; ; steps++ {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "PIPELINE_FIGURES="+path, "PIPELINE_WEATHER="+w.Weather.URL, fmt.Sprint("PIPELINE_STEPS=", steps))
		out, err := cmd.CombinedOutput()
		if err == nil {
			break
		}
		if cmd.ProcessState.ExitCode() != 3 {
			t.Fatalf("step %d: %v\n%s", steps, err, out)
		}
		deaths++
	}
	if deaths < 10 {
		t.Errorf("only %d processes died", deaths)
	}
	if diff := cmp.Diff(undisturbed.result(t), open(t, path).result(t)); diff != "" {
		t.Errorf("after %d deaths (-want +got):\n%s", deaths, diff)
	}
}
