package identity

import (
	"slices"
	"strings"
)

// secret are parts of the names of fields that carry credentials.
var secret = []string{
	"auth", "cookie", "key", "token", "secret", "session", "passw", "pwd", "credential", "signature", "jwt", "assertion", "bearer",
}

// personal are words in the names of fields that say on whose behalf a request is made.
var personal = []string{
	"user", "username", "userid", "account", "tenant", "tenantid", "org", "organization", "organisation", "workspace", "customer",
	"actor", "subject", "principal", "impersonate", "impersonation", "login", "email", "cert", "sid", "dn", "uid", "identity",
	"consumer", "member", "sudo", "behalf", "namespace", "otp", "pass", "pin", "ticket", "dpop", "sig", "hmac", "saml", "cred",
	"creds", "phpsessid",
}

// open are fields whose names look as if they were secret, or personal, and are not.
// The values of most change with each request.
var open = []string{
	"idempotency-key", "x-idempotency-key", "sec-websocket-key", "sec-websocket-key1", "sec-websocket-key2",
	"csrf-token", "x-csrf-token", "x-csrftoken", "xsrf-token", "x-xsrf-token",
	"user-agent", "x-user-agent", "x-amz-user-agent", "x-goog-api-client", "author", "authority", ":authority",
}

// Secret reports whether a header field carries a credential, by the parts of its
// name, in whatever case that is written.
func Secret(name string) bool {
	name = strings.ToLower(name)
	return !slices.Contains(open, name) && slices.ContainsFunc(secret, func(part string) bool { return strings.Contains(name, part) })
}

// Personal reports whether a header field says who makes a request: by a credential,
// or by a name.
func Personal(name string) bool {
	if Secret(name) {
		return true
	}
	name = strings.ToLower(name)
	if slices.Contains(open, name) {
		return false
	}
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '-' || r == '_' || r == '.' }) {
		if slices.Contains(personal, word) || slices.Contains(personal, strings.TrimSuffix(word, "id")) {
			return true
		}
	}
	return false
}
