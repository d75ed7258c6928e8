package archtest

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// voice are the rules that let all packages read as if one hand had written them.
var voice = []rule{
	{
		name: "Event and Kind are in event.go", where: isPattern, check: filesHoldTheirOwn,
		dir: "retry", code: "type Event struct{}", blame: "Event belongs in event.go",
	}, {
		name: "Error and the sentinels are in error.go", where: isPattern, check: filesHoldTheirOwn,
		dir: "retry", code: "var ErrExhausted error", blame: "ErrExhausted belongs in error.go",
	}, {
		name: "enums can be printed", where: isPattern, check: enumsHaveText,
		dir: "retry", code: "type Jitter uint8\nconst FullJitter Jitter = iota", blame: "Jitter has no method String",
	}, {
		name: "enums in Stats and Events are labels", where: isPattern, check: enumsHaveText,
		dir: "retry", code: "type Kind uint8\nfunc (Kind) String() {}\nconst Retried Kind = iota\ntype step struct{ Kind Kind }\ntype Stats struct{ Steps []*step }", blame: "Kind has no method MarshalText",
	}, {
		name: "Events, Stats and Errors can be logged", where: isPattern, check: reportsCanBeLogged,
		dir: "retry", code: "type BudgetStats struct{}", blame: "BudgetStats has no method LogValue",
	}, {
		name: "objects have names", where: isPattern, check: objectsHaveNames,
		dir: "retry", code: "type Event struct{ Kind int }", blame: "Event has no field Name",
	}, {
		name: "a lock is given back by who took it", where: isProduction, check: locksStay,
		dir: "retry", code: "func f() { mu.Unlock() }", blame: "unlocks mu, which it did not lock",
	}, {
		name: "also by a defer", where: isProduction, check: locksStay,
		dir: "retry", code: "func f() { defer func() { mu.Unlock() }() }", blame: "unlocks mu, which it did not lock",
	}, {
		name: "on every way", where: isProduction, check: locksStay,
		dir: "retry", code: "func f() { x.mu.Lock(); for { if a { break }; x.mu.Unlock(); return }; if b { return }; x.mu.Unlock() }", blame: "returns with x.mu held",
	}, {
		name: "and not sometimes", where: isProduction, check: locksStay,
		dir: "retry", code: "func f() { switch { case a: mu.RLock() }; g() }", blame: "one way through it holds",
	}, {
		name: "Locked is called with a lock held", where: isProduction, check: locksStay,
		dir: "retry", code: "func f() { mu.Lock(); gLocked(); mu.Unlock(); gLocked() }", blame: "calls gLocked without a lock",
	}, {
		name: "also by goroutines and timers", where: isProduction, check: locksStay,
		dir: "retry", code: "func fLocked() { time.AfterFunc(d, func() { x.gLocked() }) }", blame: "calls x.gLocked without a lock",
	}, {
		name: "64-bit words are aligned everywhere", where: isAny, check: atomicTypes,
		dir: "retry", code: "func f() { atomic.AddInt64(&n, 1) }", blame: "use atomic.Int64",
	}, {
		name: "no empty import block", where: hasCode, check: importsAreNotEmpty,
		dir: "retry", test: "import ()", blame: "an empty import block",
	}, {
		name: "differences are shown", where: hasCode, check: differencesAreShown,
		dir: "internal/contract", test: "func f() { reflect.DeepEqual(a, b) }", blame: "use cmp.Diff",
	},
}

func hasCode(p *pkg) bool { return len(p.files)+len(p.tests) > 0 }

// filesHoldTheirOwn: who looks for what a package reports finds it in the same place
// in each.
func filesHoldTheirOwn(p *pkg, report reporter) {
	for file, f := range p.files {
		belongs := func(name, home string, n ast.Node) {
			if file != home {
				report(n, "%s belongs in %s", name, home)
			}
		}
		for _, decl := range f.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					switch s.Name.Name {
					case "Event", "Kind":
						belongs(s.Name.Name, "event.go", s)
					case "Error":
						belongs(s.Name.Name, "error.go", s)
					}
				case *ast.ValueSpec:
					if name := s.Names[0].Name; d.Tok == token.VAR && strings.HasPrefix(name, "Err") {
						belongs(name, "error.go", s)
					}
				}
			}
		}
	}
}

// typesOf returns the types that p declares, and the names of their methods.
func typesOf(p *pkg) (specs map[string]*ast.TypeSpec, methods map[string][]string) {
	specs, methods = map[string]*ast.TypeSpec{}, map[string][]string{}
	for _, f := range p.files {
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv != nil {
					methods[receiver(d)] = append(methods[receiver(d)], d.Name.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					if s, ok := spec.(*ast.TypeSpec); ok {
						specs[s.Name.Name] = s
					}
				}
			}
		}
	}
	return specs, methods
}

// isReport holds for the types that say what happened.
func isReport(name string) bool { return name == "Event" || strings.HasSuffix(name, "Stats") }

func enumsHaveText(p *pkg, report reporter) {
	specs, methods := typesOf(p)
	reported := map[string]bool{}
	var walk func(name string)
	walk = func(name string) {
		if s := specs[name]; s != nil && !reported[name] {
			reported[name] = true
			ast.Inspect(s.Type, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok {
					walk(id.Name)
				}
				return true
			})
		}
	}
	for name := range specs {
		if isReport(name) {
			walk(name)
		}
	}
	for name := range enums(p) {
		if !ast.IsExported(name) {
			continue
		}
		if !slices.Contains(methods[name], "String") {
			report(specs[name], "%s has no method String", name)
		}
		if reported[name] && !slices.Contains(methods[name], "MarshalText") {
			report(specs[name], "%s has no method MarshalText, and is part of a Stats or an Event", name)
		}
	}
}

// enums returns the types of integers for which p has constants that count on.
func enums(p *pkg) map[string]bool {
	found := map[string]bool{}
	for _, f := range p.files {
		for _, decl := range f.Decls {
			d, ok := decl.(*ast.GenDecl)
			if !ok || d.Tok != token.CONST {
				continue
			}
			for _, spec := range d.Specs {
				s := spec.(*ast.ValueSpec)
				typ, ok := s.Type.(*ast.Ident)
				if !ok || !ast.IsExported(s.Names[0].Name) {
					continue
				}
				for _, value := range s.Values {
					ast.Inspect(value, func(n ast.Node) bool {
						if id, ok := n.(*ast.Ident); ok && id.Name == "iota" {
							found[typ.Name] = true
						}
						return true
					})
				}
			}
		}
	}
	return found
}

func reportsCanBeLogged(p *pkg, report reporter) {
	specs, methods := typesOf(p)
	for name, s := range specs {
		if (name == "Error" || isReport(name)) && ast.IsExported(name) && !slices.Contains(methods[name], "LogValue") {
			report(s, "%s has no method LogValue", name)
		}
	}
}

// otherNames are the types that have another word for their name, and which.
var otherNames = map[string]string{
	"gateway.EndpointConfig":    "its pattern is the name",
	"gateway.BearerConfig":      "its Gateway's",
	"gateway.EndpointStats":     "Endpoint",
	"loadbalance.EndpointStats": "Key",
	"facade.PartStats":          "Part",
}

func objectsHaveNames(p *pkg, report reporter) {
	specs, _ := typesOf(p)
	for name, s := range specs {
		typ, ok := s.Type.(*ast.StructType)
		if !ok || !ast.IsExported(name) || !isReport(name) && !strings.HasSuffix(name, "Config") || otherNames[path.Base(p.dir)+"."+name] != "" {
			continue
		}
		named := slices.ContainsFunc(typ.Fields.List, func(f *ast.Field) bool {
			return slices.ContainsFunc(f.Names, func(id *ast.Ident) bool { return id.Name == "Name" })
		})
		if !named {
			report(s, "%s has no field Name", name)
		}
	}
}

// atomicTypes: the functions want an alignment that the types have by themselves.
func atomicTypes(p *pkg, report reporter) {
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			for _, typ := range []string{"Int64", "Uint64"} {
				for _, verb := range []string{"Add", "And", "CompareAndSwap", "Load", "Or", "Store", "Swap"} {
					if calls(n, "atomic."+verb+typ) {
						report(n, "32-bit machines may not align this word; use atomic.%s", typ)
					}
				}
			}
			return true
		})
	}
}

func importsAreNotEmpty(p *pkg, report reporter) {
	for _, files := range []map[string]*ast.File{p.files, p.tests} {
		for _, f := range files {
			for _, decl := range f.Decls {
				if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.IMPORT && len(d.Specs) == 0 {
					report(d, "an empty import block")
				}
			}
		}
	}
}

func differencesAreShown(p *pkg, report reporter) {
	for _, files := range []map[string]*ast.File{p.files, p.tests} {
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				if calls(n, "reflect.DeepEqual") {
					report(n, "reflect.DeepEqual does not say what differs; use cmp.Diff")
				}
				return true
			})
		}
	}
}
