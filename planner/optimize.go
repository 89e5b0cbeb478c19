// Package planner turns statements into plans: bind (names and types), pass (the
// optimizer) and cost below it. It sees the catalog and never storage or the
// executor: what it must know of data comes through Env.
package planner

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/planner/pass"
	"github.com/millrace/millrace/planner/plan"
)

// Env is what optimizing needs besides the bound statement.
type Env struct {
	Stats  func(*catalog.Table) *stats.Table
	Fold   func(expr.Expr) expr.Expr
	Sample stats.Sampler
	// PassesOff names optimizer passes to leave out (a test setting).
	PassesOff map[string]bool
	// Ended is an error once nobody waits for the plan any more: it is then not made. May
	// be nil.
	Ended func() error
}

// Optimize runs the passes over every plan in the statement, in place.
func Optimize(s *plan.Statement, env *Env) error {
	c := &pass.Context{Stats: env.Stats, Fold: env.Fold, Sample: env.Sample, Off: env.PassesOff, Ended: env.Ended, NextID: s.MaxID}
	var err error
	opt := func(n plan.Node) plan.Node {
		if n == nil || err != nil {
			return n
		}
		var m plan.Node
		if m, err = pass.Run(c, n); err != nil {
			return n
		}
		return m
	}
	s.Root = opt(s.Root)
	switch u := s.Utility.(type) {
	case *plan.CreateTable:
		u.Query = opt(u.Query)
	case *plan.Copy:
		u.Query = opt(u.Query)
	case *plan.Explain:
		if u.Stmt.MaxID == 0 {
			u.Stmt.MaxID = s.MaxID
		}
		err = Optimize(u.Stmt, env)
	}
	s.MaxID = c.NextID
	if err == nil && s.Root != nil {
		s.Sizes = sizes(s.Root, env)
	}
	return err
}

// sizes are the rows of the tables of a plan that was chosen by them: one that has joins,
// whose order and sides were, or reads a table of rows alone from end to end, which is not
// counted when it runs.
func sizes(n plan.Node, env *Env) []plan.Size {
	var out []plan.Size
	chosen := false
	var walk func(plan.Node)
	walk = func(n plan.Node) {
		switch x := n.(type) {
		case *plan.Join:
			chosen = true
		case *plan.Scan:
			if x.Table.Kind == catalog.KindTable && env.Stats != nil {
				out = append(out, plan.Size{Table: x.Table.OID, Rows: env.Stats(x.Table).Rows})
				chosen = chosen || !x.Table.IsBinlog && !x.Table.StoresColumns() && !x.ByRow && x.Key == nil && x.KeyIn == nil
			}
		}
		for _, c := range n.Children() {
			walk(c)
		}
	}
	walk(n)
	if !chosen {
		return nil
	}
	return out
}
