// Simulation of a provider that keeps idempotency keys, as good ones do. Not worth it
// where the provider has a test system that can be broken at will.

package world

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
)

// Payment is a payment provider. Charges and refunds have an Idempotency-Key: what was
// done under a key is answered again, not done again. A guest whose name begins with
// "broke" has no money.
type Payment struct {
	*System

	mu      sync.Mutex
	answers map[string]answer  // by key
	ledger  map[string]Account // by reference
}

// An Account is what was taken and given back for one reference, in Rappen, and how
// often.
type Account struct {
	Charges, Refunds   int
	Charged, Refunded  int64
	RefundedBeforehand bool // nothing may be charged any more
}

type answer struct {
	status int
	body   string
}

func newPayment() *Payment {
	p := &Payment{answers: map[string]answer{}, ledger: map[string]Account{}}
	p.System = newSystem("payment", p.routes())
	return p
}

// Ledger returns all accounts by reference.
func (p *Payment) Ledger() map[string]Account {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.ledger)
}

func (p *Payment) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /charges", p.once(p.charge))
	mux.HandleFunc("POST /refunds", p.once(p.refund))
	return mux
}

type order struct {
	Reference string
	Guest     string
	Amount    int64
}

// once answers what was asked before under the same key as it was answered then.
func (p *Payment) once(do func(order) answer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		var o order
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&o); err != nil || key == "" || o.Reference == "" {
			http.Error(w, "want JSON with a Reference, and an Idempotency-Key", http.StatusBadRequest)
			return
		}
		if r.Header.Get("Authorization") != "Bearer payment-secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		key = r.URL.Path + " " + key
		p.mu.Lock()
		a, ok := p.answers[key]
		if !ok {
			a = do(o)
			p.answers[key] = a
		}
		p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(a.status)
		fmt.Fprint(w, a.body)
	}
}

func (p *Payment) charge(o order) answer {
	account := p.ledger[o.Reference]
	switch {
	case account.RefundedBeforehand:
		return answer{http.StatusConflict, `{"message": "this reference was refunded before it was charged"}`}
	case strings.HasPrefix(o.Guest, "broke"):
		return answer{http.StatusPaymentRequired, `{"message": "the bank has declined"}`}
	}
	account.Charges++
	account.Charged += o.Amount
	p.ledger[o.Reference] = account
	return answer{http.StatusCreated, fmt.Sprintf(`{"receipt": "r-%d"}`, len(p.answers)+1)}
}

func (p *Payment) refund(o order) answer {
	account := p.ledger[o.Reference]
	if account.Charges == 0 {
		account.RefundedBeforehand = true
	} else {
		account.Refunds++
		account.Refunded += account.Charged - account.Refunded
	}
	p.ledger[o.Reference] = account
	return answer{http.StatusOK, `{}`}
}
