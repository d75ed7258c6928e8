package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	remembered  = 240             // messages that a new viewer is shown of the past
	mostViewers = 100             // at a time
	mostBehind  = 40              // messages that a viewer may be late
	patienceFor = 5 * time.Second // with a viewer that does not read
)

var (
	errFull  = errors.New("too many viewers: close a page that shows this one")
	errEnded = errors.New("the program is ending")
)

// A feed sends messages to all viewers of the live page, as server-sent events. Nothing that a viewer does, or does not
// do, holds up the sender or the other viewers: one who is too late is sent away, and its browser comes again.
type feed struct {
	mu      sync.Mutex
	past    [][]byte
	viewers map[chan []byte]bool
	ended   bool
}

// event encodes a server-sent event whose data is v as JSON.
func event(name string, v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // v is a value of ours, without what JSON does not know
	}
	return slices.Concat([]byte("event: "), []byte(name), []byte("\ndata: "), data, []byte("\n\n"))
}

// send sends a message to all viewers, now and in the near future.
func (f *feed) send(message []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.past) == remembered {
		f.past = slices.Delete(f.past, 0, 1)
	}
	f.past = append(f.past, message)
	for v := range f.viewers {
		select {
		case v <- message:
		default:
			f.leaveLocked(v)
		}
	}
}

// join adds a viewer. Its channel has the past as one message, then what is sent, and is closed when that ends.
func (f *feed) join() (viewer chan []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.ended:
		return nil, errEnded
	case len(f.viewers) == mostViewers:
		return nil, errFull
	}
	viewer = make(chan []byte, mostBehind)
	viewer <- bytes.Join(f.past, nil)
	if f.viewers == nil {
		f.viewers = map[chan []byte]bool{}
	}
	f.viewers[viewer] = true
	return viewer, nil
}

func (f *feed) leave(viewer chan []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaveLocked(viewer)
}

func (f *feed) leaveLocked(viewer chan []byte) {
	if f.viewers[viewer] {
		delete(f.viewers, viewer)
		close(viewer)
	}
}

// end sends all viewers away, and those that still come.
func (f *feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
	for v := range f.viewers {
		f.leaveLocked(v)
	}
}

// ServeHTTP streams to one viewer.
func (f *feed) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	viewer, err := f.join()
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer f.leave(viewer)
	w.Header().Set("Content-Type", "text/event-stream")
	rc := http.NewResponseController(w)
	extend := func() { rc.SetWriteDeadline(time.Now().Add(patienceFor)) }
	defer extend() // the end of the stream is written, too
	write := func(message []byte) error {
		extend()
		if _, err := w.Write(message); err != nil {
			return err
		}
		return rc.Flush()
	}
	message := []byte("retry: 1000\n\n") // milliseconds, until a browser comes again
	for ok := true; ok && write(message) == nil; {
		select {
		case message, ok = <-viewer:
		case <-r.Context().Done():
			return
		}
	}
}
