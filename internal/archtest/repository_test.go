package archtest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDependencies(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) < 2 || !strings.Contains(fields[0], "/") {
			continue
		}
		if _, ok := dependencies[fields[0]]; !ok {
			t.Errorf("go.mod requires %s; the root module has the dependencies %v and no more", fields[0], slices.Sorted(maps.Keys(dependencies)))
		}
	}
	if strings.Contains(string(text), "\ntool") || strings.Contains(string(text), "toolchain") {
		t.Error("go.mod has a tool or toolchain line, which would bind users")
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(topLevel, e.Name()) {
			t.Errorf("%s does not belong at the top level", e.Name())
		}
	}
}

// What README.md shows is compiled and run.
func TestReadmeShowsTheRootExamples(t *testing.T) {
	top := root(t)
	readme, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join(top, "example_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("README.md has %d pieces of Go code", len(blocks))
	}
	for i, block := range blocks {
		code, _, _ := strings.Cut(block, "```\n")
		var indented strings.Builder
		for line := range strings.Lines(code) {
			if line != "\n" {
				indented.WriteByte('\t')
			}
			indented.WriteString(line)
		}
		if !strings.Contains(string(example), indented.String()) {
			t.Errorf("code %d of README.md is not in an Example of the root", i+1)
		}
		if n := strings.Count(code, "\n"); n > 30 {
			t.Errorf("code %d of README.md has %d lines, want at most 30", i+1, n)
		}
	}
}

func TestCompareDefaults(t *testing.T) {
	type Config struct {
		A     int
		B     time.Duration
		C     string
		Set   func()
		Zero  int
		inner int
	}
	cfg := Config{A: 3, B: time.Minute, C: "x", Set: func() {}, inner: 1}
	const good = "Text.\n\n# Defaults\n\n\tConfig.A    3\n\tConfig.B    1m\n\tConfig.C    x\n\tConfig.Set  something\n"
	for _, tt := range []struct{ doc, blame string }{
		{good, ""},
		{good + "\n# More\n\n\tcode := 1\n", ""},
		{"Text.\n", "no heading"},
		{strings.Replace(good, "3", "4", 1), `Config.A is "4" in the table and 3 in the code`},
		{strings.Replace(good, "\tConfig.B    1m\n", "", 1), `Config.B is "" in the table and 1m0s in the code`},
		{strings.Replace(good, "\tConfig.Set  something\n", "", 1), "Config.Set has a default that is not in the table"},
		{good + "\tConfig.Zero 0\n", "Config.Zero is in the table and has no default in the code"},
	} {
		problems := compareDefaults(tt.doc, cfg)
		if got := strings.Join(problems, "; "); (tt.blame == "") != (got == "") || !strings.Contains(got, tt.blame) {
			t.Errorf("%q:\ngot  %q\nwant %q", tt.doc, got, tt.blame)
		}
	}
}
