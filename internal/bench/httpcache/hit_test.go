package httpcache_test

import (
	"io"
	"net/http"
	"testing"
)

func hit(b *testing.B, k kind) {
	b.Run("belay", func(b *testing.B) {
		o := &origin{kind: k}
		rt := belay(o)
		mustHit(b, o, rt, "Cache-Status")
		req, buf := request(b, k), make([]byte, 4096)
		b.ReportAllocs()
		for b.Loop() {
			resp, err := rt.RoundTrip(req)
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
		o := &origin{kind: k}
		rt := gregjones(o)
		mustHit(b, o, rt, "X-From-Cache")
		req, buf := request(b, k), make([]byte, 4096)
		b.ReportAllocs()
		for b.Loop() {
			resp, err := rt.RoundTrip(req)
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
		o := &origin{kind: k}
		stored, _ := o.RoundTrip(request(b, k))
		rt := &floor{stored}
		mustHit(b, o, rt, "Age")
		req, buf := request(b, k), make([]byte, 4096)
		b.ReportAllocs()
		for b.Loop() {
			resp, err := rt.RoundTrip(req)
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

func hitParallel(b *testing.B) {
	for name, wrap := range map[string]func(http.RoundTripper) http.RoundTripper{"belay": belay, "gregjones": gregjones} {
		b.Run(name, func(b *testing.B) {
			o := &origin{kind: plain}
			rt := wrap(o)
			mustHit(b, o, rt, "Etag")
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				req, buf := request(b, plain), make([]byte, 4096)
				for pb.Next() {
					resp, err := rt.RoundTrip(req)
					for err == nil {
						_, err = resp.Body.Read(buf)
					}
					if err != io.EOF {
						b.Error(err)
						return
					}
					resp.Body.Close()
				}
			})
		})
	}
}
