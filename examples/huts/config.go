// Configuration by the environment: the same program runs anywhere, and says at its
// start everything that is wrong. Not worth it for a tool that one person runs: flags
// show what there is.

package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/belay-go/belay/examples/huts/adapter/store"
	"github.com/belay-go/belay/examples/huts/platform"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// config is how the program is set up: by its environment, as one sets up a container.
// What is not set is there in the process itself: a broker, the other services, and a
// simulated world.
type config struct {
	Addr string // HUTS_ADDR: where to listen
	Data string // HUTS_DATA: the directory of the databases; "": a temporary one
	NATS string // NATS_URL: the broker

	Booking, Mail string   // BOOKING_URL, MAIL_URL: our services, for trips and desk
	Trips         []string // TRIPS_URLS: the instances of trips, for the front, with commas between

	Payment, Weather, MailServer string          // PAYMENT_URL, WEATHER_URL (booking alone makes no figures without), MAILSERVER_URL
	Bulletins                    []string        // BULLETIN_URLS: mirrors, with commas between
	PaymentToken                 platform.Secret // PAYMENT_TOKEN

	Identity string            // IDENTITY_URL: the identity provider, for the desk
	TokenKey ed25519.PublicKey // TOKEN_KEY: the key of its tokens, in base64
	Proxies  []netip.Prefix    // TRUSTED_PROXIES: who may say where requests come from, with commas between
	Open     bool              // HUTS_OPEN: the simulated world can be broken from other machines, too

	Seed string // WORLD_SEED: of the key of the simulated identity provider, for the world

	// Drain is how long the program still takes requests when it has been told to end, so
	// that those who send them hear of it: HUTS_DRAIN, such as "5s". Ten more seconds are
	// for requests under way.
	Drain time.Duration

	// Spans are where the spans of traces go.
	Spans []sdk.SpanExporter

	// Patience is that of the process manager: see booking.Service.
	Patience time.Duration
}

// read returns the config that an environment says, or everything that is wrong with
// it.
func read(getenv func(string) string) (config, error) {
	or := func(name, otherwise string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return otherwise
	}
	c := config{
		Addr: or("HUTS_ADDR", "127.0.0.1:8080"), Data: getenv("HUTS_DATA"), NATS: getenv("NATS_URL"),
		Booking: getenv("BOOKING_URL"), Mail: getenv("MAIL_URL"),
		Seed: getenv("WORLD_SEED"), Payment: getenv("PAYMENT_URL"), Weather: getenv("WEATHER_URL"), MailServer: getenv("MAILSERVER_URL"), Identity: getenv("IDENTITY_URL"),
		PaymentToken: platform.NewSecret(or("PAYMENT_TOKEN", "payment-secret")), Patience: 5 * time.Second,
	}
	if list := getenv("BULLETIN_URLS"); list != "" {
		c.Bulletins = strings.Split(list, ",")
	}
	if list := getenv("TRIPS_URLS"); list != "" {
		c.Trips = strings.Split(list, ",")
	}
	var errs []error
	for name, values := range map[string][]string{
		"NATS_URL": {c.NATS}, "BOOKING_URL": {c.Booking}, "MAIL_URL": {c.Mail}, "PAYMENT_URL": {c.Payment},
		"WEATHER_URL": {c.Weather}, "MAILSERVER_URL": {c.MailServer}, "BULLETIN_URLS": c.Bulletins,
		"IDENTITY_URL": {c.Identity}, "TRIPS_URLS": c.Trips,
	} {
		for _, v := range values {
			if u, err := url.Parse(v); (v != "" || len(values) > 1) && (err != nil || u.Host == "") {
				errs = append(errs, fmt.Errorf("huts: %s: %q is not an absolute URL", name, v))
			}
		}
	}
	if v := getenv("HUTS_OPEN"); v != "" {
		open, err := strconv.ParseBool(v)
		if err != nil {
			errs = append(errs, fmt.Errorf("huts: HUTS_OPEN: %q is neither true nor false", v))
		}
		c.Open = open
	}
	if v := getenv("HUTS_DRAIN"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 || d > time.Minute {
			errs = append(errs, fmt.Errorf("huts: HUTS_DRAIN: %q is no time from 0s to 1m", v))
		}
		c.Drain = d
	}
	if v := getenv("TOKEN_KEY"); v != "" {
		key, err := base64.StdEncoding.DecodeString(v)
		if err != nil || len(key) != ed25519.PublicKeySize {
			errs = append(errs, errors.New("huts: TOKEN_KEY is not an Ed25519 public key in base64"))
		}
		c.TokenKey = key
	}
	if c.Identity != "" && c.TokenKey == nil {
		errs = append(errs, errors.New("huts: IDENTITY_URL needs TOKEN_KEY, to know the tokens from there"))
	}
	if v := getenv("TRUSTED_PROXIES"); v != "" {
		for s := range strings.SplitSeq(v, ",") {
			p, err := netip.ParsePrefix(s)
			if err != nil {
				errs = append(errs, fmt.Errorf("huts: TRUSTED_PROXIES: %w", err))
			}
			c.Proxies = append(c.Proxies, p)
		}
	}
	return c, errors.Join(errs...)
}

// services are the parts of the program that can run alone. Front runs only so.
var services = []string{"booking", "trips", "mail", "desk", "front", "world"}

// alone returns what is missing to run one service alone, apart from all others. Nothing is
// simulated then: a guest's money must not go to a simulation because a setting was
// forgotten.
func (c config) alone(only string) error {
	set := map[string]bool{
		"NATS_URL": c.NATS != "", "BOOKING_URL": c.Booking != "", "MAIL_URL": c.Mail != "", "TRIPS_URLS": len(c.Trips) > 0,
		"PAYMENT_URL": c.Payment != "", "WEATHER_URL": c.Weather != "", "MAILSERVER_URL": c.MailServer != "",
		"BULLETIN_URLS": len(c.Bulletins) > 0, "IDENTITY_URL": c.Identity != "", "TOKEN_KEY": c.TokenKey != nil,
	}
	needs, ok := map[string][]string{
		"": nil, "world": nil,
		"booking": {"NATS_URL", "PAYMENT_URL", "TOKEN_KEY"},
		"mail":    {"NATS_URL", "MAILSERVER_URL", "TOKEN_KEY"},
		"trips":   {"BOOKING_URL", "MAIL_URL", "WEATHER_URL", "BULLETIN_URLS", "TOKEN_KEY"},
		"desk":    {"BOOKING_URL", "IDENTITY_URL", "TOKEN_KEY"},
		"front":   {"TRIPS_URLS"},
	}[only]
	if !ok {
		return fmt.Errorf("huts: there is no service %q: want one of %v", only, services)
	}
	var errs []error
	for _, name := range needs {
		if !set[name] {
			errs = append(errs, fmt.Errorf("huts: %s alone needs %s", only, name))
		}
	}
	return errors.Join(errs...)
}

// huts are the huts there are.
var huts = store.Huts{
	"planura": {ID: "planura", Name: "Planurahütte", Region: "glarus", Beds: 20, Price: 42_50},
	"etzli":   {ID: "etzli", Name: "Etzlihütte", Region: "uri", Beds: 75, Price: 38_00},
	"medel":   {ID: "medel", Name: "Camona da Medel", Region: "surselva", Beds: 55, Price: 41_00},
}
