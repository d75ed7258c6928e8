package breaker

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// model is a breaker as slow and obvious as can be: it keeps every call.
type model struct {
	cfg        Config
	state      State
	generation int
	since      time.Duration
	reopen     time.Duration
	lastOpen   time.Duration
	opened     int
	calls      []modelCall
	probes     []*modelPermit // by place; nil: free
	share      float64
	permits    []*modelPermit
	looked     time.Duration // the quarter of Slow in which calls in flight were looked at
}

type modelCall struct {
	at           time.Duration
	failed, slow bool
}

func (c modelCall) bad() bool { return c.failed || c.slow }

type modelPermit struct {
	generation int
	began      time.Duration
	done       bool
	reported   bool // as a probe
	failed     bool
}

// tick is what time alone does.
func (m *model) tick(now time.Duration) {
	if m.state == Open && now >= m.reopen {
		m.state, m.since, m.probes = HalfOpen, now, make([]*modelPermit, m.cfg.Probes)
		m.generation++
	}
}

func (m *model) allow(now time.Duration) *modelPermit {
	p := &modelPermit{generation: m.generation, began: now}
	switch m.state {
	case Open:
		return nil
	case HalfOpen:
		for i, q := range m.probes {
			if q == nil || !q.reported && now >= q.began+m.cfg.ProbeLease {
				m.probes[i] = p
				return p
			}
		}
		return nil
	case Closed:
		if m.running() > 0 && m.generation > 0 && m.cfg.RampUp > 0 && now < m.since+m.cfg.RampUp {
			m.share += 0.1 + 0.9*float64(now-m.since)/float64(m.cfg.RampUp)
			if m.share < 1 {
				return nil
			}
			m.share--
		}
		if m.cfg.CountInFlight && now/(m.cfg.Slow/4) != m.looked {
			m.looked = now / (m.cfg.Slow / 4)
			if m.judge(now) {
				return nil
			}
		}
		m.permits = append(m.permits, p)
	}
	return p
}

// overdue counts the calls of this generation that run for too long.
func (m *model) overdue(now time.Duration) (n int) {
	if !m.cfg.CountInFlight {
		return 0
	}
	quarter := m.cfg.Slow / 4
	for _, p := range m.permits {
		if p.generation == m.generation && !p.done && now/quarter-p.began/quarter > 4 {
			n++
		}
	}
	return n
}

// judge opens the breaker if it must, and reports that.
func (m *model) judge(now time.Duration) bool {
	inARow := 0
	for i := len(m.calls) - 1; i >= 0 && m.calls[i].bad(); i-- {
		inARow++
	}
	step := m.cfg.Window / steps
	overdue := m.overdue(now)
	calls, bad, slow := overdue, overdue, overdue
	for _, c := range m.calls {
		if c.at/step > now/step-steps {
			calls++
			if c.bad() {
				bad++
			}
			if c.slow {
				slow++
			}
		}
	}
	if inARow >= m.cfg.Consecutive ||
		m.cfg.AllFailed > 0 && bad == calls && calls >= m.cfg.AllFailed ||
		calls >= m.cfg.MinCalls && float64(bad) >= m.cfg.FailureRate*float64(calls) ||
		calls >= m.cfg.MinCalls && m.cfg.SlowRate > 0 && float64(slow) >= m.cfg.SlowRate*float64(calls) {
		m.open(now)
		return true
	}
	return false
}

// running counts the calls of this generation that are not done.
func (m *model) running() (n int) {
	for _, p := range m.permits {
		if p.generation == m.generation && !p.done {
			n++
		}
	}
	return n
}

func (m *model) done(p *modelPermit, o Outcome, now time.Duration) {
	p.done = true
	tooLong := m.cfg.Slow > 0 && now-p.began > m.cfg.Slow
	if p.generation != m.generation {
		return
	}
	if m.state == HalfOpen {
		place := slices.Index(m.probes, p)
		if place < 0 {
			return
		}
		if o == Ignored {
			m.probes[place] = nil
			return
		}
		p.reported, p.failed = true, o == Failure || tooLong
		good, bad := 0, 0
		for _, q := range m.probes {
			if q != nil && q.reported && q.failed {
				bad++
			} else if q != nil && q.reported {
				good++
			}
		}
		if good >= m.cfg.ProbesNeeded {
			m.state, m.since, m.calls, m.share = Closed, now, nil, 0
			m.looked = 0
			m.generation++
		} else if bad > m.cfg.Probes-m.cfg.ProbesNeeded {
			m.open(now)
		}
		return
	}
	if o == Ignored {
		return
	}
	call := modelCall{now, o == Failure, tooLong}
	m.calls = append(m.calls, call)
	if call.bad() {
		m.judge(now)
	}
}

func (m *model) open(now time.Duration) {
	if m.state == Closed && now-m.since >= m.lastOpen {
		m.opened = 0
	}
	d := m.cfg.OpenFor
	for range m.opened {
		d = min(2*d, m.cfg.MaxOpenFor)
	}
	m.opened++
	m.state, m.since, m.reopen, m.lastOpen = Open, now, now+d, d
	m.generation++
}

// play runs a random history against a Breaker and its model.
func play(t *testing.T, ops []byte, cfg Config) {
	synctest.Test(t, func(t *testing.T) {
		b := steady(cfg)
		m := &model{cfg: b.cfg}
		start := time.Now()
		type call struct {
			real  Permit
			model *modelPermit
		}
		var running []call
		for i, op := range ops {
			now := time.Since(start)
			arg := int(op >> 3)
			switch op % 8 {
			case 0:
				sleep(time.Duration(arg) * 100 * time.Millisecond)
			case 1:
				sleep(time.Duration(arg) * time.Second)
			case 2, 3, 4:
				real, err := b.Allow()
				p := m.allow(now)
				if (err == nil) != (p != nil) {
					t.Fatalf("op %d at %v: Allow returned %v, the model %v; %v", i, now, err, p != nil, m.state)
				}
				if p != nil {
					running = append(running, call{real, p})
				}
			default:
				if len(running) == 0 {
					continue
				}
				o := [8]Outcome{5: Success, 6: Failure, 7: Failure}[op%8]
				if arg == 31 {
					o = Ignored
				}
				k := arg % len(running)
				running[k].real.Done(o)
				m.done(running[k].model, o, now)
				running = append(running[:k], running[k+1:]...)
			}
			m.tick(time.Since(start))
			if b.State() != m.state {
				t.Fatalf("op %d at %v: state %v, the model's %v", i, now, b.State(), m.state)
			}
		}
	})
}

var modelConfigs = []Config{
	{MinCalls: 4, Consecutive: 5, AllFailed: -1},
	{MinCalls: 3, FailureRate: 0.3, Consecutive: 1 << 30, Window: 2 * time.Second, RampUp: -1, AllFailed: 2},
	{Consecutive: 2, Probes: 1, OpenFor: time.Second, ProbeLease: 3 * time.Second, MaxOpenFor: 10 * time.Second},
	{Consecutive: 1, Probes: 5, ProbesNeeded: 1, OpenFor: 300 * time.Millisecond, ProbeLease: time.Second, RampUp: time.Second},
	{MinCalls: 5, FailureRate: 0.6, SlowRate: 0.3, Slow: time.Second, OpenFor: time.Second},
	{MinCalls: 5, Slow: 2 * time.Second, CountInFlight: true, OpenFor: time.Second, RampUp: -1},
}

func TestModel(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 1))
		ops := make([]byte, 2000)
		for i := range ops {
			ops[i] = byte(r.Uint32())
		}
		play(t, ops, modelConfigs[seed%uint64(len(modelConfigs))])
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte("\x02\x06\x02\x06\x02\x06\x29\x02\x05\x02\x05\x02\x0d"), uint8(2))
	f.Fuzz(func(t *testing.T, ops []byte, cfg uint8) {
		play(t, ops, modelConfigs[int(cfg)%len(modelConfigs)])
	})
}
