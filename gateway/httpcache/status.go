package httpcache

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/belay-go/belay/internal/httpfield"
)

// Status tells how a cache has handled a request, as the Cache-Status field of the
// response has it (RFC 9211).
type Status struct {
	// Cache is the name of the cache.
	Cache string
	// Hit says that a stored response was used without asking the origin, or because
	// the origin did not answer.
	Hit bool
	// Forward is why the request went to the origin, if it did: "uri-miss" and
	// "vary-miss" (nothing stored that fits), "stale", "request" (which did not want
	// what is stored), "method", "partial", "miss", or "bypass".
	Forward string
	// ForwardStatus is the origin's status, if it is not that of the response: 304
	// for one that was validated.
	ForwardStatus int
	// TTL is for how long the response stays fresh; negative: it is stale. Whole
	// seconds.
	TTL time.Duration
	// Stored says that the response that came from the origin is being stored.
	Stored bool
	// Collapsed says that the request waited for another one, and shares its response.
	Collapsed bool
	// Detail is the cache's own: "stale-while-revalidate" and "stale-if-error" say why
	// a stale response was used, "only-if-cached" why there was none, and
	// "needs-partition" that the response would be stored if it were known whose it is.
	Detail string
}

// StatusOf returns the status of the cache nearest to the caller that has handled the
// response with the header h: the last member of its Cache-Status field. ok is false if
// there is none.
func StatusOf(h http.Header) (s Status, ok bool) {
	items, err := httpfield.ParseList(h["Cache-Status"])
	if err != nil || len(items) == 0 {
		return s, false
	}
	last := items[len(items)-1]
	if s.Cache = statusText(last.Value); s.Cache == "" {
		return s, false
	}
	for _, p := range last.Params {
		n, _ := p.Value.(int64)
		yes, _ := p.Value.(bool)
		switch p.Key {
		case "hit":
			s.Hit = yes
		case "fwd":
			s.Forward = statusText(p.Value)
		case "fwd-status":
			s.ForwardStatus = int(n)
		case "ttl":
			s.TTL = time.Duration(n) * time.Second
		case "stored":
			s.Stored = yes
		case "collapsed":
			s.Collapsed = yes
		case "detail":
			s.Detail = statusText(p.Value)
		}
	}
	return s, true
}

func statusText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case httpfield.Token:
		return string(v)
	}
	return ""
}

// statusName returns name as a token, or else as a string.
func statusName(name string) string {
	if name == "" || tokenLen(name) == len(name) && (name[0]|0x20 >= 'a' && name[0]|0x20 <= 'z') {
		return name
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// String returns the status as it stands in the field.
func (s Status) String() string {
	b := make([]byte, 0, 64)
	b = append(b, statusName(s.Cache)...)
	if s.Hit {
		b = append(b, "; hit"...)
	}
	if s.Forward != "" {
		b = append(append(b, "; fwd="...), s.Forward...)
	}
	if s.ForwardStatus != 0 {
		b = strconv.AppendInt(append(b, "; fwd-status="...), int64(s.ForwardStatus), 10)
	}
	if s.TTL != 0 {
		b = strconv.AppendInt(append(b, "; ttl="...), int64(s.TTL/time.Second), 10)
	}
	if s.Stored {
		b = append(b, "; stored"...)
	}
	if s.Collapsed {
		b = append(b, "; collapsed"...)
	}
	if s.Detail != "" {
		b = append(append(b, "; detail="...), s.Detail...)
	}
	return string(b)
}

// addStatus appends a status to the field. The header is replaced, since a response may
// share it with others; its values are not.
func addStatus(resp *http.Response, status string) {
	h := make(http.Header, len(resp.Header)+1)
	maps.Copy(h, resp.Header)
	earlier := h["Cache-Status"]
	h["Cache-Status"] = append(earlier[:len(earlier):len(earlier)], status)
	resp.Header = h
}
