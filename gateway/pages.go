package gateway

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// PageError is the error of [Pages]. errors.AsType[*PageError[Req]] finds it.
type PageError[Req any] struct {
	Request Req   // begin with it to go on
	Page    int   // the number of its page, from 1 on
	Err     error // of the call or of next, or one that wraps ErrPageLimit or ErrPageCycle
}

func (e *PageError[Req]) Error() string {
	return fmt.Sprintf("gateway: page %d: %s", e.Page, strings.TrimPrefix(e.Err.Error(), "gateway: "))
}

// GoString returns what Error does, which does not show the request.
func (e *PageError[Req]) GoString() string { return e.Error() }

// Unwrap returns Err.
func (e *PageError[Req]) Unwrap() error { return e.Err }

const defaultPageLimit = 1000

// Pages returns an iterator over pages. It calls call with first, and then with what
// next makes of the last request and response, until next returns false. call is the
// Call of an [Endpoint], or its CallResponse if next needs the header, for [Link].
//
// It makes at most limit calls, or 1,000 if limit is 0 or less. Each call is made when
// the loop asks for its page. An error is the last thing that the iterator yields, and
// always a [*PageError]: the error of a call or of next, or [ErrPageLimit] or
// [ErrPageCycle]. If next fails, its page has been yielded already, and Request is that
// of this page.
//
// The pages go in a circle if a request says what an earlier one said, whatever memory
// it is in: pointers are followed, and all fields count, those with the tag
// `query:"-"` too. If a server keeps the place itself and all requests are the same,
// give Req such a field and count in it. A request with an [io.Reader] or a function in
// it is never taken for another. The circle is found after at most three times as many
// calls as it has pages before and in it (Brent's algorithm, BIT 20, 1980), with the
// memory of one number.
func Pages[Req, Resp any](ctx context.Context, call func(context.Context, Req) (Resp, error), first Req,
	next func(Req, Resp) (Req, bool, error), limit int) iter.Seq2[Resp, error] {
	if limit <= 0 {
		limit = defaultPageLimit
	}
	return func(yield func(Resp, error) bool) {
		said := newSayings()
		req, n := first, 1
		fail := func(err error) {
			var none Resp
			yield(none, &PageError[Req]{req, n, err})
		}
		for ; ; n++ {
			switch {
			case said.again(req):
				fail(ErrPageCycle)
				return
			case n > limit:
				fail(fmt.Errorf("%w of %d", ErrPageLimit, limit))
				return
			}
			page, err := call(ctx, req)
			if err != nil {
				fail(err)
				return
			}
			if !yield(page, nil) {
				return
			}
			following, more, err := next(req, page)
			if err != nil {
				fail(err)
				return
			}
			if !more {
				return
			}
			req = following
		}
	}
}

// Items returns an iterator over what is on pages: what items makes of each. An error of
// pages is the last thing that it yields.
func Items[Resp, T any](pages iter.Seq2[Resp, error], items func(Resp) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range pages {
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, item := range items(page) {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// Link returns the target of the first link in h that has the relation, such as
// "next" (RFC 8288). The target can be relative to the URL of the request, and can be
// of another origin: take what the next Req needs from its query.
func Link(h http.Header, relation string) (target *url.URL, ok bool) {
	for _, v := range h["Link"] {
		for v != "" {
			var raw, rels string
			raw, rels, v = cutLink(v)
			if raw == "" && rels == "" {
				continue
			}
			for rel := range strings.FieldsSeq(rels) {
				if !strings.EqualFold(rel, relation) {
					continue
				}
				if u, err := url.Parse(raw); err == nil {
					return u, true
				}
			}
		}
	}
	return nil, false
}

// cutLink returns the target and the relations of the first link in s, and what
// follows it. Both are "" for a link that is malformed or has another context.
func cutLink(s string) (target, rels, rest string) {
	s = strings.TrimLeft(s, " \t,")
	if s == "" {
		return "", "", ""
	}
	if s[0] != '<' {
		_, rest, _ = strings.Cut(s, ",")
		return "", "", rest
	}
	target, s, ok := strings.Cut(s[1:], ">")
	if !ok {
		return "", "", ""
	}
	found, anchored := false, false
	for {
		s = strings.TrimLeft(s, " \t")
		if s, ok = strings.CutPrefix(s, ";"); !ok {
			break
		}
		var name, value string
		name, value, s = cutParameter(s)
		switch {
		case strings.EqualFold(name, "rel") && !found: // the first counts
			found, rels = true, value
		case strings.EqualFold(name, "anchor"):
			anchored = true
		}
	}
	if _, rest, ok = strings.Cut(s, ","); !ok {
		rest = ""
	}
	if anchored {
		rels = ""
	}
	return target, rels, rest
}

// cutParameter returns the first parameter of s and what follows it.
func cutParameter(s string) (name, value, rest string) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, "=;, \t")
	if i < 0 {
		return s, "", ""
	}
	name, s = s[:i], strings.TrimLeft(s[i:], " \t")
	s, ok := strings.CutPrefix(s, "=")
	if !ok {
		return name, "", s
	}
	s = strings.TrimLeft(s, " \t")
	if !strings.HasPrefix(s, `"`) {
		i := strings.IndexAny(s, ";, \t")
		if i < 0 {
			i = len(s)
		}
		return name, s[:i], s[i:]
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return name, b.String(), s[i+1:]
		case '\\':
			if i++; i == len(s) {
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return name, "", "" // without a closing quote
}
