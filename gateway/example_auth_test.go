package gateway_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/gatewaytest"
)

// tokenSource has the shape of oauth2.TokenSource of golang.org/x/oauth2.
type tokenSource interface {
	Token() (*oauthToken, error)
}

type oauthToken struct {
	AccessToken string
	Expiry      time.Time
}

type clientCredentials struct{}

func (clientCredentials) Token() (*oauthToken, error) {
	return &oauthToken{AccessToken: "from-oauth2", Expiry: time.Now().Add(time.Hour)}, nil
}

// A source of tokens of golang.org/x/oauth2 needs three lines. Use one that fetches each
// time, such as that of clientcredentials.Config.Token: Bearer keeps the tokens, and one
// that is kept below it as well cannot be replaced after a 401.
func ExampleBearer_oauth2() {
	var source tokenSource = clientCredentials{}
	auth := gateway.Bearer(gateway.BearerConfig{
		Token: func(context.Context, string) (string, time.Time, error) {
			t, err := source.Token()
			if err != nil {
				return "", time.Time{}, err
			}
			return t.AccessToken, t.Expiry, nil
		},
	})
	api := newAPI(auth, gatewaytest.Stub{"GET /me": func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.JSON(w, 200, r.Header.Get("Authorization"))
	}})
	me := gateway.NewEndpoint[gateway.None, any](api, "GET /me", gateway.EndpointConfig{})

	fmt.Println(me.Call(context.Background(), gateway.None{}))
	// Output: Bearer from-oauth2 <nil>
}

type userName struct{}

// If each user has a token, Identity says whose a call needs. A cache below keeps what
// one is answered from the others.
func ExampleBearer_users() {
	auth := gateway.Bearer(gateway.BearerConfig{
		Identity: func(ctx context.Context) string {
			name, _ := ctx.Value(userName{}).(string)
			return name
		},
		Token: func(_ context.Context, name string) (string, time.Time, error) {
			return "token-of-" + name, time.Now().Add(time.Hour), nil
		},
	})
	api := newAPI(auth, gatewaytest.Stub{"GET /me": func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.JSON(w, 200, r.Header.Get("Authorization"))
	}})
	me := gateway.NewEndpoint[gateway.None, any](api, "GET /me", gateway.EndpointConfig{})

	for _, name := range []string{"ada", "bob"} {
		fmt.Println(me.Call(context.WithValue(context.Background(), userName{}, name), gateway.None{}))
	}
	// Output:
	// Bearer token-of-ada <nil>
	// Bearer token-of-bob <nil>
}

// keyInQuery is an Auth for a system that wants its key in the query.
type keyInQuery string

func (k keyInQuery) Apply(_ context.Context, req *http.Request) error {
	query := req.URL.Query()
	query.Set("key", string(k))
	req.URL.RawQuery = query.Encode()
	return nil
}

func (keyInQuery) Identity(context.Context) string { return "" } // there is one key

// Credentials that go elsewhere than into a header field.
func ExampleAuth() {
	api := newAPI(keyInQuery("k3y"), gatewaytest.Stub{
		"GET /weather/{city}": func(w http.ResponseWriter, r *http.Request) {
			fmt.Println(r.URL)
			w.WriteHeader(http.StatusNoContent)
		},
	})
	weather := gateway.NewEndpoint[string, gateway.None](api, "GET /weather/{city}", gateway.EndpointConfig{})
	_, err := weather.Call(context.Background(), "oslo")
	fmt.Println(err)
	// Output:
	// https://api.example/weather/oslo?key=k3y
	// <nil>
}

// Some systems refuse what is too much with 403, and say when to come back in fields of
// their own.
func ExampleRateLimited() {
	resp := &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{
		"X-Ratelimit-Remaining": {"0"},
		"X-Ratelimit-Reset":     {"30"},
	}}
	fmt.Println(gateway.RateLimited(resp))
	// Output: 30s
}
