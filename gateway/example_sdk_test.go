package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/belay-go/belay/gateway"
	"github.com/belay-go/belay/gateway/gatewaytest"
)

// This is a small and complete SDK, for a chat: what its author writes. Users see Chat,
// its methods and its types, and neither HTTP nor this package, unless they want to.
type Chat struct {
	members *gateway.Endpoint[membersRequest, membersPage]
	post    *gateway.Endpoint[Message, posted]
}

// ChatConfig has what a user of the SDK may choose.
type ChatConfig struct {
	URL       string            // "": https://chat.example/api
	Transport http.RoundTripper // layers of retries, limits and caches; nil: none
	Token     func(ctx context.Context) (token string, expires time.Time, err error)
}

// Member is somebody in a channel.
type Member struct {
	Name string `json:"name"`
}

// Message is to be posted.
type Message struct {
	Channel string `path:"channel" json:"-"`
	Text    string `form:"text"`
}

// ok is part of all answers: this API says 200 for failures, too. Embedded once, its
// method checks them all.
type ok struct {
	OK    bool   `json:"ok"`
	Error string `json:"error"`
}

// ErrNotInChannel is an error that users look for.
var ErrNotInChannel = errors.New("chat: you are not in this channel")

// CheckResponse returns the error that an answer says.
func (r ok) CheckResponse() error {
	switch {
	case r.OK:
		return nil
	case r.Error == "not_in_channel":
		return ErrNotInChannel
	}
	return errors.New("chat: " + r.Error)
}

type membersRequest struct {
	Channel string `path:"channel"`
	Cursor  string `query:"cursor,omitempty"`
}

type membersPage struct {
	ok
	Members []Member `json:"members"`
	Next    string   `json:"next_cursor"`
}

type posted struct {
	ok
	ID string `json:"id"`
}

// NewChat returns a client. The error says what is wrong with cfg.
func NewChat(cfg ChatConfig) (*Chat, error) {
	if cfg.URL == "" {
		cfg.URL = "https://chat.example/api"
	}
	api, err := gateway.New(gateway.Config{
		Name:      "chat",
		BaseURL:   cfg.URL,
		Transport: cfg.Transport,
		Auth: gateway.Bearer(gateway.BearerConfig{ // fetched once, refreshed early, and after a 401
			Token: func(ctx context.Context, _ string) (string, time.Time, error) { return cfg.Token(ctx) },
		}),
		Header:     http.Header{"User-Agent": {"chat-go/1.0"}},
		RetryAfter: gateway.RateLimited, // this API says X-RateLimit-Reset
	})
	if err != nil {
		return nil, err
	}
	return &Chat{
		members: gateway.NewEndpoint[membersRequest, membersPage](api, "GET /channels/{channel}/members", gateway.EndpointConfig{}),
		post:    gateway.NewEndpoint[Message, posted](api, "POST /channels/{channel}/messages", gateway.EndpointConfig{IdempotencyKey: true}),
	}, nil
}

// Members returns an iterator over all members of a channel.
func (c *Chat) Members(ctx context.Context, channel string) iter.Seq2[Member, error] {
	next := func(r membersRequest, page membersPage) (membersRequest, bool, error) {
		r.Cursor = page.Next
		return r, page.Next != "", nil
	}
	pages := gateway.Pages(ctx, c.members.Call, membersRequest{Channel: channel}, next, 0)
	return gateway.Items(pages, func(page membersPage) []Member { return page.Members })
}

// Post posts a message and returns its ID.
func (c *Chat) Post(ctx context.Context, m Message) (id string, err error) {
	p, err := c.post.Call(ctx, m)
	return p.ID, err
}

// An SDK is a few types and endpoints. What its users do with it, and with its errors:
func Example_sdk() {
	chat, err := NewChat(ChatConfig{
		Transport: newChatServer(),
		Token: func(context.Context) (string, time.Time, error) {
			return "t0ken", time.Now().Add(time.Hour), nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	for member, err := range chat.Members(ctx, "general") {
		fmt.Println(member.Name, err)
	}
	fmt.Println(chat.Post(ctx, Message{Channel: "general", Text: "hello"}))

	_, err = chat.Post(ctx, Message{Channel: "secret", Text: "hello"})
	fmt.Println(errors.Is(err, ErrNotInChannel), err)

	_, err = chat.Post(ctx, Message{Channel: "busy", Text: "hello"})
	if e, ok := errors.AsType[*gateway.Error](err); ok {
		fmt.Println(e.Status, e.Message, e.RetryAfter())
	}
	// Output:
	// ada <nil>
	// bob <nil>
	// cleo <nil>
	// m1 <nil>
	// true gateway "chat": POST /channels/{channel}/messages: unsuccessful, status 200 OK: chat: you are not in this channel
	// 403 Slow down 17s
}

// newChatServer is what the SDK is tested with.
func newChatServer() gatewaytest.Stub {
	return gatewaytest.Stub{
		"GET /channels/{channel}/members": func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer t0ken" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			page := membersPage{ok{OK: true}, []Member{{"ada"}, {"bob"}}, "2"}
			if r.FormValue("cursor") == "2" {
				page = membersPage{ok{OK: true}, []Member{{"cleo"}}, ""}
			}
			gatewaytest.JSON(w, 200, page)
		},
		"POST /channels/{channel}/messages": func(w http.ResponseWriter, r *http.Request) {
			switch r.PathValue("channel") {
			case "secret":
				gatewaytest.JSON(w, 200, ok{Error: "not_in_channel"})
			case "busy":
				w.Header().Set("X-RateLimit-Remaining", "0")
				w.Header().Set("X-RateLimit-Reset", "17")
				w.WriteHeader(http.StatusForbidden)
				io.WriteString(w, `{"message": "Slow down"}`)
			default:
				gatewaytest.JSON(w, 200, posted{ok{OK: true}, "m1"})
			}
		},
	}
}
