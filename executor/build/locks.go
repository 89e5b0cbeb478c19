package build

import "github.com/millrace/millrace/planner/plan"

// Looks says whether an insert looks at the rows that there are.
func Looks(n *plan.Insert) bool {
	return n.Conflict != nil && len(n.Table.PK) > 0 && (n.Conflict.DoNothing || !blind(n))
}

// locks says whether a write locks its keys (storage.Mutation.Lock) even when it is
// the only statement of its transaction: because it tells the client rows that its
// commit might still change (RETURNING of an update or delete), or must know of keys
// that others insert meanwhile (ON CONFLICT that looks at what there is).
func locks(n plan.Node) bool {
	switch n := n.(type) {
	case *plan.Insert:
		return Looks(n)
	case *plan.Update:
		if len(n.Returning) > 0 {
			return true
		}
	case *plan.Delete:
		if len(n.Returning) > 0 {
			return true
		}
	}
	return false
}
