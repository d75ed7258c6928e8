package main

import (
	"bytes"
	"embed"
	"html/template"
	"net"
	"net/http"
	"strings"
)

//go:embed live.html live.css live.js style.css
var liveFiles embed.FS

var liveTemplate = template.Must(template.ParseFS(liveFiles, "live.html"))

// What the page may do: load what it consists of, and talk to this program.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// handler serves the page, its stream and its buttons. listen is the address that it is told to listen on.
func (l *live) handler(listen string) http.Handler {
	var page bytes.Buffer
	err := liveTemplate.Execute(&page, map[string]any{
		"Stacks": l.stacks(), "Presses": presses, "Servers": strings.Split(instances, ""), "Rate": l.board.rate, "Rush": rush * l.board.rate,
	})
	if err != nil {
		panic(err) // the template and what it shows are ours
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page.Bytes())
	})
	for _, name := range []string{"live.css", "live.js", "style.css"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, liveFiles, name) })
	}
	mux.Handle("GET /events", &l.feed)
	mux.HandleFunc("POST /servers/{server}/{press}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, l.board.press(r.PathValue("server"), r.PathValue("press")))
	})
	mux.HandleFunc("POST /calls/{number}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, l.board.call(r.PathValue("number")))
	})
	return guard(listen, http.NewCrossOriginProtection().Handler(mux))
}

// answer says whether there is such a button.
func answer(w http.ResponseWriter, ok bool) {
	if !ok {
		http.Error(w, "there is no such button", http.StatusNotFound)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// guard lets only those in who ask for this machine by its own names: the page of a stranger can have its name resolve to
// a loopback address, but it cannot choose what the browser takes for the host then.
func guard(listen string, next http.Handler) http.Handler {
	own, _, _ := net.SplitHostPort(listen)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if !isOwn(r.Host, own) {
			http.Error(w, "open this page by its IP address, or by the name that -listen is given", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isOwn reports whether host is an address, localhost, or the name that was given by the one who started the program.
func isOwn(host, own string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return net.ParseIP(host) != nil || strings.EqualFold(host, "localhost") || own != "" && strings.EqualFold(host, own)
}
