package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// fakeOutput is the variable that makes the test binary print its value, as a
// binary of benchmarks would print its results.
const fakeOutput = "BELAY_REPORT_FAKE_OUTPUT"

func TestMain(m *testing.M) {
	if out, ok := os.LookupEnv(fakeOutput); ok {
		fmt.Print(out)
		return
	}
	os.Exit(m.Run())
}

const twoProcs = `goos: linux
goarch: amd64
pkg: github.com/belay-go/belay/internal/bench/retry
cpu: Some CPU @ 2.00GHz
BenchmarkRetry/first-try/belay-2   	 5000000	        12.50 ns/op	       0 B/op	       0 allocs/op
BenchmarkRetry/first-try/backoff-v5-2         	   10000	      1255 ns/op	     120 B/op	       3 allocs/op
BenchmarkRetry/zero-delay/backoff-v4-2
    retry_test.go:10: something was logged
BenchmarkRetry/zero-delay/backoff-v4-2        	     100	      0.25 ns/op	      12.00 MB/s	     264 B/op	       5 allocs/op
PASS
`

func TestParse(t *testing.T) {
	got, cpu, err := parse(twoProcs, 2)
	if err != nil {
		t.Fatal(err)
	}
	if cpu != "Some CPU @ 2.00GHz" {
		t.Errorf("cpu is %q", cpu)
	}
	want := []result{
		{"Retry", "first-try", "belay", figures{12.5, 0, 0}},
		{"Retry", "first-try", "backoff-v5", figures{1255, 120, 3}},
		{"Retry", "zero-delay", "backoff-v4", figures{0.25, 264, 5}},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestParseOneProcessor(t *testing.T) {
	// Without the suffix, what looks like one belongs to the name.
	got, _, err := parse("BenchmarkBreaker/open/v-1 \t 1 \t 7 ns/op \t 1 B/op \t 2 allocs/op\n", 1)
	want := []result{{"Breaker", "open", "v-1", figures{7, 1, 2}}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"BenchmarkX/y 1 7 ns/op 0 B/op 0 allocs/op", "the name is not"},
		{"BenchmarkX/y/z/more 1 7 ns/op 0 B/op 0 allocs/op", "the name is not"},
		{"BenchmarkX/y/z 1 seven ns/op 0 B/op 0 allocs/op", "seven"},
		{"BenchmarkX/y/z 1 7 ns/op", "no B/op"},
		{"BenchmarkX/y/z 1 0 B/op 0 allocs/op", "no ns/op"},
	} {
		if _, _, err := parse(test.line, 1); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: got error %v, want one with %q", test.line, err, test.want)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 100, 2}, 3},
	} {
		if got := median(slices.Clone(test.values)); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.values, got, test.want)
		}
	}
	if got := median(nil); !math.IsNaN(got) {
		t.Errorf("median of nothing is %v, want NaN", got)
	}
}

// rounds makes rounds from the ns/op of implementations in them.
func rounds(ns map[string][]float64) []map[string]figures {
	var all []map[string]figures
	for impl, values := range ns {
		for i, v := range values {
			if i == len(all) {
				all = append(all, make(map[string]figures))
			}
			all[i][impl] = figures{ns: v, bytes: 16, allocs: 1}
		}
	}
	return all
}

func TestPaired(t *testing.T) {
	// The second round was slow for both. The quotients are 4, 5 and 3; that of the
	// medians would be 40/11.
	all := rounds(map[string][]float64{"peer": {40, 500, 33}, "belay": {10, 100, 11}})
	if got := paired(all, "peer", all, "belay", quotient); got != 4 {
		t.Errorf("quotient is %v, want 4", got)
	}
	if got := paired(all, "peer", all, "belay", difference); got != 30 {
		t.Errorf("difference is %v, want 30", got)
	}
	if got := paired(all, "peer", all, "floor", quotient); !math.IsNaN(got) {
		t.Errorf("quotient with an implementation that is missing is %v, want NaN", got)
	}
}

func TestMarkdown(t *testing.T) {
	env := environment{
		goVersion: "go1.26.8 linux/amd64", cpu: "Some CPU", procs: 2,
		peers: []string{"example.com/peer v1.2.3", "example.com/other v2.0.0"}, rounds: 3, benchtime: "60ms",
	}
	groups := []*group{
		{pkg: "Breaker", path: "open", impls: []string{"belay", "peer", "floor"},
			rounds: rounds(map[string][]float64{"belay": {2, 3, 2.5}, "peer": {20, 24, 30}, "floor": {1, 1, 1}})},
		{pkg: "Breaker", path: "open-par", impls: []string{"belay"},
			rounds: rounds(map[string][]float64{"belay": {1, 1.5, 1.25}})},
	}
	want := `
## Breaker

### open

| implementation | ns/op [min..max] | B/op | allocs/op | / belay | / floor | - floor, ns |
|---|--:|--:|--:|--:|--:|--:|
| belay | 2.50 [2..3] | 16 | 1 | 1 | 2.50 | 1.50 |
| peer | 24 [20..30] | 16 | 1 | 10 | 24 | 23 |
| floor | 1 [1..1] | 16 | 1 | 0.40 | 1 | 0 |

### open-par

| implementation | ns/op [min..max] | B/op | allocs/op | / belay | / floor | - floor, ns | / serial |
|---|--:|--:|--:|--:|--:|--:|--:|
| belay | 1.25 [1..1.50] | 16 | 1 | 1 | – | – | 0.50 |
`
	got := markdown(env, groups)
	head, tables, _ := strings.Cut(got, "\n\n## ")
	if tables = "\n## " + tables; tables != want {
		t.Errorf("got:\n%s\nwant:\n%s", tables, want)
	}
	for _, s := range []string{"go1.26.8 linux/amd64 on Some CPU, 2 processors", "3 rounds of 60ms",
		"example.com/peer v1.2.3, example.com/other v2.0.0"} {
		if !strings.Contains(head, s) {
			t.Errorf("the head does not say %q:\n%s", s, head)
		}
	}
}

func TestProcs(t *testing.T) {
	for path, want := range map[string]int{"open": 1, "open-par": 2, "par": 1} {
		if got := (&group{path: path}).procs(); got != want {
			t.Errorf("%s runs on %d processors, want %d", path, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.254: "0.25", 9.99: "9.99", 9.996: "10.0", 12.34: "12.3", 123.4: "123", 123456.7: "123457", -23.46: "-23.5",
		math.Inf(1): "–",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
}

func TestListAndMeasure(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := binary{file: self, dir: t.TempDir()}
	t.Setenv(fakeOutput, strings.ReplaceAll(twoProcs, "-2 ", " "))
	groups, err := bin.list(t.Context(), regexp.MustCompile("^Retry/.*/(belay|backoff-v5)$"))
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != 1 || groups[0].pkg != "Retry" || groups[0].path != "first-try" ||
		!slices.Equal(groups[0].impls, []string{"belay", "backoff-v5"}) {
		t.Fatalf("got groups %+v", groups)
	}
	if err := groups[0].measure(t.Context(), "1x"); err != nil {
		t.Fatal(err)
	}
	if got := groups[0].rounds[0]["backoff-v5"]; got != (figures{1255, 120, 3}) || groups[0].cpu == "" {
		t.Errorf("measured %v on %q", got, groups[0].cpu)
	}
	t.Setenv(fakeOutput, "PASS\n")
	if err := groups[0].measure(t.Context(), "1x"); err == nil || !strings.Contains(err.Error(), "Retry/first-try/belay gave no result") {
		t.Errorf("a missing result is reported as %v", err)
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-h"}, 0, "usage: report"},
		{[]string{"-rounds=0"}, 2, "-rounds is 0"},
		{[]string{"-rounds=many"}, 2, "many"},
		{[]string{"-benchtime=fast"}, 2, `-benchtime is "fast"`},
		{[]string{"-benchtime=-1s"}, 2, `-benchtime is "-1s"`},
		{[]string{"-benchtime=0x"}, 2, `-benchtime is "0x"`},
		{[]string{"-bench=("}, 2, "-bench: error parsing regexp"},
		{[]string{"-verbose"}, 2, "-verbose"},
		{[]string{"Breaker"}, 2, `unexpected argument "Breaker"`},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), test.args, &stdout, &stderr)
		if code != test.code || !strings.Contains(stderr.String(), test.want) || stdout.Len() > 0 {
			t.Errorf("%q: code %d, stdout %q, stderr %q; want code %d and %q", test.args, code, &stdout, &stderr, test.code, test.want)
		}
	}
}
