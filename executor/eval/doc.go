// Package eval compiles typed expressions (catalog/expr) to kernel programs over
// batches, and holds the loops of the built-in functions, registered under
// PostgreSQL's OIDs.
//
// A Program is a graph of nodes, equal sub-expressions being one node. A node is
// evaluated in a scope: a batch's rows and a selection of them. CASE, COALESCE,
// AND and OR evaluate later operands in narrower scopes; a node keeps its result
// for the scope it was evaluated in and for the scopes below that. Rows outside
// the selection have unspecified values, and never raise.
//
// Forms: constants stay constant. A call that is immutable, cannot fail and has
// one dictionary argument beside constants runs once over the dictionary and
// keeps the codes. All else is flattened. So loops see flat and constant vectors
// only.
//
// A Program serves one goroutine, and its result vectors are its own until the
// next Eval. In steady state evaluation allocates nothing.
package eval

import "github.com/millrace/millrace/storage/vec"

// bitmap words and helpers used all over.
func words(n int) int { return vec.Words(n) }
