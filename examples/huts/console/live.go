// Server-sent events: the page stays as things are, over one request that does not end.
// Not worth it where a reload does; WebSockets are not worth it where only one side talks.

package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// fragments are the parts of the page that change, by the id of their place in it.
func (c *Console) fragments(r *http.Request) (map[string]string, error) {
	s := c.look(r.Context())
	all := map[string]string{}
	add := func(id, block string, data any) error {
		html, err := views.Fragment("world", block, data)
		all[id] = html
		return err
	}
	if err := add("layers", "layers", s); err != nil {
		return nil, err
	}
	for _, system := range s.Systems {
		if err := add("fault-"+system.Name, "fault", system); err != nil {
			return nil, err
		}
		all["asked-"+system.Name] = fmt.Sprint(system.Asked)
	}
	return all, add("bookings", "bookings", s)
}

// stream sends what has changed, a few times a second, until the client leaves.
func (c *Console) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	seen := map[string]string{}
	for idle := 0; ; {
		all, err := c.fragments(r)
		if err != nil {
			return
		}
		changed := map[string]string{}
		for id, html := range all {
			if old, ok := seen[id]; !ok || old != html {
				changed[id] = html
			}
		}
		seen = all
		var event []byte
		switch idle++; {
		case len(changed) > 0:
			data, err := json.Marshal(changed)
			if err != nil {
				return
			}
			event = fmt.Appendf(nil, "data: %s\n\n", data)
		case idle >= 40: // a client that has gone without a word is noticed when it is written to
			event = []byte(":\n\n")
		}
		if event != nil {
			idle = 0
			// Each event has its time. Unless it can be bounded, there is no stream.
			if err := out.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
				return
			}
			if _, err := w.Write(event); err != nil || out.Flush() != nil {
				return
			}
		}
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		case <-c.Done:
			return
		}
	}
}
