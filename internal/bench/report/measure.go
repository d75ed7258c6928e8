package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// module is the module that this command belongs to and measures.
const module = "github.com/belay-go/belay/internal/bench"

// A binary is the compiled tests of one package.
type binary struct {
	file string
	dir  string // of its sources
}

// A group is the chosen implementations of one path, measured together.
type group struct {
	bin       binary
	pkg, path string
	impls     []string
	rounds    []map[string]figures // by implementation
	cpu       string               // model
}

// procs is the number of processors that the group runs on.
func (g *group) procs() int {
	if strings.HasSuffix(g.path, "-par") {
		return 2
	}
	return 1
}

// build compiles the packages that consist of benchmarks into dir.
func build(ctx context.Context, dir string) ([]binary, error) {
	out, err := output(goCommand(ctx, "list", "-f", "{{if .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}", module+"/..."))
	if err != nil {
		return nil, err
	}
	var binaries []binary
	for line := range strings.Lines(out) {
		pkg, src, _ := strings.Cut(strings.TrimSpace(line), " ")
		file := filepath.Join(dir, strings.ReplaceAll(strings.TrimPrefix(pkg, module+"/"), "/", "-")+".test")
		if _, err := output(goCommand(ctx, "test", "-c", "-o", file, pkg)); err != nil {
			return nil, err
		}
		binaries = append(binaries, binary{file, src})
	}
	return binaries, nil
}

// list runs each benchmark of b once, since that is how to learn the names, and
// returns those that match.
func (b binary) list(ctx context.Context, match *regexp.Regexp) ([]*group, error) {
	results, _, err := b.run(ctx, ".", "1x", 1)
	if err != nil {
		return nil, err
	}
	var groups []*group
	for _, r := range results {
		if !match.MatchString(r.pkg + "/" + r.path + "/" + r.impl) {
			continue
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return g.pkg == r.pkg && g.path == r.path })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{bin: b, pkg: r.pkg, path: r.path})
		}
		groups[i].impls = append(groups[i].impls, r.impl)
	}
	return groups, nil
}

// measure adds a round.
func (g *group) measure(ctx context.Context, benchtime string) error {
	quoted := make([]string, len(g.impls))
	for i, impl := range g.impls {
		quoted[i] = regexp.QuoteMeta(impl)
	}
	pattern := fmt.Sprintf("^Benchmark%s$/^%s$/^(%s)$", regexp.QuoteMeta(g.pkg), regexp.QuoteMeta(g.path), strings.Join(quoted, "|"))
	results, cpu, err := g.bin.run(ctx, pattern, benchtime, g.procs())
	if err != nil {
		return err
	}
	round := make(map[string]figures)
	for _, r := range results {
		round[r.impl] = r.figures
	}
	for _, impl := range g.impls {
		if _, ok := round[impl]; !ok {
			return fmt.Errorf("%s/%s/%s gave no result", g.pkg, g.path, impl)
		}
	}
	g.rounds, g.cpu = append(g.rounds, round), cpu
	return nil
}

func (b binary) run(ctx context.Context, pattern, benchtime string, procs int) ([]result, string, error) {
	cmd := exec.CommandContext(ctx, b.file, "-test.run=^$", "-test.bench="+pattern, "-test.benchtime="+benchtime,
		"-test.count=1", fmt.Sprint("-test.cpu=", procs))
	cmd.Dir = b.dir
	out, err := output(cmd)
	if err != nil {
		return nil, "", err
	}
	return parse(out, procs)
}

func goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return cmd
}

// output runs cmd and returns its standard output; all that it printed is in the
// error, if it fails.
func output(cmd *exec.Cmd) (string, error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}
