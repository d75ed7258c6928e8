package platform

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/examples/huts/app"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
)

// key returns a pair that is the same in each run.
func key(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func public(k ed25519.PrivateKey) ed25519.PublicKey { return k.Public().(ed25519.PublicKey) }

func sign(t *testing.T, m jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(m, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// claims returns what a good token says, changed.
func claims(change ...any) jwt.MapClaims {
	c := jwt.MapClaims{"sub": "ann", "aud": "huts", "exp": time.Now().Add(time.Hour).Unix()}
	for i := 0; i < len(change); i += 2 {
		c[change[i].(string)] = change[i+1]
	}
	return c
}

// TestVerify: a token proves who somebody is only if it is whole, signed by the issuer in
// the issuer's way, for this service, and not over.
func TestVerify(t *testing.T) {
	ours, other := key(1), key(2)
	v := NewVerifier(public(ours))
	eddsa := jwt.SigningMethodEdDSA
	good := sign(t, eddsa, ours, claims())
	for name, token := range map[string]string{"guest": good, "one of several audiences": sign(t, eddsa, ours, claims("aud", []string{"mail", "huts"}))} {
		if p, err := v.Verify(token); err != nil || p != (app.Person{Name: "ann"}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := v.Verify(sign(t, eddsa, ours, claims("hut", "etzli"))); err != nil || p != (app.Person{Name: "ann", Warden: "etzli"}) {
		t.Errorf("warden: %+v, %v", p, err)
	}
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	_, bob, _ := strings.Cut(sign(t, eddsa, other, claims("sub", "bob")), ".")
	bob, _, _ = strings.Cut(bob, ".")
	for name, token := range map[string]string{
		"expired":              sign(t, eddsa, ours, claims("exp", time.Now().Add(-time.Second).Unix())),
		"without an end":       sign(t, eddsa, ours, jwt.MapClaims{"sub": "ann", "aud": "huts"}),
		"not yet":              sign(t, eddsa, ours, claims("nbf", time.Now().Add(time.Minute).Unix())),
		"for another service":  sign(t, eddsa, ours, claims("aud", "bakery")),
		"for nobody":           sign(t, eddsa, ours, claims("aud", "")),
		"about nobody":         sign(t, eddsa, ours, claims("sub", "")),
		"of another issuer":    sign(t, eddsa, other, claims()),
		"not signed":           sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims()),
		"the key as password":  sign(t, jwt.SigningMethodHS256, []byte(public(ours)), claims()),
		"another's claims":     head + "." + bob + "." + signature,
		"no signature":         head + "." + body + ".",
		"two parts":            head + "." + body,
		"hut that is a number": sign(t, eddsa, ours, claims("hut", 7)),
		"nothing":              "",
		"noise":                "..",
	} {
		if p, err := v.Verify(token); err != ErrToken || p != (app.Person{}) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// TestGuard: the handler learns who asks from a token and from nothing else; what is
// refused does not reach it; every answer has the fields that protect a browser.
func TestGuard(t *testing.T) {
	ours := key(1)
	var asked string
	h := NewGuard(NewVerifier(public(ours))).Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, ok := Who(r.Context())
		asked = fmt.Sprint(p.Name, " ", ok)
		if _, err := io.ReadAll(r.Body); err != nil {
			asked += " too long"
		}
		if _, ok := r.Context().Deadline(); !ok {
			t.Error("the handler has all the time in the world")
		}
	}))
	for _, s := range []struct {
		authorization, body string
		status              int
		asked               string
	}{
		{"", "", 200, " false"},
		{"Basic YW5uOmFubg==", "", 200, " false"},
		{"Bearer " + sign(t, jwt.SigningMethodEdDSA, ours, claims()), "", 200, "ann true"},
		{"bearer  " + sign(t, jwt.SigningMethodEdDSA, ours, claims()), strings.Repeat("x", maxBody), 200, "ann true"},
		{"", strings.Repeat("x", maxBody+1), 200, " false too long"},
		{"Bearer " + sign(t, jwt.SigningMethodEdDSA, key(2), claims()), "", 401, ""},
	} {
		asked = ""
		r := httptest.NewRequest("POST", "/", strings.NewReader(s.body))
		if s.authorization != "" {
			r.Header.Set("Authorization", s.authorization)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != s.status || asked != s.asked {
			t.Errorf("%.20q: %d, asked by %q, want %d, %q", s.authorization, w.Code, asked, s.status, s.asked)
		}
		for _, field := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Strict-Transport-Security", "Cross-Origin-Resource-Policy"} {
			if w.Header().Get(field) == "" {
				t.Errorf("%.20q: the answer lacks %s", s.authorization, field)
			}
		}
		if s.status == 401 && w.Header().Get("WWW-Authenticate") == "" {
			t.Error("401 without WWW-Authenticate")
		}
	}
}

// TestPerUserLimits: who asks too much is refused, with the time when he may come again,
// and takes nothing from others; who is nobody counts by his address.
func TestPerUserLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours := key(1)
		h := NewGuard(NewVerifier(public(ours))).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		ask := func(name, addr string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = addr + ":1"
			if name != "" {
				r.Header.Set("Authorization", "Bearer "+sign(t, jwt.SigningMethodEdDSA, ours, claims("sub", name)))
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		burst := func(name, addr string) (n int) {
			for ask(name, addr).Code == 200 {
				n++
			}
			return n
		}
		if n := burst("ann", "192.0.2.1"); n != 100 {
			t.Errorf("ann was answered %d times at once", n)
		}
		w := ask("ann", "192.0.2.2") // another address does not help
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if w := ask("bob", "192.0.2.1"); w.Code != 200 {
			t.Errorf("bob is refused because of ann: %d", w.Code)
		}
		if n := burst("", "192.0.2.1"); n != 500 {
			t.Errorf("nobody was answered %d times at once", n)
		}
		if w := ask("", "192.0.2.2"); w.Code != 200 {
			t.Errorf("another address: %d", w.Code)
		}
		time.Sleep(time.Second)
		if n := burst("ann", "192.0.2.1"); n != 20 {
			t.Errorf("a second later, ann was answered %d times", n)
		}
	})
}

// TestSlowClient: who opens a connection and then takes his time is cut off.
func TestSlowClient(t *testing.T) {
	for name, sends := range map[string]string{
		"header": "GET / HTTP/1.1\r\nHost: huts\r\n",
		"body":   "POST / HTTP/1.1\r\nHost: huts\r\nContent-Length: 10\r\n\r\nfour",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				l := &one{conn: make(chan net.Conn, 1)}
				l.conn <- server
				s := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.ReadAll(r.Body) }))
				s.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
				go s.Serve(l)
				defer s.Close()
				begin := time.Now()
				io.WriteString(client, sends)
				bufio.NewReader(client).WriteTo(io.Discard) // until the server hangs up
				if d := time.Since(begin); d > 16*time.Second {
					t.Errorf("held up for %v", d)
				}
			})
		})
	}
}

// one is a listener for one connection.
type one struct{ conn chan net.Conn }

func (l *one) Accept() (net.Conn, error) {
	if c, ok := <-l.conn; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l *one) Close() error   { close(l.conn); return nil }
func (l *one) Addr() net.Addr { return &net.UnixAddr{} }

// TestLocal: what is for the machine itself is not for others, nor for their pages in a
// browser on this machine.
func TestLocal(t *testing.T) {
	for _, s := range []struct {
		name, from, host string
		header           map[string]string
		want, open       int
	}{
		{"curl", "127.0.0.1:1", "127.0.0.1:8080", nil, 200, 200},
		{"IPv6", "[::1]:1", "[::1]:8080", nil, 200, 200},
		{"our page", "127.0.0.1:1", "localhost:8080", map[string]string{"Sec-Fetch-Site": "same-origin"}, 200, 200},
		{"another machine", "192.0.2.1:1", "huts.example:8080", nil, 403, 200},
		{"a name that points here", "127.0.0.1:1", "evil.example", map[string]string{"Sec-Fetch-Site": "same-origin"}, 403, 200},
		{"another's page", "127.0.0.1:1", "127.0.0.1:8080", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403, 403},
		{"another's page, old browser", "127.0.0.1:1", "127.0.0.1:8080", map[string]string{"Origin": "http://evil.example"}, 403, 403},
	} {
		for _, open := range []bool{false, true} {
			want := s.want
			if open {
				want = s.open
			}
			r := httptest.NewRequest("POST", "/", nil)
			r.RemoteAddr, r.Host = s.from, s.host
			for k, v := range s.header {
				r.Header.Set(k, v)
			}
			w := httptest.NewRecorder()
			Local(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), open).ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s, open %t: %d, want %d", s.name, open, w.Code, want)
			}
		}
	}
}

// TestSecretIsHidden in whatever way it is printed.
func TestSecretIsHidden(t *testing.T) {
	c := struct {
		Name  string
		Token Secret
		Next  *Secret
		inner Secret
	}{"payment", NewSecret("s3cret"), new(NewSecret("s3cret")), NewSecret("s3cret")}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("start", "config", c, "token", c.Token)
	slog.New(slog.NewTextHandler(&log, nil)).Info("start", "config", c, "token", c.Token)
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{log.String(), string(data), fmt.Sprintf("%v %+v %#v %s %q", c, c, c, c.Token, c.Token), fmt.Sprint(fmt.Errorf("config: %v", c))} {
		if strings.Contains(s, "s3cret") || !strings.Contains(s, hidden) {
			t.Error(s)
		}
	}
	if c.Token.Reveal() != "s3cret" {
		t.Error("and cannot be used")
	}
}

// TestForward: one service asks the next for the person who asks it.
func TestForward(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	ctx := With(context.Background(), app.Person{Name: "ann"}, "t1")
	if err := (Forward{}).Apply(ctx, r); err != nil {
		t.Fatal(err)
	}
	got := []string{r.Header.Get("Authorization"), Forward{}.Identity(ctx), Forward{}.Identity(context.Background())}
	if diff := cmp.Diff([]string{"Bearer t1", "ann", ""}, got); diff != "" {
		t.Error(diff)
	}
}
