// Outage shows what four HTTP clients make of the same failing servers: a plain one, one that retries at once, one with
// timeouts and back-off as a careful engineer writes it, and one with Belay's transports, all in one run of half a minute.
//
//	go run ./examples/outage
//
// It starts identical sets of four HTTP servers on loopback addresses, one for each client, and drives the same load
// through each client: the same calls at the same moments, each with a deadline of one second. All spread their requests
// over their set by the same round robin, but for Belay, which has a balancer. Then the servers fail: first one by one, until a single good one is left, then all at
// once, and when they are back they are weak at first.
//
// With -live there is no script: a page shows the four clients at work, and has buttons that break the servers.
//
//	go run ./examples/outage -live
//
// With -url the clients call your own endpoints instead, politely.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// What main exits with.
const (
	exitFailed      = 1   // -check: a demand is not met
	exitUsage       = 2   // bad flags, unreachable URLs, a report that cannot be written
	exitInterrupted = 130 // what shells report of a program that Ctrl-C ended
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct {
	duration time.Duration
	rate     float64
	seed     uint64
	check    bool
	report   string
	live     bool
	listen   string
	urls     []*url.URL
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("outage", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.DurationVar(&o.duration, "duration", 0, "how long calls are issued (default 26s, with -url 1m;\nwith -live until Ctrl-C)")
	flags.Float64Var(&o.rate, "rate", 0, "calls a second (default 200, with -live 40); with -url: requests a second that your endpoints\nsee at most, retries included (default 5)")
	flags.Uint64Var(&o.seed, "seed", 1, "repeats the same calls at the same moments")
	flags.BoolVar(&o.check, "check", false, "exit with 1 unless belay does better than plain by what is promised")
	flags.StringVar(&o.report, "report", "", "write a page with time lines to this `file`")
	flags.BoolVar(&o.live, "live", false, "serve a page that shows what happens and has buttons that break the servers")
	flags.StringVar(&o.listen, "listen", anyPort, "the `address` of that page")
	var urls []string
	flags.Func("url", "send GET requests to this `URL` instead of own servers; repeat for more instances", func(s string) error {
		urls = append(urls, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return o, err // flags has printed it
	}
	if err := o.complete(flags, urls); err != nil {
		fmt.Fprintf(stderr, "outage: %v\nTry -help for the flags.\n", err)
		return o, err
	}
	return o, nil
}

// complete puts in the defaults and refuses what makes no sense.
func (o *options) complete(flags *flag.FlagSet, urls []string) error {
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: everything is a flag", flags.Arg(0))
	}
	for _, s := range urls {
		u, err := url.Parse(s)
		switch {
		case err != nil:
			return fmt.Errorf("-url: %w", err)
		case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
			return fmt.Errorf("-url %q: want http://host/path or https://host/path", u.Redacted())
		case u.User != nil:
			return fmt.Errorf("-url %q: credentials are not sent, leave them out", u.Redacted())
		}
		o.urls = append(o.urls, u)
	}
	set := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { set[f.Name] = true })
	duration, rate, slowest, fastest, least := usual, 200.0, 20.0, 2000.0, shortest
	if set["listen"] && !o.live {
		return errors.New("-listen is where -live serves its page: it cannot be used without")
	}
	if o.live {
		rate, slowest, fastest = 40, 20, 200
		for _, name := range []string{"url", "check", "report", "duration"} {
			if set[name] {
				return fmt.Errorf("-live runs until Ctrl-C and shows its own servers: it cannot be used with -%s", name)
			}
		}
	}
	if len(o.urls) > 0 {
		duration, rate, slowest, fastest, least = time.Minute, 5, 0.1, 100, time.Second
		if o.check {
			return errors.New("-check is about the faults of the program's own servers: it cannot be used with -url")
		}
	}
	if !set["duration"] {
		o.duration = duration
	}
	if !set["rate"] {
		o.rate = rate
	}
	if o.duration < least || o.duration > time.Hour {
		return fmt.Errorf("-duration %v: want %v to %v", o.duration, least, time.Hour)
	}
	if !(o.rate >= slowest && o.rate <= fastest) {
		return fmt.Errorf("-rate %v: want %v to %v", o.rate, slowest, fastest)
	}
	return nil
}

// anyPort is a free port that only this machine can reach.
const anyPort = "127.0.0.1:0"

// run is main without a process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	fail := func(err error) int {
		fmt.Fprintf(stderr, "outage: %v\n", err)
		return exitUsage
	}
	if o.live {
		if err := runLive(ctx, o, stdout); err != nil {
			return fail(err)
		}
		return 0
	}
	var report *os.File
	if o.report != "" { // before the run, so that a wrong path is no half minute's work lost
		if report, err = os.Create(o.report); err != nil {
			return fail(fmt.Errorf("-report: %w", err))
		}
		defer report.Close()
	}
	e, err := conduct(ctx, o, stdout)
	if err != nil {
		return fail(err)
	}
	if report != nil {
		err := writeReport(report, o, e)
		if err = errors.Join(err, report.Close()); err != nil {
			return fail(fmt.Errorf("-report: %w", err))
		}
		fmt.Fprintf(stdout, "\nreport: %s\n", o.report)
	}
	if e.interrupted {
		return exitInterrupted
	}
	if o.check {
		fmt.Fprintln(stdout)
		results := e.results()
		if !check(stdout, named(results, "plain"), named(results, "belay")) {
			return exitFailed
		}
	}
	return 0
}

// conduct runs the experiment that o asks for and prints what it shows.
func conduct(ctx context.Context, o options, out io.Writer) (*experiment, error) {
	if len(o.urls) > 0 {
		base := newTransport()
		defer base.CloseIdleConnections()
		return drive(ctx, base, o, out)
	}
	s := schedule{o.duration, o.rate}
	e, stop, err := newExperiment(&loopback{}, s, o.seed)
	if err != nil {
		return nil, err
	}
	defer stop()
	calls := poisson(o.seed, o.rate, o.duration)
	fmt.Fprintf(out, "%d calls in %v (about %v a second, seed %d), the same through each of four clients with four servers each.\n\n",
		len(calls), o.duration, o.rate, o.seed)
	e.show(ctx, calls, out)
	printTable(out, e)
	warnLate(out, e)
	return e, nil
}

// tooLate is by how much a call may be issued too late before the figures suffer.
const tooLate = 200 * time.Millisecond

// warnLate says so when the machine was too slow for the figures to mean much.
func warnLate(out io.Writer, e *experiment) {
	if e.late > tooLate {
		fmt.Fprintf(out, "\nwarning: this machine was busy: one call was issued %v too late; a smaller -rate helps\n",
			e.late.Round(time.Millisecond))
	}
}
