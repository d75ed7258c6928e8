package httpcache

import (
	"io"
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// A field is a field of a stored header, and where its values are.
type field struct {
	name     string
	from, to int
}

// pack prepares the header for being copied often: with room for the two fields that
// are added to each answer, its values in one piece, and in a form that is faster to go
// through than a map. Nothing in it is shared with the origin's from then on.
func (e *entry) pack() {
	n := 2
	for _, values := range e.header {
		n += len(values)
	}
	e.header["Age"] = nil
	if e.header["Cache-Status"] == nil {
		e.header["Cache-Status"] = nil
	}
	e.fields, e.values = newPacked(len(e.header), n)
	for name, values := range e.header {
		from := len(e.values)
		e.values = append(e.values, values...)
		switch name {
		case "Age":
			e.ageIndex = len(e.values)
			e.values = append(e.values, "")
		case "Cache-Status":
			e.statusIndex = len(e.values)
			e.values = append(e.values, "")
		}
		to := len(e.values)
		e.header[name] = e.values[from:to:to]
		e.fields = append(e.fields, field{name, from, to})
	}
}

// newPacked returns room for a header, in one piece if that is small.
func newPacked(fields, values int) ([]field, []string) {
	if fields > 8 || values > 8 {
		return make([]field, 0, fields), make([]string, 0, values)
	}
	both := new(struct {
		fields [8]field
		values [8]string
	})
	return both.fields[:0:fields], both.values[:0:values]
}

// unpacked returns the header as it was received, to be changed.
func (e *entry) unpacked() http.Header {
	h := e.header.Clone()
	delete(h, "Age")
	if v := h["Cache-Status"]; len(v) > 1 {
		h["Cache-Status"] = v[:len(v)-1]
	} else {
		delete(h, "Cache-Status")
	}
	return h
}

// A stamp is what hits within the same second have in common.
type stamp struct {
	age             int64 // seconds
	ttl             time.Duration
	ageText, status string
}

// stampAt returns the values of Age and Cache-Status. Those of plain hits are kept.
func (e *entry) stampAt(now instant, s Status) *stamp {
	age := int64(max(0, e.ageAt(now)) / time.Second)
	plain := s.Hit && s.Detail == ""
	if stamp := e.stamp.Load(); plain && stamp != nil && stamp.age == age && stamp.ttl == s.TTL {
		return stamp
	}
	stamp := &stamp{age, s.TTL, strconv.FormatInt(age, 10), s.String()}
	if plain {
		e.stamp.Store(stamp)
	}
	return stamp
}

// A hitResponse is a response from the store and its body. With the values of the
// header, unless they are very many, it is one piece of memory.
type hitResponse struct {
	resp http.Response
	body reader
}

type smallHit struct {
	hitResponse
	values [10]string
}

type largeHit struct {
	hitResponse
	values [32]string
}

func newHit(values int) (*hitResponse, []string) {
	switch {
	case values <= len(smallHit{}.values):
		hit := new(smallHit)
		return &hit.hitResponse, hit.values[:0]
	case values <= len(largeHit{}.values):
		hit := new(largeHit)
		return &hit.hitResponse, hit.values[:0]
	}
	return new(hitResponse), nil
}

// response returns the entry as the answer to req.
func (e *entry) response(req *http.Request, stamp *stamp) *http.Response {
	hit, values := newHit(len(e.values))
	r := &hit.resp // field by field, since copying the whole is slow
	r.Status, r.StatusCode = e.status, e.code
	r.Proto, r.ProtoMajor, r.ProtoMinor = e.proto, e.major, e.minor
	r.ContentLength, r.Uncompressed = int64(len(e.body)), e.uncompressed
	r.Body, r.Request = http.NoBody, req
	if e.trailer != nil {
		r.Trailer = e.trailer.Clone()
	}
	h := e.header
	if len(e.fields) > 8 { // large maps are cheaper to copy, small ones to fill
		h = maps.Clone(h)
	} else {
		h = make(http.Header, len(e.fields))
	}
	values = append(values, e.values...)
	values[e.ageIndex], values[e.statusIndex] = stamp.ageText, stamp.status
	for i := range e.fields {
		f := &e.fields[i]
		h[f.name] = values[f.from:f.to:f.to]
	}
	r.Header = h
	switch {
	case req.Method == http.MethodHead:
		if v := h["Content-Length"]; v == nil {
			r.ContentLength = -1
		}
	case len(e.body) > 0:
		hit.body.rest = e.body
		r.Body = &hit.body
	}
	return r
}

// A reader reads a stored body.
type reader struct {
	rest   []byte
	closed atomic.Bool
}

func (r *reader) Read(p []byte) (int, error) {
	switch {
	case r.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case len(r.rest) == 0:
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	if r.rest = r.rest[n:]; len(r.rest) == 0 {
		return n, io.EOF
	}
	return n, nil
}

// WriteTo writes what is left without a buffer in between.
func (r *reader) WriteTo(w io.Writer) (int64, error) {
	if r.closed.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := w.Write(r.rest)
	r.rest = r.rest[n:]
	return int64(n), err
}

func (r *reader) Close() error {
	r.closed.Store(true)
	return nil
}
