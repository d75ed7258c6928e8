package archtest

import (
	"fmt"
	"go/ast"
	"slices"
	"strings"
	"testing"
)

// patterns are the packages that users import, and how many exported top-level
// types and functions each may have.
var patterns = map[string]int{
	"breaker": 30, "retry": 30, "ratelimit": 41, "loadbalance": 31, "gateway": 40, "gateway/httpcache": 20, "facade": 31,
}

// leaves are the internal packages that patterns may import.
var leaves = []string{"internal/httpbody", "internal/httpfield", "internal/identity"}

// dependencies are those of the root module; those that are false are for tests only.
var dependencies = map[string]bool{
	"github.com/cenkalti/backoff/v4":     true,
	"golang.org/x/time":                  true,
	"github.com/hashicorp/golang-lru/v2": true,
	"github.com/google/go-cmp":           false,
}

// topLevel is what may stand at the top of the repository.
var topLevel = []string{
	".ci", ".git", ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md",
	"contrib", "doc.go", "example_test.go", "examples", "go.mod", "go.sum", "go.work", "go.work.sum", "internal",
	"breaker", "facade", "gateway", "loadbalance", "ratelimit", "retry",
}

// goStatements are the places in the patterns and leaves that start a goroutine
// ("package/file.go:function"), each with the reason why it ends.
var goStatements = map[string]string{
	"facade/each.go:run":                     "the calls for some of the items: Each waits for them",
	"facade/discard.go:discardLater":         "gives values to discard, which no call waits for: it ends with discard",
	"facade/race.go:quorum":                  "a contestant: it ends with its function, whose context the race ends",
	"facade/run.go:launch":                   "a branch of a plan: it ends with the functions of its parts, whose contexts the call ends",
	"facade/undo.go:apart":                   "one undo: it ends with its function, whose context ends after a share of UndoTimeout",
	"gateway/httpcache/flight.go:readAhead":  "reads a body for those who wait for it: it ends with the body, when the last of them and the reader have left, or with Close",
	"gateway/httpcache/refresh.go:refresh":   "validates a response in the background: it ends with its request, which has a deadline and which Close cancels",
	"gateway/bodyread.go:ask":                "reads from a reader of the caller's: it ends with that Read, which Close is to end",
	"gateway/bodyread.go:Close":              "closes a reader of the caller's that is reading: it ends with that Close",
	"gateway/flight.go:launch":               "a shared call: it ends with the callers' function, whose context ends when the last caller has left, and that of a token with BearerConfig.Timeout",
	"loadbalance/check.go:startChecksLocked": "the active checks of an endpoint: it ends with Close, or when the endpoint leaves the set",
	"loadbalance/watch.go:launch":            "a function of the user's, the watch of a source or one check: it ends with the function, whose context Close cancels",
	"loadbalance/loadbalance.go:newBalancer": "it follows a source that is not static: it ends with Close, or when the source's last set is final",
	"ratelimit/lease.go:sendLocked":          "a question to a store: it ends with ask, within StoreTimeout",
	"ratelimit/store.go:ask":                 "a question to a store: it ends with the store, whose context ends after StoreTimeout",
	"retry/race.go:run":                      "the first attempt of a hedged call: it ends with the operation, whose context the race ends",
}

// A rule holds for each package of its kind.
type rule struct {
	name  string
	where func(*pkg) bool
	check func(*pkg, reporter)

	// A package that breaks the rule, and what it is blamed for.
	dir, code, test, blame string
}

type reporter func(n ast.Node, format string, args ...any)

func isPattern(p *pkg) bool    { return patterns[p.dir] > 0 }
func isProduction(p *pkg) bool { return isPattern(p) || slices.Contains(leaves, p.dir) }
func isAny(p *pkg) bool        { return len(p.files) > 0 }

// isImported holds for what others may import: the types of an application are for itself.
func isImported(p *pkg) bool { return isAny(p) && !strings.HasPrefix(p.dir, "examples/") }

// isReleased holds for what is neither a test kit nor an example.
func isReleased(p *pkg) bool {
	return !strings.HasPrefix(p.dir, "internal/") && !strings.HasPrefix(p.dir, "examples")
}

var rules = []rule{
	{
		name: "packages meet in standard shapes, not in imports", where: isProduction, check: importsFew,
		dir: "retry", code: `import _ "github.com/belay-go/belay/breaker"`, blame: "imports github.com/belay-go/belay/breaker",
	}, {
		name: "the cache knows nothing of the gateway", where: isProduction, check: importsFew,
		dir: "gateway/httpcache", code: `import _ "github.com/belay-go/belay/gateway"`, blame: "imports github.com/belay-go/belay/gateway",
	}, {
		name: "nor the gateway of the cache", where: isProduction, check: importsFew,
		dir: "gateway", code: `import _ "github.com/belay-go/belay/gateway/httpcache"`, blame: "imports github.com/belay-go/belay/gateway/httpcache",
	}, {
		name: "leaf packages import std only", where: isProduction, check: importsFew,
		dir: "internal/httpbody", code: `import _ "golang.org/x/time/rate"`, blame: "imports golang.org/x/time/rate",
	}, {
		name: "few dependencies", where: isProduction, check: importsFew,
		dir: "retry", code: `import _ "golang.org/x/sync/errgroup"`, blame: "imports golang.org/x/sync",
	}, {
		name: "go-cmp is for tests", where: isProduction, check: importsFew,
		dir: "retry", code: `import _ "github.com/google/go-cmp/cmp"`, blame: "imports github.com/google/go-cmp",
	}, {
		name: "tests stay in their package too", where: isProduction, check: testsImportFew,
		dir: "retry", test: `import _ "github.com/belay-go/belay/breaker"`, blame: "a test imports",
	}, {
		name: "nested modules import nothing internal", where: isReleased, check: importsNothingInternal,
		dir: "ratelimit/redisstore", code: `import _ "github.com/belay-go/belay/internal/httpfield"`, blame: "imports github.com/belay-go/belay/internal",
	}, {
		name: "package documentation", where: isAny, check: packageDoc,
		dir: "internal/sim", code: "", blame: `does not begin with "Package sim "`,
	}, {
		name: "package documentation of patterns", where: isPattern, check: packageDoc,
		dir: "breaker", code: "", blame: "breaker.go does not document the package",
	}, {
		name: "exported identifiers are documented", where: isImported, check: documented,
		dir: "retry", code: "func F() {}", blame: "F is not documented",
	}, {
		name: "so are methods", where: isImported, check: documented,
		dir: "retry", code: "type t[K any] int\n// T is.\ntype T[K any] int\nfunc (*T[K]) M() {}", blame: "T.M is not documented",
	}, {
		name: "and fields", where: isImported, check: documented,
		dir: "retry", code: "// T is.\ntype T struct { A int }", blame: "T.A is not documented",
	}, {
		name: "verbs have Examples", where: isPattern, check: verbsHaveExamples,
		dir: "retry", code: "// Do does.\nfunc Do() {}", test: "func Example() { retry.Run() }", blame: "no Example uses retry.Do",
	}, {
		name: "so have methods that are verbs", where: isPattern, check: verbsHaveExamples,
		dir: "retry", code: "type T int\nfunc (T) Allow() {}", test: "func ExampleT() { _ = retry.T(0) }", blame: "no Example uses retry.Allow",
	}, {
		name: "exported names are few", where: isPattern, check: namesAreFew,
		dir: "retry", code: manyFuncs(31), blame: "31 types and functions",
	}, {
		name: "reserved method names", where: isProduction, check: reservedNames,
		dir: "retry", code: "type T int\nfunc (T) Do() {}", blame: "the method name Do is reserved",
	}, {
		name: "no sleeping", where: isProduction, check: timeBelongs,
		dir: "retry", code: `import "time"` + "\nfunc f() { time.Sleep(1) }", blame: "time.Sleep cannot be cancelled",
	}, {
		name: "no time at package level", where: isProduction, check: timeBelongs,
		dir: "retry", code: `import "time"` + "\nvar epoch = time.Now()", blame: "belongs to the instance",
	}, {
		name: "goroutines are listed", where: isProduction, check: goroutinesAreListed,
		dir: "retry", code: "func f() { go f() }", blame: "retry/code.go:f starts a goroutine",
	}, {
		name: "also those of a WaitGroup", where: isProduction, check: goroutinesAreListed,
		dir: "retry", code: `import "sync"` + "\nfunc f(wg *sync.WaitGroup) { wg.Go(nil) }", blame: "retry/code.go:f starts a goroutine",
	}, {
		name: "Transports pass the contract", where: isProduction, check: transportsPassContract,
		dir: "retry", code: "type T int\nfunc (*T) RoundTrip() {}", test: "func f() { contract.Walk() }", blame: "no test runs the contract on T.RoundTrip",
	}, {
		name: "defaults are checked", where: isProduction, check: defaultsAreChecked,
		dir: "retry", code: "type BudgetConfig struct{}", blame: "no test compares the defaults of BudgetConfig",
	}, {
		name: "files are short", where: isProduction, check: filesAreShort,
		dir: "retry", code: strings.Repeat("\n", 300), blame: "a file that needs a map is two files",
	},
}

func manyFuncs(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "func F%d() {}\n", i)
	}
	return s.String()
}

func TestRules(t *testing.T) {
	all := loadAll(t)
	if n := len(slices.DeleteFunc(slices.Clone(all), func(p *pkg) bool { return !isProduction(p) })); n < 5 {
		t.Fatalf("found %d packages only", n)
	}
	for _, r := range slices.Concat(rules, voice) {
		t.Run(r.name, func(t *testing.T) {
			for _, p := range all {
				if r.where(p) {
					r.check(p, func(n ast.Node, format string, args ...any) {
						t.Errorf("%s: %s", p.at(n), fmt.Sprintf(format, args...))
					})
				}
			}
		})
	}
	for place := range goStatements {
		if !goroutineSeen[place] {
			t.Errorf("%s is listed and starts no goroutine", place)
		}
	}
}

// Each rule must find the fault in the package that breaks it.
func TestRulesCatch(t *testing.T) {
	for _, r := range slices.Concat(rules, voice) {
		t.Run(r.name, func(t *testing.T) {
			p := newPkg(r.dir)
			for name, text := range map[string]string{"code.go": r.code, "code_test.go": r.test} {
				if err := p.add(name, []byte("package x\n"+text+"\n")); err != nil {
					t.Fatal(err)
				}
			}
			if !r.where(p) {
				t.Fatalf("the rule does not apply to %s", r.dir)
			}
			var found []string
			r.check(p, func(n ast.Node, format string, args ...any) {
				found = append(found, fmt.Sprintf(format, args...))
			})
			if !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, r.blame) }) {
				t.Errorf("found %q, want %q", found, r.blame)
			}
		})
	}
}
