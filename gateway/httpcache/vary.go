package httpcache

import (
	"net/http"
	"slices"
	"strings"
)

// varyField is one field that a response was selected by (RFC 9111, section 4.1).
type varyField struct {
	name  string
	lines []string // as the request had it
	value string   // normalised
}

// maxVary is how many fields a response may be selected by. More are taken for "*".
const maxVary = 32

// newVary reads the Vary field of a response to a request with the header h. It
// fails if a member is "*", which matches no request.
func newVary(vary []string, h http.Header) (fields []varyField, ok bool) {
	for _, line := range vary {
		for name := range strings.SplitSeq(line, ",") {
			name = strings.Trim(name, " \t")
			switch {
			case name == "*":
				return nil, false
			case name == "":
				continue
			}
			name = http.CanonicalHeaderKey(name)
			if !slices.ContainsFunc(fields, func(f varyField) bool { return f.name == name }) {
				if len(fields) == maxVary {
					return nil, false
				}
				lines := slices.Clone(h[name])
				fields = append(fields, varyField{name, lines, varyValue(name, lines)})
			}
		}
	}
	slices.SortFunc(fields, func(a, b varyField) int { return strings.Compare(a.name, b.name) })
	return fields, true
}

// matches reports whether a request with the header h would be sent the same.
func (f *varyField) matches(h http.Header) bool {
	lines := h[f.name]
	if slices.Equal(lines, f.lines) {
		return true
	}
	// A field that is absent matches absence only.
	return (len(lines) == 0) == (len(f.lines) == 0) && varyValue(f.name, lines) == f.value
}

func varyMatches(fields []varyField, h http.Header) bool {
	for i := range fields {
		if !fields[i].matches(h) {
			return false
		}
	}
	return true
}

// varyKey returns what tells requests apart that fields select different
// responses for.
func varyKey(fields []varyField, h http.Header) string {
	var b strings.Builder
	for i := range fields {
		lines := h[fields[i].name]
		b.WriteString(fields[i].name)
		if len(lines) > 0 {
			b.WriteByte(0)
			b.WriteString(varyValue(fields[i].name, lines))
		}
		b.WriteByte(0)
	}
	return b.String()
}

// varyValue normalises the lines of a request field: they are joined and the
// space around commas removed. In fields that are lists of preferences the members'
// order has no meaning, and in most of them neither has their case.
func varyValue(name string, lines []string) string {
	if len(lines) == 1 && !strings.ContainsAny(lines[0], ", \t") && !isPreference(name) {
		return lines[0]
	}
	var list []string
	for _, line := range lines {
		for m := range members(line) {
			list = append(list, m)
		}
	}
	if isPreference(name) {
		for i, m := range list {
			if strings.Contains(m, `"`) {
				continue
			}
			m = strings.ReplaceAll(strings.ReplaceAll(m, " ", ""), "\t", "")
			if name != "Accept" { // whose parameters may have values with case
				m = strings.ToLower(m)
			}
			list[i] = m
		}
		slices.Sort(list)
	}
	return strings.Join(list, ",")
}

func isPreference(name string) bool {
	switch name {
	case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language":
		return true
	}
	return false
}

// members yields the members of a list, without the space around them. Commas
// within quotes separate nothing.
func members(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		start, quoted := 0, false
		for i := 0; i <= len(s); i++ {
			switch {
			case i == len(s) || s[i] == ',' && !quoted:
				if m := strings.Trim(s[start:i], " \t"); m != "" && !yield(m) {
					return
				}
				start = i + 1
			case s[i] == '"':
				quoted = !quoted
			case s[i] == '\\' && quoted && i+1 < len(s):
				i++
			}
		}
	}
}
