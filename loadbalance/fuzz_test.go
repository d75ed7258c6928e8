package loadbalance_test

import (
	"encoding/binary"
	"errors"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/belay-go/belay/loadbalance"
)

// model is what must be so, whatever a balancer does.
type model struct {
	t        *testing.T
	b        *balancer
	limit    int
	set      []string       // of those that may be picked
	inFlight map[string]int // of all
	drained  map[string]int
	calls    []*pick
}

// FuzzBalancer plays sets, picks, results and time as the bytes say.
func FuzzBalancer(f *testing.F) {
	f.Add([]byte{0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Add([]byte("\x01\x03\x00\x00\x00\x08\x08\x08\x08\x05\x00\x0d\x0d"))
	f.Add([]byte("\x12\x00\x01\x00\x02\x0f\xff\x00\x01\x02\x03\x30\x81\x21\xff\x00"))
	f.Add([]byte("\x23456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOP"))
	f.Add([]byte(strings.Repeat("\x00\x46\x00\x46\x0f", 40)))
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) < 2 || len(ops) > 2000 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			m := &model{t: t, inFlight: map[string]int{}, drained: map[string]int{}, limit: int(ops[1] % 4)}
			var events []loadbalance.Event
			cfg := loadbalance.Config{Policy: policies[int(ops[0])%len(policies)], EjectAfter: 2, MaxInFlight: m.limit, Observe: collect(&events)}
			m.b = fixed(3, cfg)
			m.set = []string{"0", "1", "2"}
			ctx := t.Context()
			call := loadbalance.WithSpread(ctx)
			for _, op := range ops[2:] {
				n := int(op >> 4)
				switch op & 15 {
				case 0, 1, 2:
					p, err := m.b.Pick(ctx)
					m.took(&p, err, loadbalance.Hint{})
				case 3:
					if n == 0 {
						call = loadbalance.WithSpread(ctx)
					}
					p, err := m.b.Pick(call)
					m.took(&p, err, loadbalance.Hint{})
				case 4:
					h := loadbalance.Hint{Prefer: m.keys(n), Exclude: m.keys(n * 7)}
					p, err := m.b.PickWith(ctx, h)
					m.took(&p, err, h)
				case 5:
					m.replace(n)
				case 6, 7:
					time.Sleep(time.Duration(n*n*n) * 10 * time.Millisecond)
				case 8:
					if n < len(m.calls) {
						m.calls[n].Answered([]result{good, failed}[n%2])
					}
				default:
					m.done(n, []result{good, good, failed, failed, {Outcome: loadbalance.Ignored}, {Outcome: loadbalance.Overload},
						{Outcome: loadbalance.Overload, RetryAfter: time.Second}}[op&15-9])
				}
				synctest.Wait()
				m.check()
			}
			for len(m.calls) > 0 {
				m.done(0, good)
			}
			m.check()
			m.b.Close()
		})
	})
}

func (m *model) keys(bits int) (keys []string) {
	for i := range 6 {
		if bits>>i&1 != 0 {
			keys = append(keys, strconv.Itoa(i))
		}
	}
	return keys
}

func (m *model) took(p *pick, err error, h loadbalance.Hint) {
	m.t.Helper()
	left := slices.DeleteFunc(slices.Clone(m.set), func(k string) bool { return slices.Contains(h.Exclude, k) })
	if err != nil {
		full := m.limit > 0 && errors.Is(err, loadbalance.ErrOverloaded)
		if len(left) > 0 && !full || len(left) == 0 && !full && !errors.Is(err, loadbalance.ErrNoEndpoints) {
			m.t.Fatalf("%v, though %v are left", err, left)
		}
		return
	}
	key := p.Endpoint().Key
	if !slices.Contains(left, key) {
		m.t.Fatalf("picked %s, left are %v", key, left)
	}
	m.inFlight[key]++
	if m.limit > 0 && m.inFlight[key] > m.limit && p.Endpoint().Key == key && len(h.Exclude) == 0 {
		m.t.Fatalf("%s has %d calls", key, m.inFlight[key])
	}
	m.calls = append(m.calls, p)
}

func (m *model) replace(bits int) {
	var set []endpoint
	for _, k := range m.keys(bits) {
		set = append(set, endpoint{Key: k, Weight: float64(bits % 3)})
	}
	loadbalance.Set(m.b, set, nil)
	if len(set) > 0 {
		m.set = m.keys(bits)
	}
}

func (m *model) done(n int, r result) {
	if len(m.calls) == 0 {
		return
	}
	n %= len(m.calls)
	m.inFlight[m.calls[n].Endpoint().Key]--
	m.calls[n].Done(r)
	m.calls = slices.Delete(m.calls, n, n+1)
}

func (m *model) check() {
	m.t.Helper()
	seen := map[string]bool{}
	for _, e := range m.b.Stats().Endpoints {
		seen[e.Key] = true
		if e.InFlight != m.inFlight[e.Key] || slices.Contains(m.set, e.Key) == (e.State == loadbalance.Draining) {
			m.t.Fatalf("%+v, %d calls in flight, set %v", e, m.inFlight[e.Key], m.set)
		}
		if e.Latency < 0 || !(e.FailureRate >= 0 && e.FailureRate <= 1) {
			m.t.Fatalf("%+v", e)
		}
	}
	for key, n := range m.inFlight {
		if n > 0 && !seen[key] {
			m.t.Fatalf("%s has %d calls and is not known", key, n)
		}
	}
}

// FuzzWeights: whatever the weights, each endpoint has its share of a full round.
func FuzzWeights(f *testing.F) {
	f.Add([]byte{1, 2, 3})
	f.Add(binary.LittleEndian.AppendUint64(nil, math.Float64bits(1e-300)))
	f.Add(binary.LittleEndian.AppendUint64(make([]byte, 3), math.Float64bits(1e30)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var weights []float64
		for ; len(data) > 0 && len(weights) < 40; data = data[min(8, len(data)):] {
			w := float64(data[0])
			if len(data) >= 8 {
				w = math.Float64frombits(binary.LittleEndian.Uint64(data))
			}
			weights = append(weights, w)
		}
		b := loadbalance.New(loadbalance.Static(withWeights(weights...)...), loadbalance.Config{Policy: loadbalance.Weighted})
		if _, err := b.Pick(t.Context()); err != nil {
			valid := len(weights) > 0
			for _, w := range weights {
				valid = valid && w >= 0 && w <= math.MaxFloat32
			}
			if valid {
				t.Fatalf("%v: %v", weights, err)
			}
			return
		}
		sum := 0.0
		for _, e := range b.Stats().Endpoints {
			sum += e.Weight
		}
		const calls = 10_000
		for i, n := range counts(t, b, len(weights), calls) {
			share := b.Stats().Endpoints[i].Weight / sum
			if got := float64(n) / calls; math.Abs(got-share) > 0.01 {
				t.Errorf("%v: the share of %d is %.3f, want %.3f", weights, i, got, share)
			}
		}
	})
}

// FuzzPath: the path of an endpoint comes before that of the request, as it stands.
func FuzzPath(f *testing.F) {
	f.Add("/v1", "/a%2Fb")
	f.Add("", "*")
	f.Add("/a%2Fb/", "//x")
	f.Add("/%zz", "/\x00")
	f.Fuzz(func(t *testing.T, base, path string) {
		b, err := loadbalance.Hosts("http://a" + base)
		if err != nil || base != "" && base[0] != '/' {
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://x"+path, nil)
		if err != nil || req.URL.Host != "x" {
			return
		}
		transport := loadbalance.Transport{Balancer: b, Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			got, before := r.URL.EscapedPath(), strings.TrimSuffix(b.Stats().Endpoints[0].Key[len("http://a"):], "/")
			if want := req.URL.EscapedPath(); before != "" && !strings.HasSuffix(got, want) || before == "" && got != want {
				t.Errorf("%q and %q make %q", base, want, got)
			}
			if r.URL.Host != "a" || r.URL.RawQuery != req.URL.RawQuery {
				t.Errorf("sent to %v", r.URL)
			}
			return &http.Response{StatusCode: 200}, nil
		})}
		if _, err := transport.RoundTrip(req); err != nil {
			t.Error(err)
		}
	})
}
