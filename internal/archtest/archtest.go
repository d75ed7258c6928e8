// Package archtest holds the rules of this repository as tests: what may import
// what, what must be documented and shown, and what must not appear at all. A rule
// that fails says what to do. [Defaults] is for the tests of other packages.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// module is the path of the root module.
const module = "github.com/belay-go/belay"

// root returns the directory of the root module.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if text, err := os.ReadFile(filepath.Join(dir, "go.mod")); err == nil && strings.HasPrefix(string(text), "module "+module+"\n") {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("archtest: not in the module " + module)
		}
		dir = filepath.Dir(dir)
	}
}

// A pkg is a directory of Go files, parsed.
type pkg struct {
	dir   string // relative to the root of the module, with slashes
	fset  *token.FileSet
	files map[string]*ast.File // by base name, tests excepted
	tests map[string]*ast.File
}

// load parses the package in dir, relative to the root of the module.
func load(tb testing.TB, dir string) *pkg {
	tb.Helper()
	p := newPkg(dir)
	names, err := filepath.Glob(filepath.Join(root(tb), dir, "*.go"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err == nil {
			err = p.add(filepath.Base(name), text)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return p
}

func newPkg(dir string) *pkg {
	return &pkg{dir: dir, fset: token.NewFileSet(), files: map[string]*ast.File{}, tests: map[string]*ast.File{}}
}

func (p *pkg) add(name string, text []byte) error {
	f, err := parser.ParseFile(p.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	if strings.HasSuffix(name, "_test.go") {
		p.tests[name] = f
	} else {
		p.files[name] = f
	}
	return nil
}

// loadAll parses every package below the root, nested modules included.
func loadAll(tb testing.TB) []*pkg {
	tb.Helper()
	top := root(tb)
	var pkgs []*pkg
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); path != top && (name[0] == '.' || name == "testdata") {
			return fs.SkipDir
		}
		rel, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		if p := load(tb, filepath.ToSlash(rel)); len(p.files)+len(p.tests) > 0 {
			pkgs = append(pkgs, p)
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return pkgs
}

// at is where a node stands, for messages.
func (p *pkg) at(n ast.Node) string {
	pos := p.fset.Position(n.Pos())
	return fmt.Sprintf("%s/%s:%d", p.dir, pos.Filename, pos.Line)
}

// doc returns the text of the package documentation.
func (p *pkg) doc() string {
	var s strings.Builder
	for _, f := range p.files {
		s.WriteString(f.Doc.Text())
	}
	return s.String()
}

// Defaults checks the table of defaults in the documentation of the package under
// test against its code. Each config is a struct to which the defaults have been
// applied. Its exported fields and the rows "Type.Field value" of the table below the
// heading "# Defaults" must be the same; numbers, durations and strings also
// in value. A field that is zero has no default and no row.
func Defaults(t *testing.T, configs ...any) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	rel, err := filepath.Rel(root(t), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range compareDefaults(load(t, filepath.ToSlash(rel)).doc(), configs...) {
		t.Error(problem)
	}
}

func compareDefaults(doc string, configs ...any) (problems []string) {
	rows := map[string]string{}
	_, table, found := strings.Cut(doc, "# Defaults\n")
	if !found {
		return []string{`the package documentation has no heading "# Defaults"`}
	}
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "#") {
			break
		}
		if strings.HasPrefix(line, "\t") {
			field, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			rows[field] = strings.TrimSpace(value)
		}
	}
	for _, config := range configs {
		v := reflect.ValueOf(config)
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() || v.Field(i).IsZero() {
				continue
			}
			typ, _, _ := strings.Cut(v.Type().Name(), "[") // of a generic type
			name := typ + "." + field.Name
			row, ok := rows[name]
			delete(rows, name)
			switch field.Type.Kind() {
			case reflect.Func, reflect.Pointer, reflect.Interface:
				if !ok && field.Name != "Classify" { // which the package describes at length
					problems = append(problems, name+" has a default that is not in the table")
				}
			default:
				if want := fmt.Sprint(v.Field(i).Interface()); strings.TrimSuffix(row, "0s") != strings.TrimSuffix(want, "0s") {
					problems = append(problems, fmt.Sprintf("%s is %q in the table and %s in the code", name, row, want))
				}
			}
		}
	}
	for name := range rows {
		problems = append(problems, name+" is in the table and has no default in the code")
	}
	return problems
}

// Types returns the names of the exported types of the package in dir, for tests that
// must forget none.
func Types(tb testing.TB, dir string) (names []string) {
	tb.Helper()
	for _, f := range load(tb, dir).files {
		for _, d := range f.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.TYPE {
				for _, s := range g.Specs {
					if name := s.(*ast.TypeSpec).Name; name.IsExported() {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	if len(names) == 0 {
		tb.Fatalf("archtest: %s exports no type", dir)
	}
	return names
}
