package loadbalance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"math"
	"net/url"
	"os"
	"strings"
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

// nearby is a policy of one's own: endpoints of one zone first, and those of others
// when these have enough to do.
type nearby struct {
	zone string
	most int
}

func (n nearby) Build(loadbalance.View) loadbalance.Policy { return n }

func (n nearby) Next(v loadbalance.View) int {
	best, lowest := 0, math.MaxInt
	for i := range v.Len() {
		load := v.InFlight(i)
		if !strings.HasPrefix(v.Key(i), n.zone) {
			load += n.most
		}
		if !v.Skip(i) && load < lowest {
			best, lowest = i, load
		}
	}
	return best
}

func ExamplePolicy() {
	b := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[string]{Key: "eu/1"}, loadbalance.Endpoint[string]{Key: "us/1"}, loadbalance.Endpoint[string]{Key: "us/2"},
	), loadbalance.Config{Policy: nearby{zone: "us/", most: 2}})
	for range 6 {
		pick, err := b.Pick(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(pick.Endpoint().Key, " ")
	}
	// Output: us/1 us/2 us/1 us/2 eu/1 us/1
}
