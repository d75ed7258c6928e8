// Problem details: one form for every refusal, by RFC 9457. Not worth it where the
// status says it all.

package platform

import (
	"encoding/json"
	"net/http"
)

// A Problem is a refusal that a program can read.
type Problem struct {
	Title  string `json:"title"` // "": what the status means
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Free   *int   `json:"free,omitempty"` // the beds that are left
}

// Refuse answers with a problem.
func Refuse(w http.ResponseWriter, p Problem) {
	if p.Title == "" {
		p.Title = http.StatusText(p.Status)
	}
	if p.Status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}
