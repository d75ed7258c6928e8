package facade

import "fmt"

// Values are those of the parts of one call. assemble gets them, and reads them by the
// parts' handles. They must not be used after assemble has returned.
type Values struct {
	run    run
	misuse error
}

// A Reason says why a part has no value, or only a fallback.
type Reason struct {
	Part   string // its name
	Status Status // FellBack, Failed, Skipped or Cancelled
	Err    error  // may hold what clients should not see
}

func (r Reason) String() string { return fmt.Sprintf("%s %v: %v", r.Part, r.Status, r.Err) }

// Missing returns what the answer lacks, in the plan's order: the parts that are not
// OK, except for those that were not needed.
func (v *Values) Missing() []Reason {
	return v.run.missing("")
}

func (r *run) missing(except string) (reasons []Reason) {
	for i := range r.cells {
		c, name := &r.cells[i], r.plan.nodes[i].name
		if c.status != OK && name != except && !c.unneeded {
			reasons = append(reasons, Reason{Part: name, Status: c.status, Err: c.err})
		}
	}
	return reasons
}

// foreign reports whether a handle belongs to another plan. The call fails then.
func (v *Values) foreign(def *definition, index int, name func() string) bool {
	if v == nil || v.run.plan == nil {
		panic("facade: Values that assemble did not get, which have no parts")
	}
	if def == v.run.plan.def && index < len(v.run.cells) {
		return false
	}
	if v.misuse == nil {
		v.misuse = fmt.Errorf("facade: assemble reads part %q, which the plan did not have when it was built", name())
	}
	return true
}
