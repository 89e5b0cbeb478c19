package build

import "github.com/millrace/millrace/planner/plan"

// Locks says whether a statement should run in a transaction that locks keys as it
// writes (storage.TxnOptions.Explicit) even when it is the only one there: because
// it tells the client rows that its commit might still change (RETURNING of an
// update or delete), or must know of keys that others insert meanwhile (ON CONFLICT
// that looks at what there is).
func Locks(n plan.Node) bool {
	if n == nil {
		return false
	}
	switch n := n.(type) {
	case *plan.Insert:
		if n.Conflict != nil && len(n.Table.PK) > 0 && (n.Conflict.DoNothing || !blind(n)) {
			return true
		}
	case *plan.Update:
		if len(n.Returning) > 0 {
			return true
		}
	case *plan.Delete:
		if len(n.Returning) > 0 {
			return true
		}
	}
	for _, c := range n.Children() {
		if Locks(c) {
			return true
		}
	}
	return false
}
