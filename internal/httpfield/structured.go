package httpfield

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Token is the value of a structured field that is a token.
type Token string

// Item is an item or an inner list of a structured field, with its parameters.
// Dates and Display Strings (RFC 9651) are not read: to RFC 8941, on which the
// fields build that are read here, they are errors.
type Item struct {
	Value  any      // bool, int64, float64 (a Decimal), string, Token, []byte, or []Item (an inner list)
	Params []Member // the last of each key
}

// Member is a member of a dictionary, or a parameter, which has none of its own.
type Member struct {
	Key string // in small letters
	Item
}

var errStructured = errors.New("httpfield: not a structured field")

// ParseDictionary parses a dictionary (RFC 9651, section 4.2.2) from the lines of a
// field. Of members with the same key the last counts, in the first one's place.
func ParseDictionary(lines []string) ([]Member, error) {
	p := join(lines)
	var members []Member
	err := p.list(func() error {
		key, err := p.key()
		if err != nil {
			return err
		}
		var item Item
		if p.take('=') {
			item, err = p.member()
		} else {
			item.Value = true
			item.Params, err = p.params()
		}
		members = setMember(members, Member{key, item})
		return err
	})
	return members, err
}

// ParseList parses a list (RFC 9651, section 4.2.1) from the lines of a field.
func ParseList(lines []string) ([]Item, error) {
	p := join(lines)
	var items []Item
	err := p.list(func() error {
		item, err := p.member()
		items = append(items, item)
		return err
	})
	return items, err
}

func setMember(members []Member, m Member) []Member {
	if i := slices.IndexFunc(members, func(old Member) bool { return old.Key == m.Key }); i >= 0 {
		members[i] = m
		return members
	}
	return append(members, m)
}

// A parser holds what is still to be read.
type parser struct{ s string }

// join joins the lines of a field, without the space around them, which is not part
// of it.
func join(lines []string) parser {
	var kept []string
	for _, line := range lines {
		if line = strings.Trim(line, " \t"); line != "" {
			kept = append(kept, line)
		}
	}
	return parser{strings.Join(kept, ",")}
}

func (p *parser) take(c byte) bool {
	if p.s == "" || p.s[0] != c {
		return false
	}
	p.s = p.s[1:]
	return true
}

// span takes the longest prefix of bytes that in reports true for.
func (p *parser) span(in func(c byte) bool) string {
	n := 0
	for n < len(p.s) && in(p.s[n]) {
		n++
	}
	text := p.s[:n]
	p.s = p.s[n:]
	return text
}

func (p *parser) space(set string) { p.s = strings.TrimLeft(p.s, set) }

// list reads all members of a list or dictionary.
func (p *parser) list(member func() error) error {
	for more := p.s != ""; more; p.space(" \t") {
		if err := member(); err != nil {
			return err
		}
		p.space(" \t")
		if more = p.take(','); !more && p.s != "" {
			return errStructured
		}
	}
	return nil
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isAlpha(c byte) bool { return isLower(c | 0x20) }

func (p *parser) key() (string, error) {
	key := p.span(func(c byte) bool {
		return isLower(c) || isDigit(c) || strings.IndexByte("_-.*", c) >= 0
	})
	if key == "" || !isLower(key[0]) && key[0] != '*' {
		return "", errStructured
	}
	return key, nil
}

// member reads an item or an inner list.
func (p *parser) member() (item Item, err error) {
	if !p.take('(') {
		return p.item()
	}
	inner := []Item{}
	for {
		p.space(" ")
		if p.take(')') {
			item.Value = inner
			item.Params, err = p.params()
			return item, err
		}
		next, err := p.item()
		if err != nil || p.s == "" || p.s[0] != ' ' && p.s[0] != ')' {
			return item, errStructured
		}
		inner = append(inner, next)
	}
}

func (p *parser) item() (item Item, err error) {
	if item.Value, err = p.bare(); err != nil {
		return item, err
	}
	item.Params, err = p.params()
	return item, err
}

func (p *parser) params() (params []Member, err error) {
	for p.take(';') {
		p.space(" ")
		m := Member{Item: Item{Value: true}}
		if m.Key, err = p.key(); err != nil {
			return nil, err
		}
		if p.take('=') {
			if m.Value, err = p.bare(); err != nil {
				return nil, err
			}
		}
		params = setMember(params, m)
	}
	return params, nil
}

func (p *parser) bare() (any, error) {
	if p.s == "" {
		return nil, errStructured
	}
	switch c := p.s[0]; {
	case c == '-' || isDigit(c):
		return p.number()
	case c == '"':
		return p.text()
	case c == '*' || isAlpha(c):
		return Token(p.span(func(c byte) bool {
			return isAlpha(c) || isDigit(c) || strings.IndexByte("!#$%&'*+-.^_`|~:/", c) >= 0
		})), nil
	case p.take(':'):
		text, rest, ok := strings.Cut(p.s, ":")
		p.s = rest
		data, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil {
			return nil, errStructured
		}
		return data, nil
	case p.take('?'):
		if p.take('1') {
			return true, nil
		}
		if p.take('0') {
			return false, nil
		}
	}
	return nil, errStructured
}

// number reads an Integer of up to 15 digits, or a Decimal of up to 12 and 3.
func (p *parser) number() (any, error) {
	sign := ""
	if p.take('-') {
		sign = "-"
	}
	whole := p.span(isDigit)
	if !p.take('.') {
		if whole == "" || len(whole) > 15 {
			return nil, errStructured
		}
		return strconv.ParseInt(sign+whole, 10, 64)
	}
	fraction := p.span(isDigit)
	if whole == "" || len(whole) > 12 || fraction == "" || len(fraction) > 3 {
		return nil, errStructured
	}
	return strconv.ParseFloat(sign+whole+"."+fraction, 64)
}

func (p *parser) text() (any, error) {
	var b strings.Builder
	for i := 1; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == '"':
			p.s = p.s[i+1:]
			return b.String(), nil
		case c < ' ' || c > '~':
			return nil, errStructured
		case c == '\\':
			if i++; i == len(p.s) || p.s[i] != '"' && p.s[i] != '\\' {
				return nil, errStructured
			}
			b.WriteByte(p.s[i])
		default:
			b.WriteByte(c)
		}
	}
	return nil, errStructured
}
