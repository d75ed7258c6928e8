// Composition root: the one place that knows all parts and puts them together, by hand.
// Not worth a framework: it is read from top to bottom.

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/belay-go/belay/contrib/otelbelay"
	"github.com/belay-go/belay/examples/huts/adapter/bus"
	"github.com/belay-go/belay/examples/huts/adapter/outside"
	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/app"
	"github.com/belay-go/belay/examples/huts/console"
	"github.com/belay-go/belay/examples/huts/pipeline"
	"github.com/belay-go/belay/examples/huts/platform"
	"github.com/belay-go/belay/examples/huts/service/booking"
	"github.com/belay-go/belay/examples/huts/service/desk"
	"github.com/belay-go/belay/examples/huts/service/front"
	"github.com/belay-go/belay/examples/huts/service/mail"
	"github.com/belay-go/belay/examples/huts/service/trips"
	"github.com/belay-go/belay/examples/huts/world"
)

// A program is what runs in this process: services, and whatever of their surroundings
// the config does not say is elsewhere.
type program struct {
	URL   string
	World *world.World // nil if it is elsewhere

	store   *store.Store // of booking
	nights  *store.Nights
	mailer  *mail.Service
	weather *outside.Weather
	bus     *bus.Bus
	before  *front.Front // before the instances of trips, or nil

	health  platform.Health
	monitor *platform.Monitor
	layers  []console.Layer
	mux     *http.ServeMux // behind the guard
	server  *http.Server
	running sync.WaitGroup
	stop    context.CancelFunc
	closers []func() error
}

// start starts the services named only, or all if that is "".
func start(ctx context.Context, c config, only string) (_ *program, err error) {
	if err := c.alone(only); err != nil {
		return nil, err
	}
	p := &program{mux: http.NewServeMux()}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(ctx))
		}
	}()
	ctx, p.stop = context.WithCancel(context.WithoutCancel(ctx))
	if p.monitor, err = platform.NewMonitor(c.Spans...); err != nil {
		return nil, err
	}
	p.closers = append(p.closers, p.monitor.Close)

	l, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, fmt.Errorf("huts: %w", err)
	}
	p.URL = "http://" + l.Addr().String()
	p.closers = append(p.closers, func() error { return ignore(l.Close(), net.ErrClosed) })

	if c.Data == "" {
		if c.Data, err = os.MkdirTemp("", "huts-"); err != nil {
			return nil, err
		}
		p.closers = append(p.closers, func() error { return os.RemoveAll(c.Data) })
	} else if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, err
	}
	if only == "" || only == "world" {
		if err := p.surround(&c); err != nil {
			return nil, err
		}
	}
	outer := http.NewServeMux()
	outer.Handle("/livez", p.health.Handler())
	outer.Handle("/readyz", p.health.Handler())
	outer.HandleFunc("GET /style.css", platform.Style)
	guard := platform.NewGuard(platform.NewVerifier(c.TokenKey), c.Proxies...)
	p.monitor.Watch("client", guard.Watched())
	outer.Handle("GET /metrics", p.monitor.Metrics())
	outer.Handle("/", p.monitor.Handler(guard.Handler(p.mux)))
	if p.World != nil {
		outer.Handle("POST /token", platform.Local(p.World.Identity, c.Open))
	}
	p.server = platform.NewServer(outer)
	if only == "" || only == "booking" || only == "mail" {
		if p.bus, err = p.connect(ctx, c); err != nil {
			return nil, err
		}
		p.health.Needs("broker", p.bus.Ping)
		p.closers = append(p.closers, func() error { p.bus.Close(); return nil })
	}
	for name, begin := range map[string]func(context.Context, config) error{"booking": p.booking, "mail": p.mail, "trips": p.trips, "desk": p.desk} {
		if only == "" || only == name {
			if err := begin(ctx, c); err != nil {
				return nil, err
			}
		}
	}
	if only == "front" {
		if err := p.front(c, outer); err != nil {
			return nil, err
		}
	}
	if only == "world" {
		for _, s := range p.World.Systems() {
			outer.Handle("/"+s.Name+"/", http.StripPrefix("/"+s.Name, s))
		}
	}
	if p.World != nil {
		p.console(ctx, outer, c.Open)
	}
	p.background(func() { p.server.Serve(l) })
	return p, nil
}

// console shows the simulated world, with what runs here, and lets it be broken.
func (p *program) console(ctx context.Context, front *http.ServeMux, open bool) {
	ctx, end := context.WithCancel(ctx)
	p.server.RegisterOnShutdown(end)
	slices.SortStableFunc(p.layers, func(a, b console.Layer) int { return cmp.Compare(a.System, b.System) })
	s := &console.Console{Systems: p.World.Systems(), Layers: p.layers, Done: ctx.Done()}
	if p.store != nil {
		s.Bookings = p.store.Latest
	}
	h := platform.Local(s.Handler(), open)
	front.Handle("/world", h)
	front.Handle("/world/", h)
}

// surround starts the world that the config does not say is elsewhere.
func (p *program) surround(c *config) error {
	if c.Payment == "" || c.Weather == "" || c.MailServer == "" || len(c.Bulletins) == 0 || c.TokenKey == nil {
		w, err := world.New()
		if err != nil {
			return err
		}
		p.World = w
		p.closers = append(p.closers, w.Close)
		if c.Seed != "" {
			w.Identity.Seed(c.Seed)
		}
		c.Payment = cmp.Or(c.Payment, w.Payment.URL)
		c.Weather = cmp.Or(c.Weather, w.Weather.URL)
		c.MailServer = cmp.Or(c.MailServer, w.Mail.URL)
		if c.TokenKey == nil {
			c.TokenKey, c.Identity = w.Identity.Key, w.Identity.URL
		}
		if len(c.Bulletins) == 0 {
			for _, b := range w.Bulletins {
				c.Bulletins = append(c.Bulletins, b.URL)
			}
		}
	}
	c.Booking, c.Mail = cmp.Or(c.Booking, p.URL), cmp.Or(c.Mail, p.URL)
	return nil
}

func (p *program) connect(ctx context.Context, c config) (*bus.Bus, error) {
	if c.NATS != "" {
		return bus.Connect(ctx, c.NATS)
	}
	return bus.Embed(ctx, filepath.Join(c.Data, "nats"))
}

func (p *program) booking(ctx context.Context, c config) (err error) {
	if p.store, err = p.open(c, "booking.db"); err != nil {
		return err
	}
	payment, err := outside.NewPayment(c.Payment, c.PaymentToken.Reveal(), p.connections())
	if err != nil {
		return err
	}
	p.monitor.Watch("payment", payment.Gateway, payment.Retry, payment.Breaker, payment.Concurrency)
	p.layers = append(p.layers, console.Retry("payment", payment.Retry), console.Breaker("payment", payment.Breaker), console.Bulkhead("payment", payment.Concurrency))
	p.nights = &store.Nights{Huts: huts, Store: p.store}
	s := &booking.Service{Nights: p.nights, Payment: noted{payment}, Patience: c.Patience,
		Publish: traced(p.monitor, "publish", func(ctx context.Context, c app.Change) error {
			return note("publish", func() error { return p.bus.Publish(ctx, c) })
		}),
	}
	h := s.Handler()
	p.mux.Handle("/huts/", h)
	p.mux.Handle("/bookings", h)
	p.background(func() { s.Run(ctx) })
	if c.Weather != "" {
		return p.figures(ctx, c)
	}
	return nil
}

func (p *program) mail(ctx context.Context, c config) error {
	inbox, err := p.open(c, "mail.db")
	if err != nil {
		return err
	}
	sender, err := outside.NewMail(c.MailServer, p.connections())
	if err != nil {
		return err
	}
	p.monitor.Watch("mail", sender.Gateway, sender.Retry, sender.Breaker, sender.Limiter, sender.Concurrency)
	p.layers = append(p.layers, console.Retry("mail", sender.Retry), console.Breaker("mail", sender.Breaker),
		console.Limiter("mail", sender.Limiter), console.Bulkhead("mail", sender.Concurrency))
	p.mailer = &mail.Service{Store: inbox, Send: func(ctx context.Context, c app.Change) error {
		return note("mail", func() error { return sender.Send(ctx, c) })
	}}
	p.mux.Handle("/told/", p.mailer.Handler())
	p.consume(ctx, bus.Consumer{Name: "mail", Handle: traced(p.monitor, "consume", p.mailer.Handle), Tries: 20})
	return nil
}

func (p *program) trips(_ context.Context, c config) error {
	weather, err := p.skies(c)
	if err != nil {
		return err
	}
	bulletin, err := outside.NewBulletin(p.connections(), c.Bulletins...)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, bulletin.Close)
	p.monitor.Watch("bulletin", bulletin.Gateway, bulletin.Retry, bulletin.Balancer)
	p.layers = append(p.layers, console.Retry("bulletin", bulletin.Retry), console.Balancer("bulletin", bulletin.Balancer))
	night, told, err := trips.Inside(p.connections(), c.Booking, c.Mail)
	if err != nil {
		return err
	}
	trip, err := trips.New(trips.Sources{Night: night, Told: told, Forecast: weather.Forecast, Danger: bulletin.Danger})
	if err != nil {
		return err
	}
	p.monitor.Watch("trip", trip)
	h, err := trips.Handler(trip)
	if err == nil {
		p.mux.Handle("/graphql", h)
	}
	return err
}

// skies returns the weather service, one for all who ask it in this process.
func (p *program) skies(c config) (*outside.Weather, error) {
	if p.weather == nil {
		w, err := outside.NewWeather(c.Weather, p.connections())
		if err != nil {
			return nil, err
		}
		p.weather = w
		p.closers = append(p.closers, w.Close)
		p.monitor.Watch("weather", w.Gateway, w.Cache, w.Retry, w.Breaker, w.Limiter)
		p.layers = append(p.layers, console.Cache("weather", w.Cache), console.Retry("weather", w.Retry), console.Breaker("weather", w.Breaker), console.Limiter("weather", w.Limiter))
	}
	return p.weather, nil
}

// figures makes figures of what is booked here, and shows them to everybody: they name
// nobody.
func (p *program) figures(ctx context.Context, c config) error {
	weather, err := p.skies(c)
	if err != nil {
		return err
	}
	f, err := pipeline.Open(filepath.Join(c.Data, "figures.db"))
	if err != nil {
		return err
	}
	p.closers = append(p.closers, f.Close)
	p.health.Needs("figures.db", f.Ping)
	line := &pipeline.Pipeline{Huts: huts, Log: p.store, Figures: f, Sky: func(ctx context.Context, n pipeline.Night) (string, error) {
		forecast, err := weather.Forecast(ctx, n.Hut, n.Date)
		return forecast.Sky, err
	}}
	p.mux.Handle("GET /occupancy", f.Handler())
	p.background(func() { line.Run(ctx) })
	return nil
}

func (p *program) desk(_ context.Context, c config) error {
	if c.Identity == "" {
		return errors.New("huts: the desk needs IDENTITY_URL beside TOKEN_KEY: where people sign in")
	}
	identity, err := outside.NewIdentity(c.Identity, p.connections())
	if err != nil {
		return err
	}
	model, err := desk.NewModel(c.Booking, p.connections())
	if err != nil {
		return err
	}
	d := &desk.Desk{Model: model, Sessions: platform.NewSessions(platform.NewVerifier(c.TokenKey)), SignIn: identity.Token}
	for _, id := range slices.Sorted(maps.Keys(huts)) {
		d.Huts = append(d.Huts, huts[id])
	}
	p.mux.Handle("/desk/", d.Handler())
	p.monitor.Watch("identity", identity.Gateway, identity.Retry, identity.Breaker)
	p.layers = append(p.layers, console.Retry("identity", identity.Retry), console.Breaker("identity", identity.Breaker))
	p.mux.Handle("GET /{$}", http.RedirectHandler("/desk/", http.StatusSeeOther))
	return nil
}

// front passes what trips are asked on to its instances. It stands before the guard: each
// instance has its own.
func (p *program) front(c config, mux *http.ServeMux) error {
	f, err := front.New("trips", p.connections(), c.Trips...)
	if err != nil {
		return err
	}
	p.before = f
	p.monitor.Watch("trips", f.Retry, f.Balancer)
	p.closers = append(p.closers, f.Close)
	mux.Handle("/graphql", p.monitor.Handler(f))
	return nil
}

func (p *program) open(c config, name string) (*store.Store, error) {
	s, err := store.Open(filepath.Join(c.Data, name))
	if err == nil {
		p.health.Needs(name, s.Ping)
		p.closers = append(p.closers, s.Close)
	}
	return s, err
}

// consume consumes until ctx ends, and begins again if the broker was away.
func (p *program) consume(ctx context.Context, c bus.Consumer) {
	p.background(func() {
		for ctx.Err() == nil {
			if err := p.bus.Consume(ctx, c); err != nil {
				wait(ctx, time.Second)
			}
		}
	})
}

func (p *program) background(f func()) { p.running.Go(f) }

// drain says at /readyz that no more requests should come, and still takes what comes for
// a while, until everybody has heard of it. Connections end with their next answer.
func (p *program) drain(ctx context.Context, d time.Duration) {
	p.health.Drain()
	p.server.SetKeepAlivesEnabled(false)
	wait(ctx, d)
}

// close lets requests under way end, for as long as ctx says, and cuts off those that do
// not; stops what runs in the background, and closes everything in the order opposite to
// that in which it was opened.
func (p *program) close(ctx context.Context) error {
	var errs []error
	if p.server != nil {
		p.health.Drain()
		if err := p.server.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("huts: requests were cut off: %w", err), p.server.Close())
		}
	}
	if p.stop != nil {
		p.stop()
	}
	p.running.Wait()
	for i := range p.closers {
		errs = append(errs, p.closers[len(p.closers)-1-i]())
	}
	return errors.Join(errs...)
}

// connections are those of one system: no other can use them up. Each request is a span.
func (p *program) connections() http.RoundTripper {
	return &otelbelay.Transport{Observer: p.monitor.Observer, Base: http.DefaultTransport.(*http.Transport).Clone()}
}

// traced returns f with a span around each call.
func traced(m *platform.Monitor, name string, f func(context.Context, app.Change) error) func(context.Context, app.Change) error {
	call := otelbelay.Wrap(m.Observer, name, func(ctx context.Context, c app.Change) (struct{}, error) { return struct{}{}, f(ctx, c) })
	return func(ctx context.Context, c app.Change) error {
		_, err := call(ctx, c)
		return err
	}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
