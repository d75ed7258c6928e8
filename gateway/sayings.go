package gateway

import (
	"encoding/binary"
	"hash/maphash"
	"maps"
	"math"
	"reflect"
)

// sayings finds out whether a sequence of requests repeats itself, by Brent's
// algorithm: it keeps the hash of one request, for twice as many steps each time.
type sayings struct {
	seed       maphash.Seed
	kept       uint64
	age, power int // steps since kept was taken, and how many it is kept
}

func newSayings() *sayings { return &sayings{seed: maphash.MakeSeed()} }

// again reports whether req says what the one that is kept has said.
func (s *sayings) again(req any) bool {
	hash, certain := said(s.seed, reflect.ValueOf(req))
	if !certain {
		return false
	}
	if s.power > 0 && hash == s.kept {
		return true
	}
	if s.age++; s.age >= s.power {
		s.kept, s.age, s.power = hash, 0, max(1, 2*s.power)
	}
	return false
}

// said returns a hash of what v says: of its values, whatever memory they are in. It
// is not certain if the content of something in v cannot be known. That includes memory
// behind unexported fields, which may belong to anybody.
func said(seed maphash.Seed, v reflect.Value) (hash uint64, certain bool) {
	s := sayer{certain: true, met: map[place]int{}}
	s.SetSeed(seed)
	s.value(v)
	return s.Sum64(), s.certain
}

type sayer struct {
	maphash.Hash
	certain bool
	met     map[place]int // pointers, and how many had been met before
}

// place is memory that a pointer, map or slice refers to.
type place struct {
	at  uintptr
	len int
	of  reflect.Type
}

func (s *sayer) number(n uint64) {
	s.Write(binary.LittleEndian.AppendUint64(nil, n))
}

func (s *sayer) text(t string) {
	s.number(uint64(len(t)))
	s.WriteString(t)
}

func (s *sayer) value(v reflect.Value) {
	switch {
	case !s.certain:
		return
	case !v.IsValid() || isNil(v):
		s.number(0)
		return
	}
	t := v.Type()
	switch {
	case t.Implements(readerType):
		s.certain = false
		return
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface || t.Kind() == reflect.Map:
		if !v.CanInterface() {
			s.certain = false
			return
		}
	}
	if t.Kind() == reflect.Struct && t.Implements(textMarshalerType) && v.CanInterface() && !hasExported(t) {
		text, err := encodeText(nil, v)
		s.certain = err == nil
		s.text(string(text))
		return
	}
	switch t.Kind() {
	case reflect.Bool:
		if v.Bool() {
			s.number(1)
		} else {
			s.number(0)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		s.number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		s.number(v.Uint())
	case reflect.Float32, reflect.Float64:
		s.number(math.Float64bits(v.Float()))
	case reflect.Complex64, reflect.Complex128:
		s.number(math.Float64bits(real(v.Complex())))
		s.number(math.Float64bits(imag(v.Complex())))
	case reflect.String:
		s.text(v.String())
	case reflect.Struct:
		for i := range t.NumField() {
			s.value(v.Field(i))
		}
	case reflect.Array:
		s.elements(v)
	case reflect.Interface:
		s.text(v.Elem().Type().String())
		s.value(v.Elem())
	case reflect.Pointer:
		if s.refer(v, 1) {
			s.value(v.Elem())
		}
	case reflect.Slice:
		s.number(uint64(v.Len()))
		if t.Elem().Kind() == reflect.Uint8 {
			s.Write(v.Bytes())
		} else if v.Len() > 0 && s.refer(v, v.Len()) {
			s.elements(v)
		}
	case reflect.Map:
		s.number(uint64(v.Len()))
		if !v.IsNil() && s.refer(v, 1) {
			s.entries(v)
		}
	default: // functions, channels
		s.certain = s.certain && v.IsZero()
	}
}

// hasExported reports whether a struct has exported fields. One that has none, such as
// a time.Time, says by its text what it says.
func hasExported(t reflect.Type) bool {
	for f := range t.Fields() {
		if f.IsExported() {
			return true
		}
	}
	return false
}

func (s *sayer) elements(v reflect.Value) {
	for i := range v.Len() {
		s.value(v.Index(i))
	}
}

// entries adds up the hashes of the entries of a map, which have no order.
func (s *sayer) entries(v reflect.Value) {
	sum := uint64(0)
	for entries := v.MapRange(); entries.Next(); {
		e := sayer{certain: true, met: s.met}
		e.SetSeed(s.Seed())
		n := len(s.met)
		e.value(entries.Key())
		e.value(entries.Value())
		if len(s.met) > n { // so that no entry depends on another
			maps.DeleteFunc(s.met, func(_ place, i int) bool { return i >= n })
		}
		sum += e.Sum64()
		s.certain = s.certain && e.certain
	}
	s.number(sum)
}

// refer reports whether what v refers to is met for the first time. Otherwise, as in a
// ring, it says which one it is.
func (s *sayer) refer(v reflect.Value, n int) (first bool) {
	p := place{v.Pointer(), n, v.Type()}
	i, met := s.met[p]
	if !met {
		i = len(s.met)
		s.met[p] = i
	}
	s.number(uint64(i) + 1)
	return !met
}
