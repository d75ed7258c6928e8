// Views: templates that escape by where a value stands, in one layout. Not worth a
// program in the browser for pages that people read and forms that they send.

package platform

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strings"
)

//go:embed layout.html style.css
var look embed.FS

// Views are pages.
type Views struct {
	pages  map[string]*template.Template
	policy string
}

// Page is what a page is made of.
type Page struct {
	Person any // who has signed in, an app.Person; nil: nobody
	Data   any // what the page is about
}

// NewViews returns the pages in fsys, one a file, each with the blocks "title" and
// "main". The policy is what they need beyond their style: nothing, or for instance
// "script-src 'self'". A page that is malformed is part of the program, and panics.
func NewViews(fsys fs.FS, policy string) *Views {
	v := &Views{map[string]*template.Template{}, "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"}
	if policy != "" {
		v.policy += "; " + policy
	}
	layout := template.Must(template.New("layout.html").Funcs(template.FuncMap{"segment": segment}).ParseFS(look, "layout.html"))
	files, err := fs.Glob(fsys, "*/*.html")
	if err != nil || len(files) == 0 {
		panic("huts: there are no pages")
	}
	for _, f := range files {
		page := template.Must(template.Must(layout.Clone()).ParseFS(fsys, f))
		v.pages[strings.TrimSuffix(path.Base(f), ".html")] = page
	}
	return v
}

// segment escapes what is to be one segment of a path: templates leave a slash as it is.
func segment(v any) string { return url.PathEscape(fmt.Sprint(v)) }

// Show answers with a page, whole or not at all.
func (v *Views) Show(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	page := Page{Data: data}
	if p, ok := Who(r.Context()); ok {
		page.Person = p
	}
	var b bytes.Buffer
	if err := v.pages[name].Execute(&b, page); err != nil {
		slog.ErrorContext(r.Context(), "huts: a page cannot be shown", "page", name, "err", err)
		Refuse(w, Problem{Status: http.StatusInternalServerError})
		return
	}
	w.Header().Set("Content-Security-Policy", v.policy)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}

// Fragment renders one block of a page.
func (v *Views) Fragment(page, block string, data any) (string, error) {
	var b strings.Builder
	err := v.pages[page].ExecuteTemplate(&b, block, data)
	return b.String(), err
}

// Style serves how pages look, at /style.css.
func Style(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	w.Header().Set("Cache-Control", "max-age=60")
	http.ServeFileFS(w, r, look, "style.css")
}
