// Report measures belay beside its peers and prints the result as Markdown.
//
// It builds the benchmarks once and runs those that the -bench expression matches in
// rounds. In each round every benchmark runs once, those of a path one after the
// other in a process of their own, on one processor, or two if the path ends in
// -par. Run it anywhere in the bench module, with GOWORK=off:
//
//	go run ./report -bench='^Breaker/' >breaker.md
//
// Progress goes to standard error. The exit code is 2 for bad flags.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

type options struct {
	rounds    int
	benchtime string
	bench     *regexp.Regexp
}

// errUsage marks an error of the user's, which ends the command with 2.
var errUsage = errors.New("see report -h")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseFlags(args, stderr)
	if err == nil {
		err = report(ctx, opts, stdout, stderr)
	}
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintln(stderr, "report:", err)
		return 2
	default:
		fmt.Fprintln(stderr, "report:", err)
		return 1
	}
}

func parseFlags(args []string, stderr io.Writer) (options, error) {
	var opts options
	fs := flag.NewFlagSet("report", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // errors are printed by run
	fs.IntVar(&opts.rounds, "rounds", 6, "number of `rounds`")
	fs.StringVar(&opts.benchtime, "benchtime", "60ms", "`time` for each benchmark in each round, or the number of its iterations as in 100x")
	bench := fs.String("bench", ".", "run what this `regexp` matches in <Package>/<path>/<implementation>")
	if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(stderr, "usage: report [flags]")
		fs.SetOutput(stderr)
		fs.PrintDefaults()
		return opts, err
	} else if err != nil {
		return opts, fmt.Errorf("%w; %w", err, errUsage)
	}
	if fs.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q; %w", fs.Arg(0), errUsage)
	}
	if opts.rounds < 1 {
		return opts, fmt.Errorf("-rounds is %d, want 1 or more; %w", opts.rounds, errUsage)
	}
	if !validBenchtime(opts.benchtime) {
		return opts, fmt.Errorf("-benchtime is %q, want a positive duration or a count such as 100x; %w", opts.benchtime, errUsage)
	}
	var err error
	if opts.bench, err = regexp.Compile(*bench); err != nil {
		return opts, fmt.Errorf("-bench: %w; %w", err, errUsage)
	}
	return opts, nil
}

func validBenchtime(s string) bool {
	if count, ok := strings.CutSuffix(s, "x"); ok {
		n, err := strconv.Atoi(count)
		return err == nil && n > 0
	}
	d, err := time.ParseDuration(s)
	return err == nil && d > 0
}

// report builds, measures and prints.
func report(ctx context.Context, opts options, stdout, stderr io.Writer) error {
	dir, err := os.MkdirTemp("", "belay-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	fmt.Fprintln(stderr, "building")
	binaries, err := build(ctx, dir)
	if err != nil {
		return err
	}
	var groups []*group
	for _, bin := range binaries {
		found, err := bin.list(ctx, opts.bench)
		if err != nil {
			return err
		}
		groups = append(groups, found...)
	}
	if len(groups) == 0 {
		return fmt.Errorf("-bench=%s matches no benchmark; %w", opts.bench, errUsage)
	}
	env, err := describe(ctx, opts)
	if err != nil {
		return err
	}
	for round := range opts.rounds {
		for _, g := range groups {
			fmt.Fprintf(stderr, "round %d of %d: %s/%s\n", round+1, opts.rounds, g.pkg, g.path)
			if err := g.measure(ctx, opts.benchtime); err != nil {
				return err
			}
		}
	}
	env.cpu = groups[0].cpu
	_, err = io.WriteString(stdout, markdown(env, groups))
	return err
}
