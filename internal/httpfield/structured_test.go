package httpfield

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func items(values ...any) []Item {
	list := []Item{}
	for _, v := range values {
		list = append(list, Item{Value: v})
	}
	return list
}

func member(key string, value any, params ...Member) Member {
	return Member{key, Item{value, params}}
}

// The sections are those of RFC 9651, and most fields its examples.
func TestParseList(t *testing.T) {
	for _, tt := range []struct {
		section string
		lines   []string
		want    []Item // nil: an error
	}{
		{"3.1", []string{"sugar, tea, rum"}, items(Token("sugar"), Token("tea"), Token("rum"))},
		{"3.1", []string{"sugar, tea", "", "rum"}, items(Token("sugar"), Token("tea"), Token("rum"))},
		{"3.1", []string{""}, items()},
		{"3.1", nil, items()},
		{"3.1", []string{"sugar\t,\t tea"}, items(Token("sugar"), Token("tea"))},
		{"4.2.1", []string{"sugar,"}, nil},
		{"4.2.1", []string{"sugar,, tea"}, nil},
		{"4.2.1", []string{"sugar tea"}, nil},
		{"3.1.1", []string{`("foo" "bar"), ("baz"), ()`}, items(items("foo", "bar"), items("baz"), items())},
		{"3.1.1", []string{`("foo"; a=1;b=2);lvl=5, ("bar" "baz");lvl=1`}, []Item{
			{[]Item{{"foo", []Member{member("a", int64(1)), member("b", int64(2))}}}, []Member{member("lvl", int64(5))}},
			{items("bar", "baz"), []Member{member("lvl", int64(1))}},
		}},
		{"3.1.1", []string{`("foo""bar")`}, nil},
		{"3.1.1", []string{`("foo"`}, nil},
		{"3.1.1", []string{`(("foo"))`}, nil},
		{"3.1.2", []string{"abc;a=1;b=2; cde_456, ghi"}, []Item{
			{Token("abc"), []Member{member("a", int64(1)), member("b", int64(2)), member("cde_456", true)}}, {Token("ghi"), nil},
		}},
		{"3.1.2", []string{"1; a; b=?0"}, []Item{{int64(1), []Member{member("a", true), member("b", false)}}}},
		{"3.1.2", []string{"1;a=1;b;a=2"}, []Item{{int64(1), []Member{member("a", int64(2)), member("b", true)}}}},
		{"3.1.2", []string{"1;A"}, nil},
		{"3.1.2", []string{"1;a=(1)"}, nil},
		{"3.1.2", []string{"1 ;a"}, nil},
		{"3.3.1", []string{"42, -42, 0042, 999999999999999"}, items(int64(42), int64(-42), int64(42), int64(999999999999999))},
		{"3.3.1", []string{"1000000000000000"}, nil},
		{"3.3.1", []string{"-"}, nil},
		{"3.3.1", []string{"--1"}, nil},
		{"3.3.2", []string{"4.5, -0.125"}, items(4.5, -0.125)},
		{"3.3.2", []string{"4."}, nil},
		{"3.3.2", []string{".4"}, nil},
		{"3.3.2", []string{"1.2345"}, nil},
		{"3.3.2", []string{"1234567890123.1"}, nil},
		{"3.3.3", []string{`"hello world", "a\"b\\c"`}, items("hello world", `a"b\c`)},
		{"3.3.3", []string{`"a`}, nil},
		{"3.3.3", []string{`"a\`}, nil},
		{"3.3.3", []string{`"\a"`}, nil},
		{"3.3.3", []string{"\"\x7f\""}, nil},
		{"3.3.3", []string{`"ü"`}, nil},
		{"3.3.4", []string{"foo123/456, *a:b"}, items(Token("foo123/456"), Token("*a:b"))},
		{"3.3.5", []string{":cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:"}, items([]byte("pretend this is binary content."))},
		{"3.3.5", []string{":cHJl"}, nil},
		{"3.3.5", []string{":!:"}, nil},
		{"3.3.6", []string{"?1, ?0"}, items(true, false)},
		{"3.3.6", []string{"?2"}, nil},
		{"3.3.7", []string{"@1659578233"}, nil},
	} {
		got, err := ParseList(tt.lines)
		if (err == nil) != (tt.want != nil) {
			t.Errorf("%s %q: %v, %v, want %v", tt.section, tt.lines, got, err, tt.want)
		} else if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); err == nil && diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", tt.section, tt.lines, diff)
		}
	}
}

func TestParseDictionary(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  []Member
	}{
		{[]string{`en="Applepie", da=:w4ZibGV0w6ZydGU=:`}, []Member{member("en", "Applepie"), member("da", []byte("Æbletærte"))}},
		{[]string{"a=?0, b, c; foo=bar"}, []Member{member("a", false), member("b", true), member("c", true, member("foo", Token("bar")))}},
		{[]string{"rating=1.5, feelings=(joy sadness)"}, []Member{member("rating", 1.5), member("feelings", items(Token("joy"), Token("sadness")))}},
		{[]string{"foo=1, bar=2", "foo=3"}, []Member{member("foo", int64(3)), member("bar", int64(2))}},
		{[]string{"max-age=60, no-store"}, []Member{member("max-age", int64(60)), member("no-store", true)}},
		{[]string{"*a._-1"}, []Member{member("*a._-1", true)}},
		{[]string{"Max-Age=60"}, nil},
		{[]string{"a=1, &"}, nil},
		{[]string{"a="}, nil},
		{[]string{"a=1,"}, nil},
		{[]string{"1a"}, nil},
	} {
		got, err := ParseDictionary(tt.lines)
		if (err == nil) != (tt.want != nil) {
			t.Errorf("%q: %v, %v, want %v", tt.lines, got, err, tt.want)
		} else if diff := cmp.Diff(tt.want, got); err == nil && diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.lines, diff)
		}
	}
}

// A list that is valid stays so in lines of its own, and next to another.
func FuzzStructured(f *testing.F) {
	for _, s := range []string{`a;b=1, "x", ?1`, "(1 2);a, :YQ==:", "-1.5", `"\"`, "a,", "a=(b c);d, e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := ParseList([]string{s})
		both, err2 := ParseList([]string{"first", s})
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: %v, after another line: %v", s, err, err2)
		}
		if err == nil {
			if len(both) != len(list)+1 {
				t.Fatalf("%q: %v, after another line: %v", s, list, both)
			}
			if diff := cmp.Diff(list, both[1:], cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("%q after another line (-alone +after):\n%s", s, diff)
			}
		}
		members, err := ParseDictionary([]string{s})
		seen := map[string]bool{}
		for _, m := range members {
			if err == nil && (seen[m.Key] || m.Key == "" || strings.ToLower(m.Key) != m.Key) {
				t.Fatalf("%q: %v", s, members)
			}
			seen[m.Key] = true
		}
	})
}
