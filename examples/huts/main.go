// Command: flags, signals, and an end that is orderly. Not worth more than this.

// Huts books beds in mountain huts. It shows the patterns of service
// architecture, each at work and each failing, with Belay at the edges where other
// systems are called. ARCHITECTURE.md says which pattern is where.
//
//	go run ./examples/huts          everything in one process, until Ctrl-C
//	go run ./examples/huts -demo    books for 20 s while systems break, and checks that nothing was lost
//
// The environment says what is elsewhere: see config.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/belay-go/belay/examples/huts/platform"
)

// last is the time for requests under way when the program ends.
const last = 10 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	flags := flag.NewFlagSet("huts", flag.ContinueOnError)
	data := flags.String("data", "", "`directory` of the databases; a temporary one by default")
	only := flags.String("only", "", "run one `service`: booking, trips, mail, desk, front (a load balancer before several trips) or world (the systems outside)")
	demo := flags.Bool("demo", false, "book for a while, break systems, and check that nothing was lost")
	duration := flags.Duration("duration", 20*time.Second, "of the demo")
	letters := flags.Bool("letters", false, "print the dead letters, and end")
	replay := flags.Bool("replay", false, "send the dead letters again, and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	c, err := read(getenv)
	if err != nil {
		return err
	}
	if *data != "" {
		c.Data = *data
	}
	if *letters || *replay {
		return deadLetters(ctx, c, *replay, out)
	}
	if *demo {
		c.Addr = "127.0.0.1:0"
	}
	slog.SetDefault(slog.New(platform.TracedLog(slog.NewTextHandler(os.Stderr, nil))))
	p, err := start(ctx, c, *only)
	if err != nil {
		return err
	}
	if *demo {
		err = demonstrate(ctx, p, *duration, out)
	} else {
		tell(out, p)
		<-ctx.Done()
	}
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.Drain+last)
	defer cancel()
	p.drain(bound, c.Drain)
	if e := p.close(bound); err == nil {
		err = e
	}
	return err
}

// tell says what to try.
func tell(out io.Writer, p *program) {
	fmt.Fprintf(out, "The huts are open at %s (Ctrl-C ends). Look there with a browser, or try\n\n", p.URL)
	if p.World != nil {
		fmt.Fprintf(out, "  TOKEN=$(curl -s -d name=ann %s/token)\n", p.URL)
	}
	fmt.Fprintf(out, `  curl %[1]s/huts/planura/2027-07-31
  curl -X PUT -H "Authorization: Bearer $TOKEN" -d '{"Beds": 2}' %[1]s/huts/planura/2027-07-31/bookings/a1
  curl -H "Authorization: Bearer $TOKEN" -d '{"query": "{ trip(hut: \"planura\", date: \"2027-07-31\", booking: \"a1\") { hut { name free } weather { sky stale } danger { level } told } }"}' %[1]s/graphql
`, p.URL)
	if p.World == nil {
		return
	}
	fmt.Fprintf(out, `
and break the systems outside, at %[1]s/world: slow, failing, hanging, cutting, limited, or well again

  curl -d fault=hanging %[1]s/world/payment

`, p.URL)
	for _, s := range p.World.Systems() {
		fmt.Fprintf(out, "  %-12s %s\n", s.Name, s.URL)
	}
}
