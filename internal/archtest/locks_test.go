package archtest

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"slices"
	"strings"
)

// locksStay holds the convention for locks: a function gives back the locks that it
// took, and no others, on each way through it. A name that ends in Locked says that
// the lock is held at the call and still at the return; only who holds a lock calls it.
func locksStay(p *pkg, report reporter) {
	for _, f := range p.files {
		for _, decl := range f.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Body != nil {
				w := &lockWalk{report: report, within: strings.HasSuffix(fn.Name.Name, "Locked")}
				w.function(fn.Body, nil)
			}
		}
	}
}

// locks are the mutexes that are held at a place, by the text of their expressions;
// true: a defer gives it back.
type locks map[string]bool

// a lockWalk goes through one function, statement by statement.
type lockWalk struct {
	report  reporter
	within  bool  // a lock is held from outside
	outside locks // held where a deferred function was deferred: its own to give back
	targets []*target
}

// target is a statement that break leaves, with what is held then.
type target struct {
	label string
	held  []locks
}

// function walks a body that begins with the locks in held, and returns what it gave
// back of them.
func (w *lockWalk) function(body *ast.BlockStmt, held locks) (given locks) {
	w.outside = held
	if end, live := w.block(body.List, maps.Clone(held)); live {
		w.returns(body.Rbrace, end)
	}
	given = locks{}
	ast.Inspect(body, func(n ast.Node) bool {
		if mutex, verb := lockCall(n); verb == "Unlock" {
			given[mutex] = true
		}
		return true
	})
	return given
}

type place token.Pos

func (p place) Pos() token.Pos { return token.Pos(p) }
func (p place) End() token.Pos { return token.Pos(p) }

func (w *lockWalk) returns(at token.Pos, held locks) {
	for mutex, deferred := range held {
		if _, outer := w.outside[mutex]; !deferred && !outer {
			w.report(place(at), "returns with %s held", mutex)
		}
	}
}

// block returns what is held after the statements, and whether their end is reached.
func (w *lockWalk) block(list []ast.Stmt, held locks) (locks, bool) {
	if held == nil {
		held = locks{}
	}
	live := true
	for _, stmt := range list {
		if held, live = w.stmt(stmt, "", held); !live {
			return held, false
		}
	}
	return held, true
}

func (w *lockWalk) stmt(stmt ast.Stmt, label string, held locks) (_ locks, live bool) {
	switch s := stmt.(type) {
	case nil:
		return held, true
	case *ast.LabeledStmt:
		return w.stmt(s.Stmt, s.Label.Name, held)
	case *ast.BlockStmt:
		return w.block(s.List, held)
	case *ast.ReturnStmt:
		w.look(s, held)
		w.returns(s.Pos(), held)
		return held, false
	case *ast.BranchStmt:
		if s.Tok == token.BREAK {
			w.breaks(s, held)
		}
		return held, s.Tok == token.FALLTHROUGH
	case *ast.DeferStmt:
		w.deferred(s, held)
		return held, true
	case *ast.GoStmt:
		w.look(s, nil)
		return held, true
	case *ast.IfStmt:
		held, _ = w.stmt(s.Init, "", held)
		w.look(s.Cond, held)
		a, liveA := w.block(s.Body.List, maps.Clone(held))
		b, liveB := w.stmt(s.Else, "", maps.Clone(held))
		return w.join(s, reached(a, liveA), reached(b, liveB))
	case *ast.ForStmt:
		held, _ = w.stmt(s.Init, "", held)
		w.look(s.Cond, held)
		return w.loop(s, label, held, s.Body, s.Cond != nil)
	case *ast.RangeStmt:
		w.look(s.X, held)
		return w.loop(s, label, held, s.Body, true)
	case *ast.SwitchStmt:
		held, _ = w.stmt(s.Init, "", held)
		w.look(s.Tag, held)
		return w.clauses(s, label, held, s.Body)
	case *ast.TypeSwitchStmt:
		return w.clauses(s, label, held, s.Body)
	case *ast.SelectStmt:
		return w.clauses(s, label, held, s.Body)
	case *ast.ExprStmt:
		mutex, verb := lockCall(s.X)
		_, already := held[mutex]
		switch {
		case verb == "Lock" && already:
			w.report(s, "locks %s, which it holds", mutex)
		case verb == "Lock":
			held[mutex] = false
		case verb == "Unlock" && !already:
			w.report(s, "unlocks %s, which it did not lock", mutex)
		case verb == "Unlock":
			delete(held, mutex)
		default:
			w.look(s.X, held)
			if call, ok := s.X.(*ast.CallExpr); ok && types.ExprString(call.Fun) == "panic" {
				return held, false
			}
		}
		return held, true
	}
	w.look(stmt, held)
	return held, true
}

func (w *lockWalk) breaks(s *ast.BranchStmt, held locks) {
	for _, t := range slices.Backward(w.targets) {
		if s.Label == nil || s.Label.Name == t.label {
			t.held = append(t.held, maps.Clone(held))
			return
		}
	}
}

// deferred takes in a defer of an Unlock, or of a function with some.
func (w *lockWalk) deferred(s *ast.DeferStmt, held locks) {
	if mutex, verb := lockCall(s.Call); verb == "Unlock" {
		if _, ok := held[mutex]; !ok {
			w.report(s, "unlocks %s, which it did not lock", mutex)
		}
		held[mutex] = true
		return
	}
	lit, ok := s.Call.Fun.(*ast.FuncLit)
	if !ok {
		w.look(s.Call, held)
		return
	}
	inner := &lockWalk{report: w.report, within: w.within}
	for mutex := range inner.function(lit.Body, maps.Clone(held)) {
		if _, ok := held[mutex]; ok {
			held[mutex] = true
		}
	}
}

func (w *lockWalk) loop(n ast.Node, label string, held locks, body *ast.BlockStmt, ends bool) (locks, bool) {
	w.targets = append(w.targets, &target{label: label})
	after, live := w.block(body.List, maps.Clone(held))
	if live {
		w.join(n, after, held) // the next turn begins with the same locks
	}
	t := w.targets[len(w.targets)-1]
	w.targets = w.targets[:len(w.targets)-1]
	if ends {
		t.held = append(t.held, held)
	}
	return w.join(n, t.held...)
}

func (w *lockWalk) clauses(n ast.Node, label string, held locks, body *ast.BlockStmt) (locks, bool) {
	w.targets = append(w.targets, &target{label: label})
	t := w.targets[len(w.targets)-1]
	_, every := n.(*ast.SelectStmt)
	for _, clause := range body.List {
		var list []ast.Stmt
		switch c := clause.(type) {
		case *ast.CaseClause:
			every = every || c.List == nil
			list = c.Body
		case *ast.CommClause:
			list = append([]ast.Stmt{c.Comm}, c.Body...)
		}
		if after, live := w.block(list, maps.Clone(held)); live {
			t.held = append(t.held, after)
		}
	}
	w.targets = w.targets[:len(w.targets)-1]
	if !every {
		t.held = append(t.held, held)
	}
	return w.join(n, t.held...)
}

func reached(held locks, live bool) locks {
	if !live {
		return nil
	}
	return held
}

// join returns what is held where ways meet; nil is a way that does not get there.
// What a defer gives back may be held on some of them.
func (w *lockWalk) join(n ast.Node, ways ...locks) (locks, bool) {
	var held locks
	for _, way := range ways {
		if way == nil {
			continue
		}
		if held == nil {
			held = maps.Clone(way)
		}
		if a, b := held.owed(), way.owed(); !slices.Equal(a, b) {
			w.report(n, "one way through it holds %v, another %v", a, b)
		}
		maps.DeleteFunc(held, func(mutex string, _ bool) bool { _, ok := way[mutex]; return !ok })
	}
	return held, held != nil
}

// owed returns the mutexes that are still to be given back.
func (l locks) owed() (list []string) {
	for mutex, deferred := range l {
		if !deferred {
			list = append(list, mutex)
		}
	}
	slices.Sort(list)
	return list
}

// look finds calls of Locked functions without a lock, and walks function literals.
func (w *lockWalk) look(n ast.Node, held locks) {
	if n == nil || n == ast.Expr(nil) {
		return
	}
	within := w.within || len(held) > 0
	if g, ok := n.(*ast.GoStmt); ok {
		within, n = false, g.Call
	}
	named := map[ast.Expr]bool{} // functions with a name that ends in Locked
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			(&lockWalk{report: w.report, within: within || named[n]}).function(n.Body, nil)
			return false
		case *ast.AssignStmt:
			for i, right := range n.Rhs {
				named[right] = strings.HasSuffix(types.ExprString(n.Lhs[i]), "Locked")
			}
		case *ast.KeyValueExpr:
			named[n.Value] = strings.HasSuffix(types.ExprString(n.Key), "Locked")
		case *ast.CallExpr:
			name := types.ExprString(n.Fun)
			if name == "time.AfterFunc" {
				(&lockWalk{report: w.report}).look(n.Args[1], nil)
				return false
			}
			if _, generic, ok := strings.Cut(name, "["); ok && generic != "" {
				name, _, _ = strings.Cut(name, "[")
			}
			if strings.HasSuffix(name, "Locked") && !within {
				w.report(n, "calls %s without a lock", name)
			}
		}
		return true
	})
}

// lockCall returns the mutex and Lock or Unlock, if n is a call of that.
func lockCall(n ast.Node) (mutex, verb string) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) > 0 {
		return "", ""
	}
	sel, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	switch sel.Sel.Name {
	case "Lock", "Unlock":
		return types.ExprString(sel.X), sel.Sel.Name
	case "RLock", "RUnlock":
		return types.ExprString(sel.X) + " for reading", strings.TrimPrefix(sel.Sel.Name, "R")
	}
	return "", ""
}
