package gateway

import (
	"net/http"
	"net/url"
	"strings"
)

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
