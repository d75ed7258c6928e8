package recipes

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"connectrpc.com/connect"
	"github.com/belay-go/belay/breaker"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const procedure = "/shop.Prices/Watch"

// prices sends a few prices, and ends as the request says.
func prices(t *testing.T) *httptest.Server {
	mux := http.NewServeMux()
	mux.Handle(procedure, connect.NewServerStreamHandler(procedure,
		func(_ context.Context, req *connect.Request[wrapperspb.StringValue], s *connect.ServerStream[wrapperspb.StringValue]) error {
			for _, price := range []string{"1.20", "", strings.Repeat("9", 100_000)} {
				if err := s.Send(wrapperspb.String(price)); err != nil {
					return err
				}
			}
			for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
				if code.String() == req.Msg.GetValue() {
					return connect.NewError(code, errors.New("as told"))
				}
			}
			return nil
		}))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestStreamEnds(t *testing.T) {
	server := prices(t)
	failures := []string{"unknown", "deadline_exceeded", "internal", "unavailable", "data_loss"}
	for name, options := range map[string][]connect.ClientOption{
		"connect":              nil,
		"gRPC-web":             {connect.WithGRPCWeb()},
		"connect without gzip": {connect.WithAcceptCompression("gzip", nil, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range append([]string{"", "not_found", "resource_exhausted"}, failures...) {
				b := breaker.New(breaker.Config{AllFailed: 1})
				httpClient := &http.Client{Transport: &breaker.Transport{Breaker: b, Base: &StreamEnds{Base: http.DefaultTransport}}}
				client := connect.NewClient[wrapperspb.StringValue, wrapperspb.StringValue](httpClient, server.URL+procedure, options...)
				stream, err := client.CallServerStream(ctx, connect.NewRequest(wrapperspb.String(end)))
				if err != nil {
					t.Fatal(err)
				}
				n := 0
				for stream.Receive() {
					n++
				}
				var code string
				if err := stream.Err(); err != nil {
					code = connect.CodeOf(err).String()
				}
				if n != 3 || code != end {
					t.Errorf("%q: %d messages, the client's code is %q", end, n, code)
				}
				stream.Close()
				want := breaker.Closed
				for _, f := range failures {
					if f == end {
						want = breaker.Open
					}
				}
				if got := b.State(); got != want {
					t.Errorf("after the end %q the breaker is %v, want %v", end, got, want)
				}
			}
		})
	}
}

// Frames may come in any pieces, and end in the middle.
func TestStreamIsFollowedInAnyPieces(t *testing.T) {
	body := "\x00\x00\x00\x00\x03abc" + "\x00\x00\x00\x00\x00" + "\x80\x00\x00\x00\x0fgrpc-status:14\n"
	for _, pieces := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader, func(r io.Reader) io.Reader { return r }} {
		for n := range len(body) + 1 {
			s := &stream{ReadCloser: io.NopCloser(pieces(strings.NewReader(body[:n]))), last: 0x80, code: webCode}
			got, err := io.ReadAll(s)
			if string(got) != body[:n] {
				t.Errorf("%d bytes: it reads %q", n, got)
			}
			_, failed := errors.AsType[*StreamError](err)
			if failed != (n == len(body)) {
				t.Errorf("%d of %d bytes: %v", n, len(body), err)
			}
		}
	}
}
