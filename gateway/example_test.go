package gateway_test

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/gatewaytest"
)

// Repos is what a program sees of a code host: three functions, and no HTTP.
type Repos struct {
	Get    func(context.Context, RepoID) (Repo, error)
	List   func(context.Context, ListRepos) ([]Repo, error)
	Create func(context.Context, NewIssue) (Issue, error)
}

type RepoID struct {
	Owner string `path:"owner"`
	Name  string `path:"repo"`
}

type Repo struct {
	Name  string `json:"name"`
	Stars int    `json:"stargazers_count"`
}

type ListRepos struct {
	Owner string `path:"owner"`
	Sort  string `query:"sort,omitempty"`
	Page  int    `query:"page,omitempty"`
}

type NewIssue struct {
	RepoID
	Issue Issue `body:""`
}

type Issue struct {
	Number int    `json:"number,omitempty"`
	Title  string `json:"title"`
}

// NewRepos makes the gateway. In production transport is the stack of layers, from the
// outside in: httpcache.Transport, retry.Transport, breaker.Transport,
// ratelimit.Transport.
func NewRepos(transport http.RoundTripper, token string) (*Repos, error) {
	api, err := gateway.New(gateway.Config{
		BaseURL:   "https://code.example/api/v3",
		Transport: transport,
		Auth:      gateway.APIKey("Authorization", "Bearer "+token),
		Header:    http.Header{"Accept": {"application/vnd.code+json"}, "User-Agent": {"example/1.0"}},
		Timeout:   5 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	none := gateway.EndpointConfig{}
	return &Repos{
		Get:    gateway.NewEndpoint[RepoID, Repo](api, "GET /repos/{owner}/{repo}", none).Call,
		List:   gateway.NewEndpoint[ListRepos, []Repo](api, "GET /users/{owner}/repos", none).Call,
		Create: gateway.NewEndpoint[NewIssue, Issue](api, "POST /repos/{owner}/{repo}/issues", none).Call,
	}, nil
}

// A gateway for a code host, and a test of the program that uses it: the Stub stands
// where the network would be.
func Example() {
	repos, err := NewRepos(gatewaytest.Stub{
		"GET /repos/{owner}/{repo}": func(w http.ResponseWriter, r *http.Request) {
			gatewaytest.JSON(w, 200, Repo{Name: r.PathValue("repo"), Stars: 17})
		},
		"GET /users/{owner}/repos": func(w http.ResponseWriter, r *http.Request) {
			fmt.Println("requested:", r.URL)
			gatewaytest.JSON(w, 200, []Repo{{Name: "belay"}, {Name: "rope"}})
		},
		"POST /repos/{owner}/{repo}/issues": func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Println("posted:", string(body))
			gatewaytest.JSON(w, 201, Issue{Number: 1, Title: "It slips"})
		},
	}, "t0ken")
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	fmt.Println(repos.Get(ctx, RepoID{"ada", "belay"}))
	fmt.Println(repos.List(ctx, ListRepos{Owner: "ada", Sort: "name"}))
	fmt.Println(repos.Create(ctx, NewIssue{RepoID{"ada", "belay"}, Issue{Title: "It slips"}}))
	fmt.Println(repos.Get(ctx, RepoID{"ada", ".."}))
	// Output:
	// {belay 17} <nil>
	// requested: https://code.example/api/v3/users/ada/repos?sort=name
	// [{belay 0} {rope 0}] <nil>
	// posted: {"title":"It slips"}
	// {1 It slips} <nil>
	// { 0} gateway: GET /repos/{owner}/{repo}: invalid request: the path value {repo} has a segment "." or ".."
}

// newAPI returns a gateway to handlers, by pattern.
func newAPI(auth gateway.Auth, stub gatewaytest.Stub) *gateway.Gateway {
	api, err := gateway.New(gateway.Config{BaseURL: "https://api.example", Transport: stub, Auth: auth})
	if err != nil {
		panic(err)
	}
	return api
}

// Tokens are fetched when they are needed, once for all callers, and anew when the
// server does not take them any more.
func ExampleBearer() {
	issued := 0
	auth := gateway.Bearer(gateway.BearerConfig{
		Token: func(ctx context.Context, _ string) (string, time.Time, error) {
			issued++ // usually the Call of an endpoint of the token server's
			return fmt.Sprint("token-", issued), time.Now().Add(time.Hour), nil
		},
	})
	api := newAPI(auth, gatewaytest.Stub{"GET /me": func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("sent with", r.Header.Get("Authorization"))
		if r.Header.Get("Authorization") == "Bearer token-1" {
			w.WriteHeader(http.StatusUnauthorized) // revoked
			return
		}
		gatewaytest.JSON(w, 200, "ada")
	}})
	me := gateway.NewEndpoint[gateway.None, any](api, "GET /me", gateway.EndpointConfig{})

	fmt.Println(me.Call(context.Background(), gateway.None{}))
	fmt.Println(me.Call(context.Background(), gateway.None{}))
	// Output:
	// sent with Bearer token-1
	// sent with Bearer token-2
	// ada <nil>
	// sent with Bearer token-2
	// ada <nil>
}

func ExampleAPIKey() {
	auth := gateway.APIKey("X-Api-Key", os.Getenv("API_KEY")+"k3y")
	api := newAPI(auth, gatewaytest.Stub{"GET /me": func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Api-Key"))
	}})
	me := gateway.NewEndpoint[gateway.None, string](api, "GET /me", gateway.EndpointConfig{})

	fmt.Println(me.Call(context.Background(), gateway.None{}))
	// Output: k3y <nil>
}

func ExampleBasic() {
	api := newAPI(gateway.Basic("ada", "passw0rd"), gatewaytest.Stub{"GET /me": func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		io.WriteString(w, user)
	}})
	me := gateway.NewEndpoint[gateway.None, string](api, "GET /me", gateway.EndpointConfig{})

	fmt.Println(me.Call(context.Background(), gateway.None{}))
	// Output: ada <nil>
}

// An error carries what the server said, in the standard form or in its own.
func ExampleErrorAs() {
	api := newAPI(nil, gatewaytest.Stub{
		"POST /orders": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusForbidden)
			io.WriteString(w, `{"type":"https://api.example/out-of-credit","title":"Out of credit","balance":30}`)
		},
	})
	order := gateway.NewEndpoint[map[string]int, gateway.None](api, "POST /orders", gateway.EndpointConfig{})

	_, err := order.Call(context.Background(), map[string]int{"price": 50})
	fmt.Println(err)
	if e, ok := errors.AsType[*gateway.Error](err); ok {
		fmt.Println(e.Kind, e.Status, e.Problem.Type)
	}
	if own, ok := gateway.ErrorAs[struct{ Balance int }](err); ok {
		fmt.Println("balance:", own.Balance)
	}
	// Output:
	// gateway: POST /orders: status 403 Forbidden: "Out of credit"
	// bad status 403 https://api.example/out-of-credit
	// balance: 30
}

// A file and a field are sent as a form. The file is streamed.
func ExampleMultipart() {
	api := newAPI(nil, gatewaytest.Stub{"PUT /users/{name}/avatar": func(w http.ResponseWriter, r *http.Request) {
		file, header, err := r.FormFile("image")
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		content, _ := io.ReadAll(file)
		fmt.Printf("%s: %s, %d bytes, %q\n", r.PathValue("name"), header.Filename, len(content), r.FormValue("alt"))
	}})
	type avatar struct {
		Name string            `path:"name"`
		Form gateway.Multipart `body:""`
	}
	upload := gateway.NewEndpoint[avatar, gateway.None](api, "PUT /users/{name}/avatar", gateway.EndpointConfig{})

	_, err := upload.Call(context.Background(), avatar{"ada", gateway.Multipart{
		{Name: "alt", Content: strings.NewReader("a portrait")},
		{Name: "image", FileName: "ada.png", ContentType: "image/png", Content: strings.NewReader("\x89PNG...")},
	}})
	fmt.Println(err)
	// Output:
	// ada: ada.png, 7 bytes, "a portrait"
	// <nil>
}

// Other formats come with their functions.
func ExampleCodec() {
	type Feed struct {
		Title string `xml:"title"`
	}
	api := newAPI(nil, gatewaytest.Stub{"GET /feed": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/rss+xml")
		io.WriteString(w, "<feed><title>News</title></feed>")
	}})
	feed := gateway.NewEndpoint[gateway.None, Feed](api, "GET /feed", gateway.EndpointConfig{
		Codec: gateway.Codec{ContentType: "application/xml", Marshal: xml.Marshal, Unmarshal: xml.Unmarshal},
	})

	fmt.Println(feed.Call(context.Background(), gateway.None{}))
	// Output: {News} <nil>
}
