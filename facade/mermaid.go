package facade

import (
	"fmt"
	"strings"
)

// Mermaid returns a flow chart of the plan in the language of Mermaid, which README
// files show as a drawing. Broken borders are optional parts, broken arrows lead to
// parts that run in any case, thick borders are pivots.
func (f *Facade[In, Out]) Mermaid() string {
	f.must("Mermaid")
	var s strings.Builder
	s.WriteString("flowchart LR\n\tinput([input])\n")
	var optional, pivots []string
	for i := range f.plan.nodes {
		n := &f.plan.nodes[i]
		id := fmt.Sprintf("p%d", i)
		fmt.Fprintf(&s, "\t%s[\"%s\"]\n", id, n.drawn())
		drawn := map[edge]bool{}
		for _, e := range n.edges {
			from, arrow := "input", "-->"
			if e.index != input {
				from = fmt.Sprintf("p%d", e.index)
			}
			if e.soft {
				arrow = "-.->"
			}
			if !drawn[e] {
				fmt.Fprintf(&s, "\t%s %s %s\n", from, arrow, id)
			}
			drawn[e] = true
		}
		if n.optional {
			optional = append(optional, id)
		}
		if n.pivot {
			pivots = append(pivots, id)
		}
	}
	if len(optional) > 0 {
		fmt.Fprintf(&s, "\tclassDef optional stroke-dasharray:4\n\tclass %s optional\n", strings.Join(optional, ","))
	}
	if len(pivots) > 0 {
		fmt.Fprintf(&s, "\tclassDef pivot stroke-width:4px\n\tclass %s pivot\n", strings.Join(pivots, ","))
	}
	return s.String()
}

// drawn is what stands in the box of a part.
func (n *node) drawn() string {
	lines := []string{strings.NewReplacer(`"`, "#quot;", "<", "#lt;", ">", "#gt;", "\n", " ").Replace(n.name)}
	if n.timeout > 0 {
		lines = append(lines, "within "+n.timeout.String())
	}
	if n.expects > 0 {
		lines = append(lines, "takes "+n.expects.String())
	}
	if n.when != nil {
		lines = append(lines, "if needed")
	}
	if n.fallbacks > 0 {
		lines = append(lines, "or a fallback")
	}
	if n.undoable() {
		lines = append(lines, "can be undone")
	}
	return strings.Join(lines, "<br>")
}
