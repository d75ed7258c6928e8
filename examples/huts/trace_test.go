package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/examples/huts/world"
	"github.com/google/go-cmp/cmp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

var updateMetrics = flag.Bool("update-metrics", false, "write the list of metrics")

// TestTraceCrossesTheBroker: a guest books on a page, and everything until the mail is in one
// trace: the page, the booking, the payment, the message and whoever hears of it.
func TestTraceCrossesTheBroker(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	p := running(t, func(c *config) { c.Spans = []sdk.SpanExporter{spans} })
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	form := func(path string, values url.Values) string {
		t.Helper()
		resp, err := browser.PostForm(p.URL+path, values)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %v\n%s", path, resp.Status, err, body)
		}
		return string(body)
	}
	form("/desk/signin", url.Values{"name": {"ann"}})
	form("/desk/bookings", url.Values{"hut": {"planura"}, "date": {"2027-07-31"}, "beds": {"2"}, "key": {"k1"}})
	finished(t, p)

	// The spans of the trace, from the message that says "paid" up to the page.
	eventually(t, func() string {
		p.monitor.Flush(t.Context())
		all := spans.GetSpans()
		byID := map[trace.SpanID]tracetest.SpanStub{}
		for _, s := range all {
			byID[s.SpanContext.SpanID()] = s
		}
		why := "no mail was sent in a trace"
		for _, s := range all {
			if s.SpanKind != trace.SpanKindClient || !strings.HasSuffix(s.Name, "/messages") {
				continue
			}
			var way []string
			for at, ok := s, true; ok; at, ok = byID[at.Parent.SpanID()] {
				if at.SpanContext.TraceID() != s.SpanContext.TraceID() {
					t.Fatalf("%s is in another trace", at.Name)
				}
				way = append(way, fmt.Sprint(at.SpanKind, " ", at.Name))
			}
			slices.Reverse(way)
			want := []string{"server POST", "client POST /huts/{hut}/{date}/bookings", "server POST", "internal publish", "internal consume", "client POST /messages"}
			if diff := cmp.Diff(want, way); diff != "" {
				why = diff
				continue
			}
			for _, other := range all {
				if other.SpanContext.TraceID() == s.SpanContext.TraceID() && other.Name == "POST /charges" {
					return ""
				}
			}
			why = "the payment is in no trace, or in another"
		}
		return why
	})
}

// TestLogsHaveTheTrace: a record says which trace it belongs to, if it does.
func TestLogsHaveTheTrace(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(platform.TracedLog(slog.NewTextHandler(&out, nil))).With("a", 1)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	log.InfoContext(platform.WithTrace(t.Context(), "00-"+id+"-00f067aa0ba902b7-01"), "inside")
	log.InfoContext(platform.WithTrace(t.Context(), "nonsense"), "outside")
	lines := strings.Split(out.String(), "\n")
	if !strings.Contains(lines[0], "a=1 trace_id="+id+" span_id=00f067aa0ba902b7") || strings.Contains(lines[1], "trace_id") {
		t.Error(out.String())
	}
}

// TestMetricNames: /metrics has the metrics of all layers, for everybody. Their names are
// what alerts and dashboards hold on to, so a new list is a decision: -update-metrics
// writes it.
func TestMetricNames(t *testing.T) {
	p := running(t)
	p.World.Payment.Break(world.Failing)
	put(t.Context(), p.URL+a1, p.token("ann"), 2)
	p.World.Payment.Break(world.Well)
	finished(t, p)
	names := func() string {
		got := get(t.Context(), p.URL+"/metrics", "")
		var names []string
		for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+ \S+)$`).FindAllStringSubmatch(got, -1) {
			names = append(names, m[1])
		}
		slices.Sort(names)
		return strings.Join(names, "\n") + "\n"
	}
	if *updateMetrics {
		if err := os.WriteFile("testdata/metrics.txt", []byte(names()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	page := get(t.Context(), p.URL+"/metrics", "")
	for _, name := range []string{"payment", "mail", "weather", "bulletin", "identity", "client", "trip"} {
		if !strings.Contains(page, `belay_name="`+name+`"`) {
			t.Errorf("there are no metrics of %s", name)
		}
	}
	if strings.Contains(page, "ann") || strings.Contains(page, "payment-secret") {
		t.Error("the metrics name a guest, or a secret")
	}
}
