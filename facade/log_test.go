package facade_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/belay-go/belay/facade"
	"github.com/google/go-cmp/cmp"
)

// Statuses and kinds are words, in texts and in JSON, also those that do not exist.
func TestEnums(t *testing.T) {
	for want, v := range map[string]fmt.Stringer{
		"ok": facade.OK, "fell back": facade.FellBack, "failed": facade.Failed, "skipped": facade.Skipped,
		"cancelled": facade.Cancelled, "Status(9)": facade.Status(9),
		"called": facade.Called, "late": facade.Late, "Kind(9)": facade.Kind(9),
	} {
		text, err := json.Marshal(v)
		if v.String() != want || string(text) != fmt.Sprintf("%q", want) || err != nil {
			t.Errorf("got %v, %s, %v; want %s", v, text, err, want)
		}
	}
}

// A log shows what applies, and nothing else.
func TestLogValues(t *testing.T) {
	for _, tt := range []struct {
		value slog.LogValuer
		want  string
	}{
		{facade.Event{}, `v.kind=called v.elapsed=0s`},
		{facade.Event{
			Name: "page", Elapsed: time.Second, Err: errWrong,
			Spans: []facade.Span{{Part: "price", End: time.Second}, {Part: "stock", Status: facade.Failed, Err: errWrong, Start: 1, End: 2, Undone: true, Critical: true}},
		}, `v.kind=called v.name=page v.elapsed=1s v.err=wrong v.stock.status=failed v.stock.err=wrong v.stock.start=1ns v.stock.end=2ns v.stock.undone=true v.stock.critical=true`},
		{facade.Event{Kind: facade.Late, Part: "stock", Undone: true}, `v.kind=late v.part=stock v.elapsed=0s v.undone=true`},
		{facade.Event{Kind: facade.Late, Part: "stock", Undo: errWrong}, `v.kind=late v.part=stock v.elapsed=0s v.undo=wrong`},
		{facade.Stats{Name: "page", InFlight: 1, Calls: 7, Failed: 2, Parts: []facade.PartStats{{Part: "stock", OK: 5, Left: 1}, {Part: "price"}}},
			`v.name=page v.in_flight=1 v.calls=7 v.failed=2 v.stock.ok=5 v.stock.left=1`},
		{&facade.Error{Err: errWrong}, `v.err=wrong`},
		{&facade.Error{
			Name: "page", Part: "stock", Err: errWrong, Others: []facade.Reason{{Part: "price", Status: facade.Cancelled, Err: errWrong}},
			Undone: []string{"a", "b"}, Undo: []error{errors.New("no")}, Unknown: []string{"c"},
		}, `v.name=page v.part=stock v.err=wrong v.others="[price cancelled: wrong]" v.undone="[a b]" v.undo=[no] v.unknown=[c] v.incomplete=true`},
	} {
		var s strings.Builder
		slog.New(slog.NewTextHandler(&s, nil)).Info("", "v", tt.value)
		_, got, _ := strings.Cut(strings.TrimSpace(s.String()), `msg="" `)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Error(diff)
		}
	}
}
