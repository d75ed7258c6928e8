// Simulation of services that are only read. Not worth it where a recorded answer shows
// the same.

package world

import (
	"fmt"
	"hash/fnv"
	"net/http"
)

// weather forecasts something for every hut and day. It is fresh for some seconds,
// and better than nothing for a day.
func weather() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /forecasts/{hut}/{date}", func(w http.ResponseWriter, r *http.Request) {
		h := fnv.New32a()
		fmt.Fprint(h, r.PathValue("hut"), r.PathValue("date"))
		n := int(h.Sum32() % 100)
		sky := []string{"clear", "cloudy", "snow showers", "thunderstorms in the afternoon"}[n%4]
		w.Header().Set("Cache-Control", "max-age=5, stale-if-error=86400")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"sky": %q, "celsius": %d}`, sky, n/4-5)
	})
	return mux
}

// bulletin is a mirror of the avalanche bulletin.
func bulletin() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /bulletins/{region}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"region": %q, "danger": %d}`, r.PathValue("region"), 1+len(r.PathValue("region"))%4)
	})
	return mux
}
