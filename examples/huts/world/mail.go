// Simulation of a server that knows a message by its Message-ID. Not worth it where a
// fake in memory shows the same.

package world

import (
	"encoding/json"
	"maps"
	"net/http"
	"sync"
)

// Mail takes messages over HTTP. It sends one that comes twice once, by its Message-ID.
type Mail struct {
	*System

	mu   sync.Mutex
	sent map[string]Message
	came map[string]int
}

// A Message is a mail.
type Message struct {
	ID      string // the Message-ID
	To      string
	Subject string
	Text    string
}

func newMail() *Mail {
	m := &Mail{sent: map[string]Message{}, came: map[string]int{}}
	m.System = newSystem("mail", m.routes())
	return m
}

// Sent returns the messages that were sent, by Message-ID.
func (m *Mail) Sent() map[string]Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.sent)
}

// Came counts how often each Message-ID came.
func (m *Mail) Came() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.came)
}

func (m *Mail) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /messages", func(w http.ResponseWriter, r *http.Request) {
		var msg Message
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&msg); err != nil || msg.ID == "" || msg.To == "" {
			http.Error(w, "want JSON with an ID and To", http.StatusBadRequest)
			return
		}
		m.mu.Lock()
		m.came[msg.ID]++
		m.sent[msg.ID] = msg
		m.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		w.Write([]byte(`{}`))
	})
	return mux
}
