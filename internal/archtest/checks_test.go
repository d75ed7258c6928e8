package archtest

import (
	"fmt"
	"go/ast"
	"go/token"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// imports yields the imports of files, each with its node.
func imports(files map[string]*ast.File) iter.Seq2[string, ast.Node] {
	return func(yield func(string, ast.Node) bool) {
		for _, f := range files {
			for _, spec := range f.Imports {
				if name, _ := strconv.Unquote(spec.Path.Value); !yield(name, spec) {
					return
				}
			}
		}
	}
}

// dependency returns the module in dependencies that an import belongs to.
func dependency(imported string) (mod string, ok bool) {
	for mod := range dependencies {
		if imported == mod || strings.HasPrefix(imported, mod+"/") {
			return mod, true
		}
	}
	return "", false
}

func isStd(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

func importsFew(p *pkg, report reporter) {
	for imported, at := range imports(p.files) {
		if isStd(imported) {
			continue
		}
		if local, ok := strings.CutPrefix(imported, module+"/"); ok {
			if !isPattern(p) || !slices.Contains(leaves, local) {
				report(at, "imports %s; packages meet in standard shapes, not in imports", imported)
			}
			continue
		}
		mod, ok := dependency(imported)
		if !ok || !dependencies[mod] || !isPattern(p) {
			report(at, "imports %s; heavier dependencies live in nested modules", imported)
		}
	}
}

func testsImportFew(p *pkg, report reporter) {
	for imported, at := range imports(p.tests) {
		if local, ok := strings.CutPrefix(imported, module+"/"); ok && patterns[local] > 0 && local != p.dir {
			report(at, "a test imports %s; whole stacks are tested at the root and in examples", imported)
		}
	}
}

// importsNothingInternal: otherwise the internal packages would have an API between
// the versions of two modules.
func importsNothingInternal(p *pkg, report reporter) {
	if p.dir == "." || isPattern(p) {
		return
	}
	for imported, at := range imports(p.files) {
		if strings.HasPrefix(imported, module+"/internal/") {
			report(at, "imports %s", imported)
		}
	}
}

func packageDoc(p *pkg, report reporter) {
	var documenting []*ast.File
	var any *ast.File
	want := "Package " + path.Base(p.dir) + " "
	if p.dir == "." {
		want = "Package belay "
	}
	for _, f := range p.files {
		any = f
		if f.Doc != nil {
			documenting = append(documenting, f)
		}
		if f.Name.Name == "main" { // as go doc has it
			want = strings.ToUpper(path.Base(p.dir)[:1]) + path.Base(p.dir)[1:] + " "
		}
	}
	if !strings.HasPrefix(p.doc(), want) {
		report(any, "the package documentation does not begin with %q", want)
	}
	if len(documenting) > 1 {
		report(documenting[0], "%d files document the package", len(documenting))
	}
	if f := p.files[path.Base(p.dir)+".go"]; isPattern(p) && (f == nil || f.Doc == nil) {
		report(any, "%s.go does not document the package", path.Base(p.dir))
	}
}

// exported calls visit for each exported identifier of p at the top level, and for
// exported methods of exported types and fields of exported structs.
func exported(p *pkg, visit func(name string, n ast.Node, doc *ast.CommentGroup, top bool)) {
	for _, f := range p.files {
		for _, decl := range f.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if !decl.Name.IsExported() {
					continue
				}
				if decl.Recv == nil {
					visit(decl.Name.Name, decl, decl.Doc, true)
				} else if recv := receiver(decl); ast.IsExported(recv) {
					visit(recv+"."+decl.Name.Name, decl, decl.Doc, false)
				}
			case *ast.GenDecl:
				for _, spec := range decl.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						if !spec.Name.IsExported() {
							continue
						}
						doc := spec.Doc
						if doc == nil && !decl.Lparen.IsValid() {
							doc = decl.Doc
						}
						visit(spec.Name.Name, spec, doc, true)
						if s, ok := spec.Type.(*ast.StructType); ok {
							exportedFields(spec.Name.Name, s, visit)
						}
					case *ast.ValueSpec:
						doc := spec.Doc
						if doc == nil {
							doc = spec.Comment
						}
						if doc == nil {
							doc = decl.Doc // one comment for a group
						}
						for _, name := range spec.Names {
							if name.IsExported() {
								visit(name.Name, spec, doc, false)
							}
						}
					}
				}
			}
		}
	}
}

func exportedFields(typ string, s *ast.StructType, visit func(string, ast.Node, *ast.CommentGroup, bool)) {
	var last *ast.CommentGroup
	for _, field := range s.Fields.List {
		doc := field.Doc
		if doc == nil {
			doc = field.Comment
		}
		if doc == nil {
			doc = last // one comment may stand for the fields that follow it
		}
		last = doc
		for _, name := range field.Names {
			if name.IsExported() {
				visit(typ+"."+name.Name, field, doc, false)
			}
		}
	}
}

func receiver(f *ast.FuncDecl) string {
	typ := f.Recv.List[0].Type
	for {
		switch x := typ.(type) {
		case *ast.StarExpr:
			typ = x.X
		case *ast.IndexExpr:
			typ = x.X
		case *ast.IndexListExpr:
			typ = x.X
		case *ast.Ident:
			return x.Name
		default:
			return ""
		}
	}
}

// selfEvident are methods whose meaning their interface gives.
var selfEvident = []string{"Error", "String", "Unwrap"}

func documented(p *pkg, report reporter) {
	exported(p, func(name string, n ast.Node, doc *ast.CommentGroup, top bool) {
		_, method, isMethod := strings.Cut(name, ".")
		if doc.Text() == "" && !(isMethod && slices.Contains(selfEvident, method)) {
			report(n, "%s is not documented", name)
		}
	})
}

// verbs are the methods that, like all exported functions, must be shown at work.
var verbs = []string{"Allow", "AllowN", "Wait", "WaitN", "Take", "Acquire", "Pick", "PickWith", "Call", "CallResponse", "RoundTrip", "All"}

func verbsHaveExamples(p *pkg, report reporter) {
	shown := map[string]bool{}
	for _, f := range p.tests {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(fn.Name.Name, "Example") {
				continue
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					shown[sel.Sel.Name] = true
				}
				return true
			})
		}
	}
	exported(p, func(name string, n ast.Node, _ *ast.CommentGroup, top bool) {
		if _, ok := n.(*ast.FuncDecl); !ok {
			return
		}
		if typ, method, _ := strings.Cut(name, "."); !top {
			if !slices.Contains(verbs, method) {
				return
			}
			name = method
			if method == "RoundTrip" { // shown by using the type
				name = typ
			}
		}
		if !shown[name] {
			report(n, "no Example uses %s.%s", p.dir, name)
		}
	})
}

func namesAreFew(p *pkg, report reporter) {
	n := 0
	var last ast.Node
	exported(p, func(_ string, at ast.Node, _ *ast.CommentGroup, top bool) {
		if top {
			n, last = n+1, at
		}
	})
	if limit := patterns[p.dir]; n > limit {
		report(last, "exports %d types and functions, limit %d", n, limit)
	}
}

func TestPrintExportedNames(t *testing.T) {
	for dir := range patterns {
		var top []string
		all := 0
		exported(load(t, dir), func(name string, _ ast.Node, _ *ast.CommentGroup, isTop bool) {
			all++
			if isTop {
				top = append(top, name)
			}
		})
		slices.Sort(top)
		t.Logf("%s: %d types and functions, %d exported identifiers in all: %s", dir, len(top), all, strings.Join(top, " "))
	}
}

// reservedNames are kept for the generic methods of Go 1.27 and later.
func reservedNames(p *pkg, report reporter) {
	exported(p, func(name string, n ast.Node, _ *ast.CommentGroup, _ bool) {
		if _, method, _ := strings.Cut(name, "."); slices.Contains([]string{"Do", "Wrap", "Step", "After"}, method) {
			report(n, "the method name %s is reserved", method)
		}
	})
}

// calls reports whether n is a call of package function name, as in "time.Sleep".
func calls(n ast.Node, name string) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && x.Name+"."+sel.Sel.Name == name
}

func timeBelongs(p *pkg, report reporter) {
	clocks := []string{"Now", "Time", "Timer", "Ticker", "NewTimer", "NewTicker", "AfterFunc"}
	for _, f := range p.files {
		ast.Inspect(f, func(n ast.Node) bool {
			if calls(n, "time.Sleep") {
				report(n, "time.Sleep cannot be cancelled; use a timer and the context")
			}
			return true
		})
		for _, decl := range f.Decls {
			vars, ok := decl.(*ast.GenDecl)
			if !ok || vars.Tok != token.VAR {
				continue
			}
			ast.Inspect(vars, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clocks, sel.Sel.Name) {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" {
						report(n, "a time at package level breaks users' synctest bubbles; it belongs to the instance")
					}
				}
				return true
			})
		}
	}
}

// goroutineSeen holds the places that start a goroutine, once TestRules has run.
var goroutineSeen = map[string]bool{}

func goroutinesAreListed(p *pkg, report reporter) {
	for name, f := range p.files {
		for _, decl := range f.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			place := fmt.Sprintf("%s/%s:%s", p.dir, name, fn.Name.Name)
			ast.Inspect(fn, func(n ast.Node) bool {
				_, starts := n.(*ast.GoStmt)
				if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Go" {
					starts = true
				}
				if starts {
					goroutineSeen[place] = true
					if goStatements[place] == "" {
						report(n, "%s starts a goroutine that is not listed with the reason why it ends", place)
					}
				}
				return true
			})
		}
	}
}

// usesInTests reports whether a test of p calls name.
func usesInTests(p *pkg, name string) (found bool) {
	for _, f := range p.tests {
		ast.Inspect(f, func(n ast.Node) bool {
			found = found || calls(n, name)
			return !found
		})
	}
	return found
}

func transportsPassContract(p *pkg, report reporter) {
	exported(p, func(name string, n ast.Node, _ *ast.CommentGroup, _ bool) {
		if strings.HasSuffix(name, ".RoundTrip") && !usesInTests(p, "contract.Run") {
			report(n, "no test runs the contract on %s", name)
		}
	})
}

func defaultsAreChecked(p *pkg, report reporter) {
	exported(p, func(name string, n ast.Node, _ *ast.CommentGroup, _ bool) {
		if strings.HasSuffix(name, "Config") && !strings.Contains(name, ".") && !usesInTests(p, "archtest.Defaults") {
			report(n, "no test compares the defaults of %s with the documentation; call archtest.Defaults", name)
		}
	})
}

func filesAreShort(p *pkg, report reporter) {
	for _, f := range p.files {
		if n := p.fset.Position(f.FileEnd).Line; n > 300 {
			report(f, "%d lines; a file that needs a map is two files", n)
		}
	}
}
