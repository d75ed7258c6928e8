package gateway

import "reflect"

// checker is a value that knows whether the response that it was decoded from is
// one of success.
type checker interface{ CheckResponse() error }

// checkOf returns what calls the CheckResponse of a value of type t, given a pointer
// to it, or nil if there is none. It looks at each pointer on the way to the value.
func checkOf(t reflect.Type) func(out any) error {
	checkerType := reflect.TypeFor[checker]()
	for depth := 0; ; depth++ {
		if p := reflect.PointerTo(t); p.Implements(checkerType) {
			if depth == 0 {
				return func(out any) error { return out.(checker).CheckResponse() }
			}
			return func(out any) error { return checkBehind(reflect.ValueOf(out), depth) }
		}
		if t.Kind() != reflect.Pointer {
			return nil
		}
		t = t.Elem()
	}
}

// checkBehind calls the CheckResponse of what is behind depth pointers, if none is nil.
func checkBehind(v reflect.Value, depth int) error {
	for range depth {
		if v = v.Elem(); v.IsNil() {
			return nil
		}
	}
	c, _ := reflect.TypeAssert[checker](v)
	return c.CheckResponse()
}
