package retry

import (
	"iter"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const maxHosts = 1024

// hosts keeps a policy for each host. Reads take no lock. When it is full, the host
// that was added first makes room, unless it was in use since the last time it
// came to that: then it gets a second chance, and the next one is looked at.
type hosts struct {
	table sync.Map // string to *host

	mu    sync.Mutex // held to add a host
	order *simplelru.LRU[string, *host]
}

type host struct {
	policy *Policy
	used   atomic.Bool
}

// get returns the policy for the host of req, which it makes of cfg.
func (h *hosts) get(req *http.Request, cfg *Config) (*Policy, error) {
	var name string
	if req.URL != nil {
		name = req.URL.Host
	}
	if v, ok := h.table.Load(name); ok {
		return v.(*host).use(), nil
	}
	return h.add(name, *cfg)
}

// All returns the policies that Transport has made, by host.
func (t *Transport) All() iter.Seq2[string, *Policy] {
	return func(yield func(string, *Policy) bool) {
		for name, v := range t.hosts.table.Range {
			if !yield(name.(string), v.(*host).policy) {
				return
			}
		}
	}
}

// use marks a host as one in use. The mark is only read where it is there already.
func (h *host) use() *Policy {
	if !h.used.Load() {
		h.used.Store(true)
	}
	return h.policy
}

func (h *hosts) add(name string, cfg Config) (*Policy, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if v, ok := h.table.Load(name); ok {
		return v.(*host).use(), nil
	}
	if h.order == nil {
		h.order, _ = simplelru.NewLRU[string, *host](maxHosts, nil)
	}
	for h.order.Len() == maxHosts {
		oldest, v, _ := h.order.RemoveOldest()
		if v.used.Swap(false) {
			h.order.Add(oldest, v) // at the other end
		} else {
			h.table.Delete(oldest)
		}
	}
	if cfg.Name == "" {
		cfg.Name = name
	}
	v := &host{policy: New(cfg)}
	h.order.Add(name, v)
	h.table.Store(name, v)
	return v.policy, nil
}
