package loadbalance_test

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"math"
	"strings"
	"sync/atomic"

	"github.com/belay-go/belay/loadbalance"
)

// nearby is a policy of one's own: endpoints of one zone first, and those of others
// when these have enough to do.
type nearby struct {
	zone string
	most int
}

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

// A policy without a state is a function. This one takes turns, from the start of the set.
func ExamplePolicyFunc() {
	var turn atomic.Uint64
	inTurns := loadbalance.PolicyFunc(func(v loadbalance.View) int { return v.At(turn.Add(1) - 1) })
	b := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[string]{Key: "a"}, loadbalance.Endpoint[string]{Key: "b"},
	), loadbalance.Config{Policy: inTurns})
	for range 4 {
		pick, err := b.Pick(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Print(pick.Endpoint().Key, " ")
		pick.Done(loadbalance.Result{})
	}
	// Output: a b a b
}

// maglev is a policy with a table: calls with the same hash go to the same endpoint, by
// weight, and few of them move when the set changes (Eisenbud et al., "Maglev: A fast
// and reliable software network load balancer", NSDI 2016).
type maglev struct {
	size  int // a prime, about a hundred times the number of endpoints
	table []uint32
}

var _ loadbalance.Builder = maglev{}

func (m maglev) Build(v loadbalance.View) loadbalance.Policy {
	size, heaviest := uint64(m.size), 0.0
	for i := range v.Len() {
		heaviest = max(heaviest, v.Weight(i))
	}
	table, taken := make([]uint32, size), make([]bool, size)
	next, credit := make([]uint64, v.Len()), make([]float64, v.Len())
	for filled := uint64(0); filled < size; {
		for i := range v.Len() { // each takes a place of its own order, in turns by weight
			if credit[i] += v.Weight(i) / heaviest; credit[i] < 1 || filled == size {
				continue
			}
			credit[i]--
			h := loadbalance.Hash(v.Key(i))
			at, step := h%size, loadbalance.HashUint64(h)%(size-1)+1
			place := (at + next[i]*step) % size
			for ; taken[place]; place = (at + next[i]*step) % size {
				next[i]++
			}
			table[place], taken[place] = uint32(i), true
			filled++
		}
	}
	return maglev{m.size, table}
}

func (m maglev) Next(v loadbalance.View) int {
	h := cmp.Or(v.Hash(), v.Rand())
	for range 8 { // only calls whose home is not well go elsewhere, each to another place
		if i := int(m.table[h%uint64(len(m.table))]); !v.Skip(i) {
			return i
		}
		h = loadbalance.HashUint64(h)
	}
	return v.At(h)
}

// Calls for one user go to one instance, which has his data in memory.
func ExampleBuilder() {
	caches := loadbalance.New(loadbalance.Static(
		loadbalance.Endpoint[string]{Key: "a"}, loadbalance.Endpoint[string]{Key: "b"}, loadbalance.Endpoint[string]{Key: "c"},
	), loadbalance.Config{Policy: maglev{size: 307}})
	home := map[string]string{}
	for _, user := range []string{"ann", "bob", "ann", "cid", "bob", "ann"} {
		pick, err := caches.PickWith(context.Background(), loadbalance.Hint{Hash: loadbalance.Hash(user)})
		if err != nil {
			log.Fatal(err)
		}
		key := pick.Endpoint().Key
		pick.Done(loadbalance.Result{})
		if home[user] != "" && home[user] != key {
			fmt.Println(user, "has moved")
		}
		home[user] = key
	}
	fmt.Println(len(home), "users have a home")
	// Output: 3 users have a home
}

// A number, such as the identifier of an order, is hashed without making a string of it.
func ExampleHashUint64() {
	hint := loadbalance.Hint{Hash: loadbalance.HashUint64(4711)}
	fmt.Println(hint.Hash == loadbalance.HashUint64(4711), hint.Hash == loadbalance.Hash("4711"))
	// Output: true false
}
