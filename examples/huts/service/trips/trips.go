// Facade: one question to many systems, of which some may not answer. Not worth it for
// two calls one after the other.

// Package trips is the service that answers what a guest wants to know before a trip:
// the hut, the weather, the avalanche danger, and what has become of a booking.
package trips

import (
	"context"
	"net/http"
	"time"

	"github.com/belay-go/belay/breaker"
	"github.com/belay-go/belay/examples/huts/adapter/outside"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/examples/huts/service/booking"
	"github.com/belay-go/belay/facade"
	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/retry"
)

// Sources are the systems that a trip is made of.
type Sources struct {
	Night    func(context.Context, At) (booking.Night, error)
	Forecast func(context.Context, domain.HutID, domain.Date) (outside.Forecast, error)
	Danger   func(ctx context.Context, region string) (outside.Danger, error)
	Told     func(context.Context, Question) ([]string, error)
}

// A Question asks about a night at a hut. What is not wanted is not asked for.
type Question struct {
	At
	Booking               domain.BookingID `path:"id"`
	Weather, Danger, Told bool             `query:"-"`
}

// At is a night at a hut.
type At struct {
	Hut  domain.HutID `path:"hut"`
	Date domain.Date  `path:"date"`
}

// A Trip is the answer. Missing says what is not in it although it was wanted, and why.
type Trip struct {
	Night   booking.Night
	Weather *outside.Forecast
	Danger  *outside.Danger
	Told    []string
	Missing map[string]error
}

// New returns the facade over the sources: the hut is required, and all else optional,
// so that a trip takes a second at the most.
func New(s Sources) (*facade.Facade[Question, Trip], error) {
	p := facade.New[Question](facade.Config{Name: "trip"})
	wanted := func(name string, of func(Question) bool) *facade.Part[bool] {
		return facade.Step(p, name+" wanted", func(_ context.Context, q Question) (bool, error) { return of(q), nil })
	}
	wantsWeather := wanted("weather", func(q Question) bool { return q.Weather })
	wantsDanger := wanted("danger", func(q Question) bool { return q.Danger })
	wantsTold := wanted("told", func(q Question) bool { return q.Told && q.Booking != "" })

	night := facade.Step(p, "hut", func(ctx context.Context, q Question) (booking.Night, error) {
		return s.Night(ctx, q.At)
	}).Timeout(time.Second)
	weather := facade.Step(p, "weather", func(ctx context.Context, q Question) (outside.Forecast, error) {
		return s.Forecast(ctx, q.Hut, q.Date)
	}).Optional().Timeout(time.Second).When(wantsWeather)
	danger := facade.After(p, "danger", night, func(ctx context.Context, n booking.Night) (outside.Danger, error) {
		return s.Danger(ctx, n.Region)
	}).Optional().Timeout(time.Second).When(wantsDanger)
	told := facade.Step(p, "told", s.Told).Optional().Timeout(time.Second).When(wantsTold)

	return facade.Build(p, func(v *facade.Values) (Trip, error) {
		t := Trip{Night: night.Value(v), Told: told.Value(v), Missing: map[string]error{}}
		if r := weather.Result(v); r.Status == facade.OK {
			t.Weather = &r.Value
		}
		if r := danger.Result(v); r.Status == facade.OK {
			t.Danger = &r.Value
		}
		for _, m := range v.Missing() {
			t.Missing[m.Part] = m.Err
		}
		return t, nil
	})
}

// Inside returns the sources Night and Told: our own services, asked over HTTP at their
// URLs for whoever asks us, over connections of base.
func Inside(base http.RoundTripper, bookingURL, mailURL string) (night func(context.Context, At) (booking.Night, error), told func(context.Context, Question) ([]string, error), err error) {
	client := func(name, url string) (*gateway.Gateway, error) {
		return gateway.New(gateway.Config{
			Name: name, BaseURL: url, Timeout: 900 * time.Millisecond, Auth: platform.Forward{},
			Transport: &retry.Transport{
				Policy: retry.New(retry.Config{Name: name, AttemptTimeout: 400 * time.Millisecond}),
				Base:   &breaker.Transport{Breaker: breaker.New(breaker.Config{Name: name}), Base: base},
			},
		})
	}
	b, err := client("booking", bookingURL)
	if err != nil {
		return nil, nil, err
	}
	m, err := client("mail", mailURL)
	if err != nil {
		return nil, nil, err
	}
	return gateway.NewEndpoint[At, booking.Night](b, "GET /huts/{hut}/{date}", gateway.EndpointConfig{}).Call,
		gateway.NewEndpoint[Question, []string](m, "GET /told/{hut}/{date}/{id}", gateway.EndpointConfig{}).Call, nil
}
