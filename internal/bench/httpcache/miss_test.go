package httpcache_test

import (
	"io"
	"testing"
)

func miss(b *testing.B) {
	b.Run("belay", func(b *testing.B) {
		o := &origin{kind: plain}
		rt := belay(o)
		mustHit(b, o, rt, "Cache-Status")
		req, buf, n := request(b, plain), make([]byte, 4096), 0
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
		o := &origin{kind: plain}
		rt := gregjones(o)
		mustHit(b, o, rt, "X-From-Cache")
		req, buf, n := request(b, plain), make([]byte, 4096), 0
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
		rt := &origin{kind: plain}
		req, buf, n := request(b, plain), make([]byte, 4096), 0
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
