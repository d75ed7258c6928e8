package httpcache_test

import (
	"io"
	"testing"
)

func miss(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		o := new(origin)
		rt := belay(o)
		mustHit(b, o, rt, "Cache-Status")
		req, buf, n := request(b), make([]byte, 4096), 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			resp, err := rt.RoundTrip(fresh(req, n))
			for err == nil {
				_, err = resp.Body.Read(buf)
			}
			if err != io.EOF {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("gregjones", func(b *testing.B) {
		o := new(origin)
		rt := gregjones(o)
		mustHit(b, o, rt, "X-From-Cache")
		req, buf, n := request(b), make([]byte, 4096), 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			resp, err := rt.RoundTrip(fresh(req, n))
			for err == nil {
				_, err = resp.Body.Read(buf)
			}
			if err != io.EOF {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
	b.Run("floor", func(b *testing.B) {
		rt := new(origin)
		req, buf, n := request(b), make([]byte, 4096), 0
		b.ReportAllocs()
		for b.Loop() {
			n++
			resp, err := rt.RoundTrip(fresh(req, n))
			for err == nil {
				_, err = resp.Body.Read(buf)
			}
			if err != io.EOF {
				b.Fatal(err)
			}
			resp.Body.Close()
		}
	})
}
