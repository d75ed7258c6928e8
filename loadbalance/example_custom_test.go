package loadbalance_test

import (
	"context"
	"encoding/json"
	"net/url"
	"os"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// A Source of one's own pushes whole sets, here from a file that somebody edits.
type file struct{ name string }

func (f file) Watch(ctx context.Context, set func([]loadbalance.Endpoint[*url.URL], error)) error {
	ticker := time.NewTicker(time.Minute)
	defer ticker.Stop()
	for {
		set(f.read())
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f file) read() ([]loadbalance.Endpoint[*url.URL], error) {
	text, err := os.ReadFile(f.name)
	if err != nil {
		return nil, err // the last set stays
	}
	var urls []string
	if err := json.Unmarshal(text, &urls); err != nil {
		return nil, err
	}
	var set []loadbalance.Endpoint[*url.URL]
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil {
			return nil, err
		}
		set = append(set, loadbalance.Endpoint[*url.URL]{Key: s, Value: u})
	}
	return set, nil
}

func ExampleSource() {
	b := loadbalance.New(file{"/etc/orders.json"}, loadbalance.Config{})
	defer b.Close()
}
