package retry

import (
	"fmt"
	"net"
	"testing"
)

// alert has the shape of crypto/tls's.
type alert uint8

func (a alert) Error() string { return fmt.Sprint("alert ", uint8(a)) }

// A server's alert is final if it is about what the client has to offer (the names are
// those of RFC 8446, section 6), and not if it is about this connection.
func TestAlertsThatComeAgain(t *testing.T) {
	for a, want := range map[alert]bool{
		0:   false, // close_notify
		10:  false, // unexpected_message
		20:  false, // bad_record_mac
		22:  false, // record_overflow
		40:  true,  // handshake_failure
		42:  true,  // bad_certificate
		45:  true,  // certificate_expired
		51:  true,  // decrypt_error
		70:  true,  // protocol_version
		71:  true,  // insufficient_security
		80:  false, // internal_error
		90:  false, // user_canceled
		110: true,  // unsupported_extension
		112: true,  // unrecognized_name
		116: true,  // certificate_required
		120: true,  // no_application_protocol
	} {
		if got := hopeless(&net.OpError{Op: "remote error", Err: a}); got != want {
			t.Errorf("%v from the server: hopeless is %v", a, got)
		}
		if hopeless(&net.OpError{Op: "local error", Err: a}) {
			t.Errorf("%v of our own is hopeless", a)
		}
	}
}
