// Package otelbelay shows what the layers of Belay do, through OpenTelemetry and
// log/slog, without code of your own.
//
// One [Observer] serves a program. Its method [Observer.Watch] takes the objects whose
// numbers you want: give it the [net/http.Client], and it finds the layers of the stack
// by itself. Its other methods are functions for the Observe of each package's Config.
// [Transport] at the bottom of a stack makes a span of each attempt, and [Wrap] one of
// each call of a function.
//
//	o := otelbelay.New(otelbelay.Config{})
//	client := &http.Client{Transport: &retry.Transport{
//		Config: retry.Config{Observe: o.Retry},
//		Base: &breaker.Transport{
//			Config: breaker.Config{Observe: o.Breaker},
//			Base:   &otelbelay.Transport{Observer: o},
//		},
//	}}
//	o.Watch("shop", client)
//
// # Metrics
//
// All but the last are read from the Stats of the watched objects, whose fields they are
// named after, when an exporter asks for them: a call pays nothing for them. Counters
// begin with the object and never fall. What each of them counts says the documentation
// of its Stats.
//
//	belay.breaker.state                  {breaker}    name, key, state   Is the backend down?
//	belay.breaker.calls                  {call}       name, key          How many calls were let through?
//	belay.breaker.failed                 {call}       name, key          How many calls failed?
//	belay.breaker.slow                   {call}       name, key          How many calls were slow?
//	belay.breaker.ignored                {call}       name, key          How many calls say nothing about the backend?
//	belay.breaker.refused                {call}       name, key          How many calls was the backend spared?
//	belay.breaker.overruled              {call}       name, key          How many calls were let through since too many breakers were open?
//	belay.breaker.trials                 {call}       name, key          How often was the backend tried again?
//	belay.breaker.opened                 {opening}    name, key          How often was the backend down?
//	belay.breaker.overdue                {call}       name, key          How many calls hang?
//	belay.panics                         {panic}      name, key          Does a function of mine panic where nobody sees it?
//	belay.breaker.set.keys               {breaker}    name               How many keys have a breaker?
//	belay.breaker.set.open               {breaker}    name               How many breakers are not closed?
//	belay.breaker.set.evicted            {breaker}    name               Is MaxKeys too small?
//	belay.breaker.set.overruled          {call}       name               How many calls were let through since too many breakers were open?
//	belay.retry.retried                  {call}       name, key          How many calls needed another attempt?
//	belay.retry.retries                  {attempt}    name, key          How much load do retries add?
//	belay.retry.recovered                {call}       name, key          How many calls did a retry save?
//	belay.retry.gave_up                  {call}       name, key          How many calls failed for good?
//	belay.retry.refused                  {call}       name, key          How many calls had no budget for another attempt?
//	belay.retry.expired                  {call}       name, key          How many calls had no time for another attempt?
//	belay.retry.budget.balance           {attempt}    name, key          How many retries could be made at once?
//	belay.retry.budget.granted           {attempt}    name, key          How many retries and hedges have been made?
//	belay.retry.budget.refused           {attempt}    name, key          How many retries and hedges would have been too many?
//	belay.retry.hedge.delay              s            name               How slow is a call before it is hedged?
//	belay.retry.hedge.hedges             {attempt}    name               How much load do hedges add?
//	belay.retry.hedge.wins               {attempt}    name               How many hedges were faster?
//	belay.retry.hedge.refused            {attempt}    name               How many hedges had no budget?
//	belay.ratelimit.calls                {call}       name               How many calls were let through?
//	belay.ratelimit.waited               {call}       name               How many calls had to wait?
//	belay.ratelimit.refused              {call}       name               How many calls were too many?
//	belay.ratelimit.waiting              {call}       name               How long is the queue?
//	belay.ratelimit.limit                {token}/s    name               How much is agreed?
//	belay.ratelimit.tokens               {token}      name               How much of a burst is left?
//	belay.ratelimit.keys                 {key}        name               How many keys are remembered?
//	belay.ratelimit.evicted              {key}        name               Is MaxKeys too small?
//	belay.ratelimit.shared.owners        {process}    name               How many processes share the limit?
//	belay.ratelimit.shared.asked         {request}    name               How often is the store asked?
//	belay.ratelimit.shared.store_failed  {request}    name               How often does the store not answer?
//	belay.ratelimit.concurrency.calls    {call}       name               How many calls were let through?
//	belay.ratelimit.concurrency.waited   {call}       name               How many calls had to wait?
//	belay.ratelimit.concurrency.refused  {call}       name               How many calls were too many?
//	belay.ratelimit.concurrency.waiting  {call}       name               How long is the queue?
//	belay.ratelimit.concurrency.in_use   {place}      name               How many places are taken?
//	belay.ratelimit.concurrency.limit    {place}      name               How many places are there?
//	belay.loadbalance.panic              {balancer}   name               Are so few endpoints healthy that health is ignored?
//	belay.loadbalance.source_failing     {balancer}   name               Is the set of endpoints out of date?
//	belay.loadbalance.refused            {call}       name               How many calls had no endpoint to go to?
//	belay.loadbalance.state              {endpoint}   name, key, state   Which endpoint is out, and why?
//	belay.loadbalance.calls              {call}       name, key          Which endpoint takes how many calls?
//	belay.loadbalance.failed             {call}       name, key          Which endpoint fails?
//	belay.loadbalance.overloaded         {call}       name, key          Which endpoint says that it has too much to do?
//	belay.loadbalance.ignored            {call}       name, key          How many calls say nothing about an endpoint?
//	belay.loadbalance.trials             {call}       name, key          How often was an endpoint tried again?
//	belay.loadbalance.ejected            {ejection}   name, key          How often was an endpoint taken out?
//	belay.loadbalance.in_flight          {call}       name, key          How many calls does an endpoint work on?
//	belay.loadbalance.latency            s            name, key          How fast is an endpoint expected to answer?
//	belay.gateway.calls                  {call}       name, endpoint     How often is an endpoint called?
//	belay.gateway.failed                 {call}       name, endpoint     Which endpoint fails?
//	belay.gateway.limited                {call}       name, endpoint     How many calls failed since we call too often?
//	belay.gateway.refused                {call}       name, endpoint     How many calls were not sent at all?
//	belay.gateway.replayed               {request}    name, endpoint     How many requests were sent again with other credentials?
//	belay.gateway.in_flight              {call}       name, endpoint     How many calls are under way?
//	belay.httpcache.calls                {call}       name, status       How many calls were answered from the cache, and how?
//	belay.httpcache.collapsed            {call}       name               How many calls shared the answer to another?
//	belay.httpcache.refused              {call}       name               How many calls wanted only what is stored, and nothing was?
//	belay.httpcache.refreshed            {request}    name               How many validations were there in the background?
//	belay.httpcache.failed               {request}    name               How many validations in the background failed?
//	belay.httpcache.stored               {response}   name               How much is taken in?
//	belay.httpcache.invalidated          {response}   name               How much do writes and purges remove?
//	belay.httpcache.evicted              {key}        name               Is MaxBytes too small?
//	belay.httpcache.keys                 {key}        name               How many responses are stored?
//	belay.httpcache.partitions           {partition}  name               Does a credential change with each request?
//	belay.httpcache.size                 By           name               How much memory does the cache take?
//	belay.facade.calls                   {call}       name               How many calls were there?
//	belay.facade.failed                  {call}       name               How many calls had no answer?
//	belay.facade.partial                 {call}       name               How many answers had parts missing?
//	belay.facade.refused                 {call}       name               How many calls had ended before they began?
//	belay.facade.in_flight               {call}       name               How many calls are under way?
//	belay.facade.parts                   {call}       name, part, status Which part is missing, and why?
//	belay.facade.left                    {call}       name, part         Which part does not end when its time is up?
//	http.client.request.duration         s            see Transport      How long did an instance take to answer?
//
// belay.name is the Name of an object's Config or, without one, the name given to Watch.
// Give different names to objects of one kind: the numbers of those with the same name are
// added up, and of their gauges one is shown. belay.key is one of several things in an
// object: a host of a Transport, an endpoint of a balancer. What else can be a key may be
// secret, or one of a million: a ratelimit.Keyed and a breaker.Set have only sums. If the
// keys of a Set are neither, pass its All to Watch. belay.endpoint is that of a gateway,
// belay.part that of a facade. belay.state and belay.status are the words of State.String
// and the like. A breaker has the number 1 in its state and 0 in the others, an endpoint
// has only its own: the sum over all says how many are open.
//
// An object has at most [MaxKeys] keys, those that come first in the alphabet, and a few
// numbers for each. The SDK of OpenTelemetry keeps 2,000 combinations of attributes for a
// metric, unless you set another limit: enough for the states of 600 breakers.
//
// # Events
//
// An event of a package becomes an event of the span in the context, with all that its
// LogValue shows: belay.breaker.refused has the attributes belay.name and belay.err. With
// a Logger it becomes a record as well, with trace_id and span_id if there is a span. The
// level is Debug for what belongs to one call, Info for a change of state, Warn for a
// change to the worse, and Error for what nobody else hears of: a panic behind a call's
// back, an undo that failed.
package otelbelay

import (
	"log/slog"
	"slices"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Config says where to. The zero value is that of a program which has set the global
// providers of OpenTelemetry.
type Config struct {
	// MeterProvider takes the metrics. nil means [otel.GetMeterProvider].
	MeterProvider metric.MeterProvider
	// TracerProvider takes the spans. nil means [otel.GetTracerProvider].
	TracerProvider trace.TracerProvider
	// Propagator writes the trace into requests. nil means
	// [otel.GetTextMapPropagator].
	Propagator propagation.TextMapPropagator
	// Logger takes the events. nil: they are not logged.
	Logger *slog.Logger
}

// scope is the name of the meter and of the tracer.
const scope = "github.com/belay-go/belay/contrib/otelbelay"

// An Observer is where the layers of a program are connected to OpenTelemetry. One is
// enough for a program. It is safe for concurrent use. Make it with [New].
type Observer struct {
	logger *slog.Logger
	tracing

	mu      sync.Mutex
	objects []*object
}

// New returns an Observer that watches nothing yet. What OpenTelemetry does not accept
// goes to [otel.Handle], as elsewhere.
func New(cfg Config) *Observer {
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.Propagator == nil {
		cfg.Propagator = otel.GetTextMapPropagator()
	}
	o := &Observer{logger: cfg.Logger}
	meter := cfg.MeterProvider.Meter(scope)
	o.register(meter)
	o.prepare(cfg, meter)
	return o
}

// An object is one that is watched.
type object struct {
	itself any
	uses   int // calls of Watch that have found it
	report func(*scrape)
}

// Watch adds the metrics of objects, until stop is called. An object is one of these:
//
//   - an [http.Client], or a Transport of any package of Belay, [Transport] included:
//     what is in its fields is watched, and all layers below it, down to the first that
//     is not Belay's; pass what is below that one, too
//   - a Breaker, a breaker.Set, or an [iter.Seq2] of breakers by keys, as All returns it
//   - a retry.Policy with its budget, a Budget, a Hedger, or what Transport.All returns
//   - a Limiter, Keyed, Shared or Bulkhead of package ratelimit
//   - a Balancer, a Gateway, a Cache, or a Facade
//
// name is for the objects that have none of their own. An object that is found twice
// counts once, with the first name. Watch panics if there is nothing to watch in one of
// the objects.
func (o *Observer) Watch(name string, objects ...any) (stop func()) {
	f := finder{name: name}
	for _, x := range objects {
		f.must(x)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	var mine []*object
	for _, found := range f.found {
		mine = append(mine, o.addLocked(found))
	}
	return sync.OnceFunc(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, x := range mine {
			if x.uses--; x.uses == 0 {
				o.objects = slices.DeleteFunc(o.objects, func(other *object) bool { return other == x })
			}
		}
	})
}

// addLocked returns the object that is watched already, if there is one.
func (o *Observer) addLocked(x *object) *object {
	for _, known := range o.objects {
		if known.itself == x.itself {
			known.uses++
			return known
		}
	}
	x.uses = 1
	o.objects = append(o.objects, x)
	return x
}

func (o *Observer) watched() []*object {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.objects)
}
