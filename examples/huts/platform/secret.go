// Redaction: what must not be seen cannot be printed by accident. Not worth it for what
// is no secret: a log that hides everything shows nothing.

package platform

// A Secret is a text that logs, errors and JSON do not show. Reveal does.
type Secret struct{ s *string } // a pointer: fmt asks no method where a field is unexported

// NewSecret returns the secret s.
func NewSecret(s string) Secret { return Secret{&s} }

// Reveal returns the secret, to be sent to whom it is for.
func (s Secret) Reveal() string {
	if s.s == nil {
		return ""
	}
	return *s.s
}

const hidden = "(hidden)"

func (Secret) String() string               { return hidden }
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
