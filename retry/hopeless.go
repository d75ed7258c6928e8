package retry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/textproto"
	"reflect"
	"strings"
)

// hopeless reports whether err, of a net/http Transport, would only come again.
func hopeless(err error) bool {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.IsNotFound
	}
	if s, ok := errors.AsType[streamError](err); ok && s.Cause != nil && hopelessText(s.Cause.Error()) {
		return true
	}
	return walk(err, func(err error) bool {
		switch e := err.(type) {
		case *tls.CertificateVerificationError, x509.UnknownAuthorityError, x509.HostnameError,
			x509.CertificateInvalidError: // the certificate
			return true
		//lint:ignore SA1019 net/http still returns it
		case tls.RecordHeaderError, textproto.ProtocolError, *http.ProtocolError: // another protocol
			return true
		case *net.AddrError, *net.ParseError, net.UnknownNetworkError: // the address
			return true
		case *net.OpError:
			return e.Op == "remote error" && finalAlert(e.Err)
		}
		return hopelessText(err.Error())
	})
}

// finalAlert reports whether a server's TLS alert (RFC 8446, section 6.2) is about
// what the client has to offer. crypto/tls does not export its type.
func finalAlert(err error) bool {
	v := reflect.ValueOf(err)
	if v.Kind() != reflect.Uint8 {
		return false
	}
	switch n := v.Uint(); n {
	case 40, // handshake_failure
		70, 71, // protocol_version, insufficient_security
		86,                      // inappropriate_fallback
		112, 113, 115, 116, 120: // unrecognized_name ... certificate_required, no_application_protocol
		return true
	default:
		return n >= 42 && n <= 51 || n >= 109 && n <= 110 // certificates and parameters, extensions
	}
}

// texts are how the errors begin for which net/http has no values.
var texts = []string{
	"http: nil Request.",
	"http: no Host in request URL",
	"http: Request.ContentLength=",
	"http: ContentLength=",
	"http2: request body larger than specified content length",
	"net/http: invalid header",
	"net/http: invalid trailer",
	"net/http: invalid method",
	"unsupported protocol scheme",
	"malformed HTTP ",
	"malformed response from server: ",
	"net/http: server response headers exceeded",
	"http2: response header list larger than",
}

// hopelessText reports whether an error with this text would only come again. What a
// proxy answers to CONNECT is an error that is no more than the text of its status.
func hopelessText(text string) bool {
	for _, t := range texts {
		if strings.HasPrefix(text, t) {
			return true
		}
	}
	for code := 400; code < 500; code++ {
		if text == http.StatusText(code) && text != "" {
			return !retryStatus(code)
		}
	}
	return false
}
