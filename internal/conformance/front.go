package main

import (
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
)

// reverseProxy is the front that users have.
func reverseProxy(target string, rt http.RoundTripper) http.Handler {
	u, err := url.Parse(target)
	if err != nil {
		log.Fatal(err)
	}
	return &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(u) },
		Transport:    rt,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
}

// raw is a front that passes on everything as it is, so that nothing but the cache
// can be what makes a test pass.
func raw(target string, rt http.RoundTripper) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				before := maps.Clone(w.Header())
				maps.Copy(w.Header(), http.Header(h))
				w.WriteHeader(code)
				clear(w.Header())
				maps.Copy(w.Header(), before)
				return nil
			},
		})
		out := r.Clone(ctx)
		out.RequestURI, out.Host = "", ""
		var err error
		if out.URL, err = url.Parse(target + r.URL.RequestURI()); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		resp, err := rt.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		maps.Copy(w.Header(), resp.Header)
		w.WriteHeader(resp.StatusCode)
		if _, err := io.Copy(w, resp.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
	})
}
