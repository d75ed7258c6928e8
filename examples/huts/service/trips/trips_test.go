package trips

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/belay-go/belay/examples/huts/adapter/outside"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/service/booking"
	"github.com/belay-go/belay/gateway"
	"github.com/google/go-cmp/cmp"
)

// sources answer, unless down says of one that it does not.
type sources struct {
	down    map[string]error
	weather atomic.Int32 // how often it was asked
}

func (s *sources) handler(t *testing.T) http.Handler {
	t.Helper()
	trip, err := New(Sources{
		Night: func(_ context.Context, at At) (booking.Night, error) {
			return booking.Night{Hut: at.Hut, Name: "Planurahütte", Region: "glarus", Beds: 20, Free: 7, Price: 42_50}, s.down["hut"]
		},
		Forecast: func(context.Context, domain.HutID, domain.Date) (outside.Forecast, error) {
			s.weather.Add(1)
			return outside.Forecast{Sky: "clear", Celsius: -4}, s.down["weather"]
		},
		Danger: func(_ context.Context, region string) (outside.Danger, error) {
			return outside.Danger{Region: region, Danger: 3}, s.down["danger"]
		},
		Told: func(_ context.Context, q Question) ([]string, error) {
			return []string{"paid"}, s.down["told"]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h, err := Handler(trip)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// ask returns the data, and the paths of the errors with their messages.
func ask(t *testing.T, h http.Handler, query string) (data string, errs map[string]string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"query": query})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/graphql", bytes.NewReader(body)))
	var answer struct {
		Data   json.RawMessage
		Errors []struct {
			Message string
			Path    []string
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	errs = map[string]string{}
	for _, e := range answer.Errors {
		errs[strings.Join(e.Path, ".")] = e.Message
	}
	return string(answer.Data), errs
}

const everything = `{trip(hut: "planura", date: "2027-07-31", booking: "a") {hut {name free price} weather {sky celsius stale} danger {region level} told}}`

func TestTrip(t *testing.T) {
	data, errs := ask(t, (&sources{}).handler(t), everything)
	want := `{"trip":{"hut":{"name":"Planurahütte","free":7,"price":"CHF 42.50"},"weather":{"sky":"clear","celsius":-4,"stale":false},"danger":{"region":"glarus","level":3},"told":["paid"]}}`
	if diff := cmp.Diff(want, data); diff != "" || len(errs) > 0 {
		t.Errorf("%v (-want +got):\n%s", errs, diff)
	}
}

// TestTripWithoutWeather: a trip comes without what cannot be had, and says under its
// path so, but not what stands behind; without the hut it does not come.
func TestTripWithoutWeather(t *testing.T) {
	s := &sources{down: map[string]error{"weather": errors.New("dial tcp 10.0.0.7:443: refused"), "told": errors.New("no mail")}}
	data, errs := ask(t, s.handler(t), everything)
	want := `{"trip":{"hut":{"name":"Planurahütte","free":7,"price":"CHF 42.50"},"weather":null,"danger":{"region":"glarus","level":3},"told":null}}`
	if diff := cmp.Diff(want, data); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"trip.weather": "weather: not available now", "trip.told": "told: not available now"}, errs); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	s.down = map[string]error{"hut": &gateway.Error{Status: http.StatusNotFound}}
	data, errs = ask(t, s.handler(t), everything)
	if data != "" && data != "null" || !strings.Contains(errs["trip"], "not found") {
		t.Errorf("%s, %v", data, errs)
	}
}

// TestOnlyWhatIsAsked: a system is not asked for what the query does not want.
func TestOnlyWhatIsAsked(t *testing.T) {
	s := &sources{}
	data, errs := ask(t, s.handler(t), `{trip(hut: "planura", date: "2027-07-31") {hut {free} told}}`)
	if data != `{"trip":{"hut":{"free":7},"told":null}}` || len(errs) > 0 || s.weather.Load() != 0 {
		t.Errorf("%s, %v, the weather service was asked %d times", data, errs, s.weather.Load())
	}
}

// TestDeepQueryRefused: queries that would cost too much are not begun.
func TestDeepQueryRefused(t *testing.T) {
	s := &sources{}
	h := s.handler(t)
	alias := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(" a" + strings.Repeat("x", i) + `: trip(hut: "planura", date: "2027-07-31") {weather {sky}}`)
		}
		return "{" + b.String() + "}"
	}
	for name, query := range map[string]string{
		"deep":           `{__schema {types {fields {type {ofType {ofType {name}}}}}}}`,
		"wide":           alias(30),
		"long":           everything + strings.Repeat(" ", 5_000),
		"a day no day":   `{trip(hut: "planura", date: "31.7.") {hut {free}}}`,
		"unknown fields": `{trip(hut: "planura", date: "2027-07-31") {secret}}`,
	} {
		data, errs := ask(t, h, query)
		if len(errs) == 0 || data != "" && data != "null" {
			t.Errorf("%s: %s, %v", name, data, errs)
		}
	}
	if n := s.weather.Load(); n != 0 {
		t.Errorf("the weather service was asked %d times", n)
	}
	for _, body := range []string{"", "[]", `{"query": 1}`} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body)))
		if w.Code != http.StatusBadRequest {
			t.Errorf("%q: %d", body, w.Code)
		}
	}
}

// TestOverGET: a question can be a link.
func TestOverGET(t *testing.T) {
	h := (&sources{}).handler(t)
	get := func(params url.Values) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/graphql?"+params.Encode(), nil))
		return w
	}
	w := get(url.Values{"query": {`query($hut: ID!) {trip(hut: $hut, date: "2027-07-31") {hut {free}}}`}, "variables": {`{"hut": "planura"}`}})
	if got := strings.TrimSpace(w.Body.String()); got != `{"data":{"trip":{"hut":{"free":7}}}}` {
		t.Errorf("%d %s", w.Code, got)
	}
	for _, params := range []url.Values{{}, {"query": {everything}, "variables": {"hut"}}} {
		if w := get(params); w.Code != http.StatusBadRequest {
			t.Errorf("%v: %d", params, w.Code)
		}
	}
}
