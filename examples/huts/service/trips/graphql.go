// GraphQL: the client says what it wants, and the server how much of that it will do.
// Not worth it for one client with one question.

package trips

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/belay-go/belay/examples/huts/adapter/outside"
	"github.com/belay-go/belay/examples/huts/domain"
	"github.com/belay-go/belay/facade"
	"github.com/graph-gophers/graphql-go"
)

const schema = `
type Query {
	"A night at a hut, and what one should know before."
	trip(hut: ID!, date: String!, booking: ID): Trip!
}
type Trip {
	hut: Hut!
	"Missing if the weather service is down and has not been asked before."
	weather: Weather
	danger: Danger
	"Of which states of the booking its guest has been told."
	told: [String!]
}
type Hut { id: ID!, name: String!, beds: Int!, free: Int!, price: String! }
type Weather { sky: String!, celsius: Int!, stale: Boolean! }
"That of avalanches, from 1 to 5."
type Danger { region: String!, level: Int! }
`

// Handler answers GraphQL over POST, and over GET: there are only queries, and what is
// asked with GET can be asked again. A query is at most 4 KB long, five levels deep and has
// 40 selections, since everybody may ask.
func Handler(trip *facade.Facade[Question, Trip]) (http.Handler, error) {
	s, err := graphql.ParseSchema(schema, &query{trip}, graphql.MaxDepth(5), graphql.MaxQueryLength(4<<10), graphql.MaxSelections(40))
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request, in request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s.Exec(r.Context(), in.Query, in.Operation, in.Variables))
	}
	mux.HandleFunc("POST /graphql", func(w http.ResponseWriter, r *http.Request) {
		var in request
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10)).Decode(&in); err != nil {
			http.Error(w, "want JSON with a query", http.StatusBadRequest)
			return
		}
		answer(w, r, in)
	})
	mux.HandleFunc("GET /graphql", func(w http.ResponseWriter, r *http.Request) {
		in := request{Query: r.FormValue("query"), Operation: r.FormValue("operationName")}
		if v := r.FormValue("variables"); v != "" && json.Unmarshal([]byte(v), &in.Variables) != nil || in.Query == "" {
			http.Error(w, "want a query, and variables in JSON", http.StatusBadRequest)
			return
		}
		answer(w, r, in)
	})
	return mux, nil
}

type request struct {
	Query     string
	Operation string `json:"operationName"`
	Variables map[string]any
}

type query struct {
	trip *facade.Facade[Question, Trip]
}

func (q *query) Trip(ctx context.Context, args struct {
	Hut     graphql.ID
	Date    string
	Booking *graphql.ID
}) (*trip, error) {
	date, err := domain.ParseDate(args.Date)
	if err != nil {
		return nil, err
	}
	ask := Question{
		At:      At{domain.HutID(args.Hut), date},
		Weather: graphql.HasSelectedField(ctx, "weather"),
		Danger:  graphql.HasSelectedField(ctx, "danger"),
		Told:    graphql.HasSelectedField(ctx, "told"),
	}
	if args.Booking != nil {
		ask.Booking = domain.BookingID(*args.Booking)
	}
	t, err := q.trip.Call(ctx, ask)
	if err != nil {
		return nil, said(ctx, "hut", err)
	}
	return &trip{t}, nil
}

// said returns what a guest may learn of an error: its kind. Its text names systems and
// addresses behind us, and is for the log.
func said(ctx context.Context, part string, err error) error {
	if err == nil {
		return nil
	}
	slog.DebugContext(ctx, "trips: an answer is missing", "part", part, "err", err)
	status, ok := errors.AsType[interface {
		error
		HTTPStatusCode() int
	}](err)
	switch {
	case ok && status.HTTPStatusCode() == http.StatusNotFound:
		return fmt.Errorf("%s: not found", part)
	case ok && status.HTTPStatusCode() == http.StatusUnauthorized:
		return fmt.Errorf("%s: only for guests who say who they are", part)
	}
	return fmt.Errorf("%s: not available now", part)
}

// trip resolves the fields of a Trip. What is missing is null, with the reason in the
// errors of the answer, under its path.
type trip struct{ Trip }

func (t *trip) Hut() hut { return hut{t.Trip} }

func (t *trip) Weather(ctx context.Context) (*weather, error) {
	if t.Trip.Weather == nil {
		return nil, said(ctx, "weather", t.Missing["weather"])
	}
	return &weather{*t.Trip.Weather}, nil
}

func (t *trip) Danger(ctx context.Context) (*danger, error) {
	if t.Trip.Danger == nil {
		return nil, said(ctx, "danger", t.Missing["danger"])
	}
	return &danger{*t.Trip.Danger}, nil
}

func (t *trip) Told(ctx context.Context) (*[]string, error) {
	if t.Trip.Told == nil {
		return nil, said(ctx, "told", t.Missing["told"])
	}
	return &t.Trip.Told, nil
}

type hut struct{ t Trip }

func (h hut) ID() graphql.ID { return graphql.ID(h.t.Night.Hut) }
func (h hut) Name() string   { return h.t.Night.Name }
func (h hut) Beds() int32    { return int32(h.t.Night.Beds) }
func (h hut) Free() int32    { return int32(h.t.Night.Free) }
func (h hut) Price() string  { return h.t.Night.Price.String() }

type weather struct{ f outside.Forecast }

func (w weather) Sky() string    { return w.f.Sky }
func (w weather) Celsius() int32 { return int32(w.f.Celsius) }
func (w weather) Stale() bool    { return w.f.Stale }

type danger struct{ d outside.Danger }

func (d danger) Region() string { return d.d.Region }
func (d danger) Level() int32   { return int32(d.d.Danger) }
