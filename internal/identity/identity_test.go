package identity_test

import (
	"context"
	"testing"

	"github.com/belay-go/belay/internal/identity"
)

func TestFrom(t *testing.T) {
	if id := identity.From(t.Context()); id != (identity.Identity{}) {
		t.Errorf("a context without one has %+v", id)
	}
	want := identity.Identity{Name: "ada", Granted: "Bearer 1"}
	ctx := context.WithValue(t.Context(), identity.Key{}, &want)
	if id := identity.From(ctx); id != want {
		t.Errorf("it is %+v, want %+v", id, want)
	}
	if id := identity.From(context.WithValue(ctx, identity.Key{}, (*identity.Identity)(nil))); id != (identity.Identity{}) {
		t.Errorf("a nil one is %+v", id)
	}
}

func TestNames(t *testing.T) {
	for _, tt := range []struct {
		secret, personal bool
		names            []string
	}{
		{true, true, []string{
			"Authorization", "authorization", "AUTHORIZATION", "Proxy-Authorization", "Cookie", "cookie", "X-Api-Key", "x-api-key", "Api-Key",
			"Private-Token", "PRIVATE-TOKEN", "Job-Token", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key", "X-Vault-Token", "X-Access-Token",
			"X-Shopify-Access-Token", "Dd-Api-Key", "Dd-Application-Key", "X-Session-Id", "X-Auth-Key", "X-Auth-Email", "X-Auth-Token",
			"X-Amz-Security-Token", "X-Hub-Signature-256", "X-Password", "X-Credential", "Cf-Access-Jwt-Assertion", "Grpc-Metadata-Authorization",
			"apikey", "sessionid", "X_AUTH_TOKEN",
		}},
		{false, true, []string{
			"X-Forwarded-User", "Remote-User", "Stripe-Account", "X-Org-Id", "x-tenant-id", "X-Customer-Id", "Impersonate-User",
			"X-Scope-OrgID", "X-AccountID", "X-Otp", "DPoP", "X-Sig", "X-Uid", "Sudo", "X-On-Behalf-Of", "X-Vault-Namespace", "X-Ms-Client-Principal", "X-Client-Cert", "X-Forwarded-Email", "x_user_id",
		}},
		{false, false, []string{
			"Idempotency-Key", "idempotency-key", "Sec-WebSocket-Key", "Sec-Websocket-Key", "X-Csrf-Token", "X-CSRF-Token", "X-CSRFToken", "X-Xsrf-Token",
			"User-Agent", "user-agent", "Accept", "Accept-Language", "Cache-Control", "Content-Type", "If-None-Match", "Range", "Referer", "Origin",
			"Traceparent", "Baggage", "X-Request-Id", "X-Correlation-Id", "X-Forwarded-For", "X-Forwarded-Proto", "Dnt", "Te", "Sec-Fetch-Site",
			"X-Page", "Superuser-Friendly", "Organic", "",
		}},
	} {
		for _, name := range tt.names {
			if got := identity.Secret(name); got != tt.secret {
				t.Errorf("Secret(%q) = %t", name, got)
			}
			if got := identity.Personal(name); got != tt.personal {
				t.Errorf("Personal(%q) = %t", name, got)
			}
		}
	}
}
