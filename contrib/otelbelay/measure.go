package otelbelay

import (
	"context"
	"fmt"
	"math"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The attributes of all metrics. There are few values of each.
const (
	nameKey     attribute.Key = "belay.name"
	keyKey      attribute.Key = "belay.key"
	endpointKey attribute.Key = "belay.endpoint"
	partKey     attribute.Key = "belay.part"
	statusKey   attribute.Key = "belay.status"
	stateKey    attribute.Key = "belay.state"
)

// A definition is what the OpenTelemetry API wants to know of a metric.
type definition struct {
	name, unit string
	asks       string // the question that it answers
	kind       kind
	by         attribute.Key // tells its values apart; "": there is one
}

type kind uint8

const (
	counter kind = iota // it only grows
	level               // those of several objects can be added up
	gauge               // they cannot
)

// A measure is a metric that is read from the statistics S of an object.
type measure[S any] struct {
	definition
	read func(S, put)
}

// put takes a value, and the value of the attribute by, if there is one.
type put func(by string, n float64)

type number interface{ uint64 | int | float64 }

func one[S any, N number](k kind, name, unit, asks string, of func(S) N) measure[S] {
	return measure[S]{definition{name, unit, asks, k, ""}, func(s S, put put) { put("", float64(of(s))) }}
}

func count[S any](name, unit, asks string, of func(S) uint64) measure[S] {
	return one(counter, name, unit, asks, of)
}

func size[S any, N number](name, unit, asks string, of func(S) N) measure[S] {
	return one(level, name, unit, asks, of)
}

func value[S any](name, unit, asks string, of func(S) float64) measure[S] {
	return one(gauge, name, unit, asks, of)
}

// statuses counts what has ended in different ways, each a word that the package has
// for it.
func statuses[S any](name, unit, asks string, of func(s S, put func(status fmt.Stringer, n uint64))) measure[S] {
	return measure[S]{definition{name, unit, asks, counter, statusKey}, func(s S, put put) {
		of(s, func(status fmt.Stringer, n uint64) { put(status.String(), float64(n)) })
	}}
}

// states is the number of objects in each of several states.
func states[S any](name, unit, asks string, of func(s S, put func(state fmt.Stringer, n int))) measure[S] {
	return measure[S]{definition{name, unit, asks, level, stateKey}, func(s S, put put) {
		of(s, func(state fmt.Stringer, n int) { put(state.String(), float64(n)) })
	}}
}

// Several packages count panics.
const asksPanics = "Does a function of mine panic where nobody sees it?"

// instrument is one of its fields.
type instrument struct {
	whole metric.Int64Observable
	float metric.Float64Observable
}

func (d *definition) instrument(m metric.Meter) (i instrument, err error) {
	unit, asks := metric.WithUnit(d.unit), metric.WithDescription(d.asks)
	switch d.kind {
	case counter:
		i.whole, err = m.Int64ObservableCounter(d.name, unit, asks)
	case level:
		i.whole, err = m.Int64ObservableUpDownCounter(d.name, unit, asks)
	case gauge:
		i.float, err = m.Float64ObservableGauge(d.name, unit, asks)
	}
	return i, err
}

// A scrape is one reading of everything that is watched.
type scrape struct {
	instruments map[string]instrument
	to          metric.Observer
}

// report puts the statistics of an object that has the attributes of.
func report[S any](s *scrape, all []measure[S], stats S, of ...attribute.KeyValue) {
	common := with(of)
	for i := range all {
		m := &all[i]
		to, ok := s.instruments[m.name]
		if !ok {
			continue
		}
		m.read(stats, func(by string, n float64) {
			attrs := common
			if m.by != "" {
				attrs = with(append(of[:len(of):len(of)], m.by.String(by)))
			}
			if m.kind != gauge {
				s.to.ObserveInt64(to.whole, int64(n), attrs...)
			} else if !math.IsNaN(n) && !math.IsInf(n, 0) {
				s.to.ObserveFloat64(to.float, n, attrs...)
			}
		})
	}
}

// with makes an option of attributes, which is the expensive part of a scrape.
func with(attrs []attribute.KeyValue) []metric.ObserveOption {
	return []metric.ObserveOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// register makes the instruments, and asks for a call whenever they are read.
func (o *Observer) register(m metric.Meter) {
	instruments := map[string]instrument{}
	var all []metric.Observable
	for _, d := range definitions() {
		i, err := d.instrument(m)
		if err != nil {
			otel.Handle(err)
			continue
		}
		instruments[d.name] = i
		if i.float != nil {
			all = append(all, i.float)
		} else {
			all = append(all, i.whole)
		}
	}
	_, err := m.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		s := &scrape{instruments, to}
		for _, x := range o.watched() {
			x.report(s)
		}
		return nil
	}, all...)
	if err != nil {
		otel.Handle(err)
	}
}
