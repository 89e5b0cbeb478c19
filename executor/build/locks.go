package build

import (
	"slices"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/planner/plan"
)

// Repeats says whether a statement may find, under READ COMMITTED, that others have
// changed rows which it cannot decide on by itself, and is then to be run again from
// a new snapshot (40001).
func Repeats(n plan.Node) bool {
	switch x := n.(type) {
	case *plan.Update:
		return !x.SelfContained || !within(x.Old, append([]expr.Expr{x.Recheck}, x.Set...)...) || !within(slices.Concat(x.Old, x.Row), projections(x.Returning)...)
	case *plan.Delete:
		return !x.SelfContained || !within(x.Old, x.Recheck) || !within(x.Old, projections(x.Returning)...)
	case *plan.Merge:
		return true
	case *plan.LockRows:
		if x.Joined != nil || !x.SelfContained {
			return true
		}
	}
	return slices.ContainsFunc(n.Children(), Repeats)
}

// Looks says whether an insert looks at the rows that there are.
func Looks(n *plan.Insert) bool {
	return n.Conflict != nil && len(n.Table.PK) > 0 && (n.Conflict.DoNothing || !blind(n))
}

// locks says whether a write locks its keys (storage.Mutation.Lock) even when it is
// the only statement of its transaction: because it tells the client how many rows it
// changed, or which, and its commit might find that others were faster; or must know
// of keys that others insert meanwhile (ON CONFLICT that looks at what there is).
// countLater: the count of an update or delete is put right after the commit.
func locks(n plan.Node, countLater bool) bool {
	switch n := n.(type) {
	case *plan.Insert:
		return Looks(n)
	case *plan.Update:
		return len(n.Returning) > 0 || !countLater
	case *plan.Delete:
		return len(n.Returning) > 0 || !countLater
	case *plan.Merge:
		return true
	}
	return false
}
