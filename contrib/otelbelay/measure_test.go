package otelbelay

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Each metric is the field of its object's Stats that it is named after.
func TestMeasuresReadTheirFields(t *testing.T) {
	check(t, breakerMeasures, nil)
	check(t, setMeasures, nil)
	check(t, retryMeasures, nil)
	check(t, budgetMeasures, nil)
	check(t, hedgeMeasures, nil)
	check(t, limiterMeasures, nil)
	check(t, keyedMeasures, nil)
	check(t, sharedMeasures, nil)
	check(t, bulkheadMeasures, nil)
	check(t, balancerMeasures, map[string]string{"SourceFailing": "Err"})
	check(t, endpointMeasures, nil)
	check(t, gatewayMeasures, nil)
	check(t, cacheMeasures, map[string]string{"Size": "Bytes", "Hit": "Hits", "Miss": "Misses"})
	check(t, facadeMeasures, nil)
	check(t, partMeasures, map[string]string{"Ok": "OK"})
}

func check[S any](t *testing.T, all []measure[S], others map[string]string) {
	t.Helper()
	var stats S
	v := reflect.ValueOf(&stats).Elem()
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	want := map[string]float64{} // by field
	for i := range v.NumField() {
		f, n := v.Field(i), int64(i+1)*1000
		want[v.Type().Field(i).Name] = float64(n)
		switch f.Interface().(type) {
		case time.Duration:
			f.SetInt(n * int64(time.Second))
		case bool:
			f.SetBool(true)
			want[v.Type().Field(i).Name] = 1
		default:
			switch {
			case f.Kind() == reflect.Interface:
				f.Set(reflect.ValueOf(errors.New("")))
				want[v.Type().Field(i).Name] = 1
			case f.Kind() == reflect.Uint64:
				f.SetUint(uint64(n))
			case f.CanInt():
				f.SetInt(n)
			case f.CanFloat():
				f.SetFloat(float64(n))
			}
		}
	}
	for _, m := range all {
		if m.by == stateKey {
			continue
		}
		m.read(stats, func(by string, got float64) {
			name := m.name[strings.LastIndex(m.name, ".")+1:]
			if by != "" {
				name = by
			}
			field := ""
			for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '_' || r == ' ' }) {
				field += strings.ToUpper(word[:1]) + word[1:]
			}
			if other, ok := others[field]; ok {
				field = other
			}
			if n, ok := want[field]; !ok || n != got {
				t.Errorf("%s %s is %v, and %T.%s %v", m.name, by, got, stats, field, n)
			}
		})
	}
}
