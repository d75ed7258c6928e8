package gateway_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/belay-go/belay/gateway"
)

// A stale answer does not look like any other success, neither to the caller nor to
// who observes.
func TestCacheStatus(t *testing.T) {
	for _, tt := range []struct {
		lines []string
		want  gateway.CacheStatus
	}{
		{nil, gateway.Uncached},
		{[]string{"belay; hit; ttl=30"}, gateway.Hit},
		{[]string{"belay; hit"}, gateway.Hit},
		{[]string{"belay; hit; ttl=-1"}, gateway.Stale},
		{[]string{"belay; hit; ttl=-3000; detail=stale-if-error"}, gateway.Stale},
		{[]string{`belay; hit; detail="stale-while-revalidate"`}, gateway.Stale},
		{[]string{"belay; fwd=stale; fwd-status=304; ttl=60; stored"}, gateway.Validated},
		{[]string{"belay; fwd=stale; fwd-status=200; stored"}, gateway.Miss},
		{[]string{"belay; fwd=uri-miss; stored; collapsed"}, gateway.Miss},
		{[]string{"cdn; hit; ttl=5", "belay; fwd=uri-miss"}, gateway.Miss},
		{[]string{"cdn; fwd=miss, belay; hit; ttl=-5"}, gateway.Stale},
		{[]string{"belay"}, gateway.Uncached},
		{[]string{"; ; hit"}, gateway.Uncached},
		{[]string{"belay; hit=maybe"}, gateway.Uncached},
	} {
		for _, status := range []int{200, 404} {
			var seen []gateway.CacheStatus
			fields := []string{asJSON}
			for _, line := range tt.lines {
				fields = append(fields, "Cache-Status: "+line)
			}
			g := mustNew(t, gateway.Config{Transport: reply(status, "1", fields...), Observe: func(_ context.Context, e gateway.Event) { seen = append(seen, e.Cache) }})
			r, err := gateway.NewEndpoint[gateway.None, int](g, "GET /x", gateway.EndpointConfig{}).CallResponse(t.Context(), none)
			if len(seen) != 1 || seen[0] != tt.want || err == nil && r.Cache() != tt.want {
				t.Errorf("%q with %d: seen %v, response %v, want %v (%v)", tt.lines, status, seen, r.Cache(), tt.want, err)
			}
		}
	}
}

// The 504 of a cache that was not to ask anybody is a refusal of this process.
func TestOnlyIfCachedIsARefusal(t *testing.T) {
	for _, tt := range []struct {
		status int
		field  string
		kind   gateway.ErrorKind
	}{
		{504, "Cache-Status: belay; detail=only-if-cached", gateway.Refused},
		{504, `Cache-Status: "my cache"; detail="only-if-cached"`, gateway.Refused},
		{504, "Cache-Status: belay; fwd=uri-miss", gateway.BadStatus},
		{504, "X-None: 1", gateway.BadStatus},
		{404, "Cache-Status: belay; detail=only-if-cached", gateway.BadStatus},
	} {
		_, err := get[int](t, gateway.Config{Transport: reply(tt.status, "", tt.field)}, gateway.EndpointConfig{})
		e := asError(t, err, tt.kind)
		refused := tt.kind == gateway.Refused
		if e.Rejected() != refused || e.Sent == refused || refused && (e.Retryable() || !strings.Contains(err.Error(), "only-if-cached")) {
			t.Errorf("%s: %v is rejected: %t, sent: %t, retryable: %t", tt.field, err, e.Rejected(), e.Sent, e.Retryable())
		}
	}
}

// A layer above a Gateway does not repeat what cannot be sent, or what nobody was to be
// asked about.
func TestInvalidRequestsAreFinal(t *testing.T) {
	_, _, err := sent(t, "DELETE /users/{name}", "..", gateway.EndpointConfig{})
	if e := asError(t, err, gateway.InvalidRequest); !e.Rejected() || e.Retryable() || e.RetryAfter() != 0 || e.Timeout() || e.HTTPStatusCode() != 0 {
		t.Errorf("%v is rejected: %t, retryable: %t", e, e.Rejected(), e.Retryable())
	}
	for _, auth := range []gateway.Auth{gateway.APIKey("X-Key", ""), gateway.APIKey("X Key", "k"), gateway.APIKey("X-Key", "k\n")} {
		_, err := get[int](t, gateway.Config{Auth: wrapped{auth}, Transport: reply(200, "1", asJSON)}, gateway.EndpointConfig{})
		if e := asError(t, err, gateway.NoCredentials); !e.Rejected() || e.Retryable() {
			t.Errorf("%v is rejected: %t, retryable: %t", e, e.Rejected(), e.Retryable())
		}
	}
	// What a token server refuses or fails to do is another matter.
	for _, tt := range []struct {
		err                 error
		rejected, retryable bool
	}{{errX, false, true}, {refusal{errX}, true, false}, {elsewhere{refusal{errX}}, true, true}, {final{errX}, false, false}} {
		_, err := get[int](t, gateway.Config{Auth: failingAuth{tt.err}, Transport: reply(200, "1", asJSON)}, gateway.EndpointConfig{})
		if e := asError(t, err, gateway.NoCredentials); e.Rejected() != tt.rejected || e.Retryable() != tt.retryable {
			t.Errorf("%T: rejected %t, retryable %t", tt.err, e.Rejected(), e.Retryable())
		}
	}
}

// wrapped is an Auth of the caller's.
type wrapped struct{ gateway.Auth }

type failingAuth struct{ error }

func (a failingAuth) Apply(context.Context, *http.Request) error { return a.error }
func (failingAuth) Identity(context.Context) string              { return "me" }
