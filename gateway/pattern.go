package gateway

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// pattern is a parsed "GET /users/{name}".
type pattern struct {
	method string
	parts  []part
}

// A part of the path is a wildcard if it has a name, and encoded text otherwise.
type part struct {
	text string
	name string
	rest bool // {name...}
}

func parsePattern(s string) (pattern, error) {
	method, path, ok := strings.Cut(s, " ")
	if !ok || method == "" {
		return pattern{}, errors.New(`want "METHOD /path"`)
	}
	if !validName(method) || strings.ToUpper(method) != method || method == "CONNECT" {
		return pattern{}, fmt.Errorf("the method %q cannot be sent", method)
	}
	if !strings.HasPrefix(path, "/") {
		return pattern{}, errors.New("the path does not begin with a slash; it is relative to the base URL")
	}
	if strings.Contains(path, "?") {
		return pattern{}, errors.New(`the path has a query; bind its values to fields with the tag query:"name"`)
	}
	p := pattern{method: method}
	segments := strings.Split(path[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		if segment == "" && !last {
			return pattern{}, errors.New("a segment is empty")
		}
		p.literal("/")
		if err := p.segment(segment, last); err != nil {
			return pattern{}, err
		}
	}
	names := slices.Sorted(slices.Values(p.names()))
	if len(slices.Compact(names)) < len(p.names()) {
		return pattern{}, errors.New("a wildcard appears twice")
	}
	return p, nil
}

func (p *pattern) literal(text string) {
	if n := len(p.parts) - 1; n >= 0 && p.parts[n].name == "" {
		p.parts[n].text += text
		return
	}
	p.parts = append(p.parts, part{text: text})
}

// segment parses one between slashes; last says whether it is the last.
func (p *pattern) segment(s string, last bool) error {
	if climbs(s) {
		return fmt.Errorf(`the segment %q means "." or ".."`, s)
	}
	for whole := s; s != ""; {
		text, after, open := strings.Cut(s, "{")
		if text != "" {
			// Text that net/url would send in another form, or refuse.
			u, err := url.ParseRequestURI("/" + text)
			if err != nil || u.RequestURI() != "/"+text || strings.ContainsAny(text, "}?#") {
				return fmt.Errorf("%q is not percent-encoded", text)
			}
			p.literal(text)
		}
		if !open {
			break
		}
		name, after, closed := strings.Cut(after, "}")
		if !closed {
			return fmt.Errorf("%q has no closing brace", whole)
		}
		bare, isRest := strings.CutSuffix(name, "...")
		if !isIdentifier(bare) {
			return fmt.Errorf("the wildcard {%s} has no name", name)
		}
		if isRest && (!last || whole != "{"+name+"}") {
			return fmt.Errorf("{%s} is not the last segment", name)
		}
		if p.parts[len(p.parts)-1].name != "" {
			return fmt.Errorf("there is nothing between two wildcards in %q", whole)
		}
		p.parts = append(p.parts, part{name: bare, rest: isRest})
		s = after
	}
	return nil
}

func isIdentifier(s string) bool {
	for i, r := range s {
		if r != '_' && (r|0x20 < 'a' || r|0x20 > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}

// names returns the wildcards in their order.
func (p *pattern) names() []string {
	var names []string
	for _, x := range p.parts {
		if x.name != "" {
			names = append(names, x.name)
		}
	}
	return names
}

var (
	errEmpty   = errors.New("is empty")
	errClimbs  = errors.New(`has a segment "." or ".."`)
	errControl = errors.New("has a control character")
	errSlashes = errors.New("has an empty segment")
)

// appendValue appends the value of a wildcard to an encoded path.
func appendValue(b []byte, value string, rest bool) ([]byte, error) {
	switch {
	case strings.Trim(value, `/\`) == "" || value[0] == '%' && strings.Trim(unescape(value), `/\`) == "":
		return b, errEmpty // or is, for a server that removes empty segments
	case climbs(value):
		return b, errClimbs
	case rest && (value[0] == '/' || value[len(value)-1] == '/' || strings.Contains(value, "//")):
		return b, errSlashes
	}
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z',
			c == '-' || c == '.' || c == '_' || c == '~', c == '/' && rest:
			b = append(b, c)
		case c < ' ' || c == 0x7f:
			return b, errControl
		default:
			b = append(b, '%', upperHex[c>>4], upperHex[c&15])
		}
	}
	return b, nil
}

// decodePath returns the Path and RawPath of a URL with an encoded path.
func decodePath(raw string) (path, rawPath string) {
	if !strings.ContainsAny(raw, "%!'()*[]") { // net/url would encode these
		return raw, ""
	}
	path, _ = url.PathUnescape(raw) // no error: it was encoded here
	return path, raw
}

// climbs reports whether a server may see the segment "." or ".." in s, if it decodes
// s several times and takes a backslash for a slash.
func climbs(s string) bool {
	if strings.IndexByte(s, '.') < 0 && strings.IndexByte(s, '%') < 0 {
		return false
	}
	if strings.IndexByte(s, '%') >= 0 {
		s = unescape(s)
	}
	dots, others := 0, 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i == len(s) || s[i] == '/' || s[i] == '\\':
			if others == 0 && (dots == 1 || dots == 2) {
				return true
			}
			dots, others = 0, 0
		case s[i] == '.':
			dots++
		default:
			others++
		}
	}
	return false
}

// unescape decodes what is percent-encoded in s, again and again until nothing is.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := range len(s) {
		b = append(b, s[i])
		for n := len(b) - 3; n >= 0 && b[n] == '%'; n = len(b) - 3 {
			hi, lo := unhex(b[n+1]), unhex(b[n+2])
			if hi > 15 || lo > 15 {
				break
			}
			b = append(b[:n], hi<<4|lo)
		}
	}
	return string(b)
}

// unhex returns the value of a hexadecimal digit, and 16 for any other character.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 16
}
