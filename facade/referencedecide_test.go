package facade_test

import (
	"slices"

	"github.com/belay-go/belay/facade"
)

// without decides part i, which has no value.
func (r *reference) without(i int, status facade.Status) {
	switch {
	case r.call != "" && r.state[i].expired:
		r.decide(i, facade.Cancelled, 0)
	case r.call != "":
		r.decide(i, status, 0)
	case r.parts[i].fallback == 1 || r.parts[i].fallback == 2:
		r.decide(i, facade.FellBack, 100)
	default:
		if !r.parts[i].optional {
			r.fail("failed", name(i))
		}
		r.decide(i, status, 0)
	}
}

// notNeeded is without, where that is no failure.
func (r *reference) notNeeded(i int) {
	if r.parts[i].fallback > 0 {
		r.without(i, facade.Skipped)
	} else {
		r.decide(i, facade.Skipped, 0)
	}
}

func (r *reference) decide(i int, status facade.Status, v int) {
	s := &r.state[i]
	s.decided, s.at = true, r.now
	r.statuses[i], r.values[i] = status, v
	if r.parts[i].pivot && s.ok {
		r.pivoted = true
		for j := range r.state { // what was done before is not undone
			if s := &r.state[j]; s.decided {
				s.ok, s.unknown = false, false
			}
		}
	}
	for j := i + 1; j < len(r.parts); j++ {
		p := r.parts[j]
		if !slices.Contains(p.on, i) && p.when != i || r.state[j].decided {
			continue
		}
		r.state[j].told++
		waits, skip := len(p.on), false
		for k, d := range p.on {
			skip = skip || !p.soft[k] && r.statuses[d] > facade.FellBack
		}
		if p.when >= 0 {
			waits++
			skip = skip || r.statuses[p.when] > facade.FellBack
		}
		r.state[j].skip = skip
		switch {
		case r.state[j].told < waits:
		case skip && p.fallback < 2:
			r.without(j, facade.Skipped)
		default:
			r.enqueue(j)
		}
	}
}

// fail cancels everything.
func (r *reference) fail(why, part string) {
	if r.call != "" {
		return
	}
	r.call, r.part = why, part
	// One that fails as soon as it is begun may come before or after others that are.
	r.ambiguous = r.ambiguous || r.begun > 0 && r.begun+len(r.queue) > 1 && r.limit != 1
	r.queue = nil
	for i := range r.state {
		if s := &r.state[i]; !s.decided && name(i) != part && (!s.started || s.expired) {
			s.decided, s.at = true, r.now
			r.statuses[i] = facade.Cancelled
		}
	}
	for i := range r.state {
		if s := &r.state[i]; !s.decided && name(i) != part && !r.parts[i].ignores && s.ends > r.now {
			s.ends, s.timeout = r.now, true
			r.interrupt(i)
		}
	}
}

// late is the return of a function that was left behind.
func (r *reference) late(i int) {
	p, s := r.parts[i], &r.state[i]
	s.left = false
	if p.fails {
		if r.over() && r.call != "" && p.always {
			r.undos = append(r.undos, "always "+name(i))
		}
		return
	}
	s.ok = s.unknown // it has its place among the others
	s.unknown = false
	r.undoes(i)
	s.at = -1 - s.at // but is done already
}

func (r *reference) undoes(i int) {
	switch p := r.parts[i]; {
	case p.undo && (r.state[i].ok || !r.parts[i].fails && r.state[i].at >= 0 && !r.state[i].unknown):
		r.undos = append(r.undos, "undo "+name(i))
	case p.always:
		r.undos = append(r.undos, "always "+name(i))
	}
}

// conclude undoes, and lets what was left behind return.
func (r *reference) conclude() {
	r.failed = r.call
	if r.call != "" {
		for i := range r.state {
			s, p := &r.state[i], r.parts[i]
			late := s.at < 0
			if late {
				s.at = -1 - s.at
			}
			switch {
			case !p.undoable() || !s.ok && !s.unknown:
			case s.left || s.unknown && !p.always:
				r.unknown = append(r.unknown, name(i))
			default:
				r.undone = append(r.undone, undone{name(i), s.at})
				if !late {
					r.undoes(i)
				}
			}
		}
	}
	for slices.ContainsFunc(r.state, func(s refState) bool { return s.left }) {
		ambiguous := r.ambiguous
		r.step()
		r.ambiguous = ambiguous
	}
	slices.Sort(r.undos)
	slices.Sort(r.unknown)
}
