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
	counters   Stats // its counters alone
	mode       Mode
	slowStart  bool
	state      State
	generation int
	since      time.Duration
	reopen     time.Duration
	lastOpen   time.Duration
	opened     int
	calls      []*modelCall
	row, ended int            // bad calls since the last good one, and calls that ended well
	trials     []*modelPermit // of the half-open episode, or of the one that led to this closed one
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
	stopped    bool // its time is over,
	tooLong    bool // and was too long
	judged     bool
	asGood     bool // counts so in the counters
	disabled   bool
	outcome    Outcome    // of a trial
	good       *modelCall // that a failure takes back
	row, ended int        // when the call was good
}

// tick is what time alone does.
func (m *model) tick(now time.Duration) {
	if m.state == Open && m.mode == Auto && now >= m.reopen {
		m.begin(HalfOpen, now)
		m.trials = nil
	}
}

func (m *model) begin(s State, now time.Duration) {
	if s == Open && m.state != Open {
		m.counters.Opened++
	}
	m.state, m.since, m.calls, m.permits, m.row, m.share, m.looked = s, now, nil, nil, 0, 0, 0
	m.generation++
	m.slowStart = false
}

func (m *model) force(mode Mode, now time.Duration) {
	m.mode, m.opened, m.trials = mode, 0, nil
	if mode == ForcedOpen {
		m.begin(Open, now)
	} else {
		m.begin(Closed, now)
	}
}

func (m *model) allow(now time.Duration) *modelPermit {
	p := m.admit(now)
	if p == nil {
		m.counters.Refused++
	}
	return p
}

func (m *model) admit(now time.Duration) *modelPermit {
	p := &modelPermit{generation: m.generation, began: now, disabled: m.mode == Disabled}
	if p.disabled {
		return p
	}
	switch m.state {
	case Open:
		return nil
	case HalfOpen:
		taken := 0
		for _, q := range m.trials {
			if q.outcome != Default || !q.done && now < q.began+m.cfg.TrialLease {
				taken++
			}
		}
		if taken >= m.cfg.Trials {
			return nil
		}
		m.trials = append(m.trials, p)
		m.counters.Trials++
	case Closed:
		if m.cfg.CountInFlight && now/(m.cfg.Slow/4) != m.looked {
			m.looked = now / (m.cfg.Slow / 4)
			if m.judge(now) {
				return nil
			}
		}
		if m.running() >= 10 && m.slowStart && now < m.since+m.cfg.SlowStart {
			progress := float64(now-m.since) / float64(m.cfg.SlowStart)
			m.share += 0.1 + 0.9*progress
			if m.share < 1 {
				return nil
			}
			m.share--
		}
		m.permits = append(m.permits, p)
	}
	return p
}

// window counts the calls that have ended in the last ten steps.
func (m *model) window(now time.Duration) (n Counts) {
	step := m.cfg.Window / steps
	for _, c := range m.calls {
		if c.at/step > now/step-steps {
			n.Calls++
			if c.failed {
				n.Failed++
			}
			if c.slow {
				n.Slow++
			}
		}
	}
	return n
}

// overdue counts the calls of this generation that run for too long.
func (m *model) overdue(now time.Duration) (n int) {
	if !m.cfg.CountInFlight {
		return 0
	}
	quarter := m.cfg.Slow / 4
	for _, p := range m.permits {
		if p.generation == m.generation && !p.stopped && now/quarter-p.began/quarter > 4 {
			n++
		}
	}
	return n
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

// judge opens the breaker if it must, and reports that.
func (m *model) judge(now time.Duration) bool {
	step := m.cfg.Window / steps
	overdue := m.overdue(now)
	calls, bad := overdue, overdue
	for _, c := range m.calls {
		if c.at/step > now/step-steps {
			calls++
			if c.bad() {
				bad++
			}
		}
	}
	if m.mode != Auto {
		return false
	}
	if m.cfg.Consecutive > 0 && m.row >= m.cfg.Consecutive ||
		m.cfg.AllFailed > 0 && bad == calls && m.row+overdue >= m.cfg.AllFailed ||
		calls >= m.cfg.MinCalls && float64(bad) >= m.cfg.FailureRate*float64(calls) {
		if now-m.since >= m.lastOpen {
			m.opened = 0
		}
		m.open(now)
		return true
	}
	return false
}

// report is Done, or Answered if the call goes on.
func (m *model) report(p *modelPermit, o Outcome, done bool, now time.Duration) {
	judged := p.judged
	if !done && judged {
		return
	}
	p.done = p.done || done
	if !p.stopped {
		p.stopped, p.tooLong = true, m.cfg.Slow > 0 && now-p.began > m.cfg.Slow
	}
	m.tally(p, o, done)
	p.judged = judged || o == Success || o == Failure
	m.permits = slices.DeleteFunc(m.permits, func(p *modelPermit) bool { return p.done })
	if slices.Contains(m.trials, p) {
		m.tried(p, o, now)
		return
	}
	if p.generation != m.generation || p.disabled || o != Success && o != Failure {
		return
	}
	call := &modelCall{now, o == Failure, p.tooLong}
	switch {
	case p.good != nil && o == Failure:
		m.calls = slices.DeleteFunc(m.calls, func(c *modelCall) bool { return c == p.good })
		if p.ended == m.ended {
			m.row += p.row
		}
		p.good = nil
	case judged:
		if p.good != nil {
			m.ended++
		}
		return
	case !call.bad():
		if done {
			m.ended++
		} else {
			p.good, p.row, p.ended = call, m.row, m.ended
		}
		m.row = 0
	}
	m.count(call, now)
}

// tally is what a report changes of the counters.
func (m *model) tally(p *modelPermit, o Outcome, done bool) {
	n := &m.counters
	switch known := o == Success || o == Failure; {
	case known && !p.judged:
		n.Calls++
		if o == Failure {
			n.Failed++
		}
		if p.tooLong {
			n.Slow++
		}
		p.asGood = o == Success && !p.tooLong
	case o == Failure && p.asGood:
		n.Failed++
		p.asGood = false
	case done && !p.judged:
		n.Calls++
		n.Ignored++
	}
}

func (m *model) count(call *modelCall, now time.Duration) {
	m.calls = slices.DeleteFunc(append(m.calls, call), func(c *modelCall) bool { return c.at < now-2*m.cfg.Window })
	if call.bad() {
		m.row++
		m.judge(now)
	}
}

func (m *model) tried(p *modelPermit, o Outcome, now time.Duration) {
	if o == Success && p.tooLong {
		o = Failure
	}
	turned := p.outcome == Success && o == Failure
	if o == Failure || o == Success && p.outcome == Default {
		p.outcome = o
	}
	succeeded, failed := 0, 0
	for _, q := range m.trials {
		switch q.outcome {
		case Success:
			succeeded++
		case Failure:
			failed++
		}
	}
	good := slices.ContainsFunc(m.calls, func(c *modelCall) bool {
		step := m.cfg.Window / steps
		return !c.bad() && c.at/step > now/step-steps
	})
	switch {
	case m.state == HalfOpen && succeeded >= m.cfg.TrialsNeeded:
		m.begin(Closed, now)
		m.slowStart = m.cfg.SlowStart > 0
	case m.state == HalfOpen && failed > m.cfg.Trials-m.cfg.TrialsNeeded:
		m.open(now)
	case m.state == Closed && turned && (now-m.since < m.lastOpen || !good):
		m.open(now)
	case m.state == Closed && turned:
		m.count(&modelCall{at: now, failed: true}, now)
	}
}

func (m *model) open(now time.Duration) {
	d := m.cfg.OpenFor
	for range m.opened {
		d = min(2*d, m.cfg.MaxOpenFor)
	}
	m.opened++
	m.trip(d, now)
}

func (m *model) trip(d, now time.Duration) {
	m.begin(Open, now)
	m.reopen, m.lastOpen, m.trials = now+d, d, nil
}

// A subject is a Breaker with its model, and the calls that run.
type subject struct {
	b       *Breaker
	m       *model
	running []*modelRun
}

type modelRun struct {
	real, copied Permit
	trial        bool
	model        *modelPermit
}

func newSubject(b *Breaker) *subject {
	b.rand = func() float64 { return 0 }
	return &subject{b: b, m: &model{cfg: b.cfg}}
}

// step plays an operation of a call: one begins, is answered, or ends.
func (s *subject) step(t *testing.T, op byte) {
	now := time.Since(s.b.epoch)
	s.m.tick(now)
	kind, arg := op%8, int(op>>3)
	if arg == 31 && kind <= 4 {
		if kind == 4 {
			s.b.Trip(time.Second, nil)
			if s.m.mode == Auto {
				s.m.trip(time.Second, now)
			}
			return
		}
		s.b.Force(Mode(kind))
		s.m.force(Mode(kind), now)
		return
	}
	if kind <= 4 && len(s.running) < 40 {
		half := s.b.State() == HalfOpen
		real, err := s.b.Allow()
		p := s.m.allow(now)
		if (err == nil) != (p != nil) {
			t.Fatalf("at %v: Allow returned %v, the model %v; %v", now, err, p != nil, s.m.state)
		}
		if p != nil {
			run := &modelRun{trial: half, model: p}
			move(&run.real, &real)
			move(&run.copied, &run.real)
			s.running = append(s.running, run)
		}
		return
	}
	if len(s.running) == 0 {
		return
	}
	o := [8]Outcome{0: Failure, 1: Success, 2: Failure, 3: Success, 4: Success, 5: Success, 6: Success, 7: Failure}[kind]
	if arg == 31 {
		o = Ignored
	}
	k := arg % len(s.running)
	run := s.running[k]
	if kind == 5 {
		run.real.Answered(o)
		s.m.report(run.model, o, false, now)
		return
	}
	run.real.Done(o)
	s.m.report(run.model, o, true, now)
	if run.trial { // a copy of it changes nothing
		before := s.b.Stats()
		run.copied.Done(o)
		if after := s.b.Stats(); after.Window != before.Window || after.State != before.State || after.Calls != before.Calls {
			t.Fatalf("at %v: the copy of a trial's permit changed %+v to %+v", now, before, after)
		}
	}
	s.running = append(s.running[:k], s.running[k+1:]...)
}

// move copies a Permit, which is what go vet must not see.
func move[T any](to, from *T) { *to = *from }

func (s *subject) check(t *testing.T) {
	now := time.Since(s.b.epoch)
	s.m.tick(now)
	if s.b.State() != s.m.state {
		t.Fatalf("at %v: state %v, the model's %v", now, s.b.State(), s.m.state)
	}
	e := s.b.current.Load()
	overdue := 0
	if e.inflight != nil {
		overdue = e.inflight.overdue(now)
	}
	if n := e.row.len(); e.state == Closed && (n != s.m.row || overdue != s.m.overdue(now)) {
		t.Fatalf("at %v: %d in a row, %d overdue; the model's %d, %d", now, n, overdue, s.m.row, s.m.overdue(now))
	}
}

// checkCounts is for a subject that has done a step.
func (s *subject) checkCounts(t *testing.T) {
	now := time.Since(s.b.epoch)
	var stats Stats
	s.b.mu.Lock()
	s.b.countLocked(&stats)
	s.b.mu.Unlock()
	if got, want := countersOf(stats), countersOf(s.m.counters); got != want {
		t.Fatalf("at %v: counted %v, the model %v", now, got, want)
	}
	if e := s.b.current.Load(); e.state == Closed {
		if got, want := e.counts(now), s.m.window(now); got != want {
			t.Fatalf("at %v: %+v in the window, in the model's %+v", now, got, want)
		}
	}
}

// countersOf returns Calls, Failed, Slow, Ignored, Refused, Overruled, Trials, Opened.
func countersOf(s Stats) [8]uint64 {
	return [8]uint64{s.Calls, s.Failed, s.Slow, s.Ignored, s.Refused, s.Overruled, s.Trials, s.Opened}
}

// play runs a random history against a Breaker and its model.
func play(t *testing.T, ops []byte, cfg Config) {
	synctest.Test(t, func(t *testing.T) {
		s := newSubject(New(cfg))
		for _, op := range ops {
			pass(op)
			if op%16 > 1 {
				s.step(t, op)
			}
			s.check(t)
			s.checkCounts(t)
		}
	})
}

// pass lets time pass, if op says so.
func pass(op byte) {
	switch op % 16 {
	case 0:
		sleep(time.Duration(op>>4) * 200 * time.Millisecond)
	case 1:
		sleep(time.Duration(op>>4) * 2 * time.Second)
	}
}

var modelConfigs = []Config{
	{MinCalls: 4, Consecutive: 5, AllFailed: -1},
	{MinCalls: 3, FailureRate: 0.3, Consecutive: -1, Window: 2 * time.Second, SlowStart: -1, AllFailed: 2},
	{Consecutive: 2, Trials: 1, OpenFor: time.Second, TrialLease: 3 * time.Second, MaxOpenFor: 10 * time.Second},
	{Consecutive: 1, Trials: 5, TrialsNeeded: 1, OpenFor: 300 * time.Millisecond, TrialLease: time.Second, SlowStart: time.Second},
	{MinCalls: 5, FailureRate: 0.4, Slow: time.Second, OpenFor: time.Second},
	{MinCalls: 5, Slow: 2 * time.Second, CountInFlight: true, OpenFor: time.Second, SlowStart: -1},
	{MinCalls: 50, Slow: time.Second, CountInFlight: true, AllFailed: 3, TrialLease: time.Second, SlowStart: time.Minute},
}

func randomOps(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	ops := make([]byte, n)
	for i := range ops {
		ops[i] = byte(r.Uint32())
	}
	return ops
}

func TestModel(t *testing.T) {
	for seed := range uint64(140) {
		play(t, randomOps(seed, 2000), modelConfigs[seed%uint64(len(modelConfigs))])
	}
}

// Breakers that a Set has thrown out go on as they were, and the others know nothing
// of it.
func TestModelInASet(t *testing.T) {
	for seed := range uint64(10) {
		synctest.Test(t, func(t *testing.T) {
			const keys, kept = 8, 3
			set := NewSet(SetConfig[int]{MaxKeys: kept, Config: func(k int) Config {
				return modelConfigs[k%len(modelConfigs)]
			}})
			var subjects []*subject
			ops := randomOps(seed, 3000)
			evicted := 0
			for i := 0; i+1 < len(ops); i += 2 {
				pass(ops[i])
				b := set.Get(int(ops[i+1]) % keys)
				k := slices.IndexFunc(subjects, func(s *subject) bool { return s.b == b })
				if k < 0 {
					k = len(subjects)
					subjects = append(subjects, newSubject(b))
				}
				if ops[i+1]>>5 == 0 {
					k = 0 // it may have been thrown out long ago
				}
				subjects[k].step(t, ops[i])
				subjects[k].checkCounts(t)
				subjects = slices.DeleteFunc(subjects, func(s *subject) bool {
					s.check(t)
					gone := s.b.dropped && len(s.running) == 0
					if gone {
						evicted++
					}
					return gone
				})
				open := 0
				for _, b := range set.All() {
					if b.State() != Closed {
						open++
					}
				}
				if n := set.fuse.tripped.Load(); set.Stats().Keys > kept || n != int64(open) {
					t.Fatalf("%d breakers, %d of them open, counted as %d", set.Stats().Keys, open, n)
				}
			}
			if evicted == 0 {
				t.Error("none was thrown out")
			}
		})
	}
}

func FuzzModel(f *testing.F) {
	f.Add([]byte("\x02\x06\x02\x06\x02\x06\x29\x02\x05\x02\x05\x02\x0d"), uint8(2))
	f.Fuzz(func(t *testing.T, ops []byte, cfg uint8) {
		play(t, ops, modelConfigs[int(cfg)%len(modelConfigs)])
	})
}
