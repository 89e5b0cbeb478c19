// Package agg holds the states of aggregate functions, registered under
// PostgreSQL's OIDs, and the window functions that are not aggregates. The
// operators in executor/op decide which rows go to which group; what a group keeps
// of them is here.
//
// A State holds one aggregate's states of all groups of one hash table, by group
// number, in few large slices: there is no object per group. It is used by one
// goroutine at a time.
package agg

import (
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// State is the states of one aggregate call for the groups 0..n-1.
type State interface {
	// Grow makes n groups, new ones without rows.
	Grow(n int)
	// Update adds n rows. Row k is row sel[k] of the arguments, or row k when sel is
	// nil, and goes to group groups[k]. Arguments have any form. Rows are added in
	// order.
	Update(args []*vec.Vec, sel []uint16, n int, groups []uint32) error
	// Merge adds the groups src of from, a state of the same Call, to the groups dst:
	// src[k] to dst[k]. from is not used afterwards, and what it held may be taken over.
	Merge(from State, src, dst []uint32) error
	// Result appends the values of these groups to out, a flat vector of Call.T. It
	// may be called once for each group.
	Result(groups []uint32, out *vec.Vec) error
	// Bytes is about how much memory the states hold.
	Bytes() int64
}

// Call is what a State is made for. Star calls (count(*)) have no arguments.
type Call struct {
	Fn   *fn.Func
	Args []types.T // of the aggregated arguments
	T    types.T   // of the result
	// Direct are the values of an ordered-set aggregate's direct arguments. The
	// aggregated arguments of these come sorted by the operator, group by group.
	Direct []types.Datum
	// Order is the order of a hypothetical-set aggregate's arguments.
	Order []SortOrder
	Env   *types.Env
	// Ended says whether the query has ended: long results are then given up. nil: never.
	Ended func() bool
}

// lookRows is how often loops over the rows of a group look whether the query has ended.
const lookRows = 1 << 14

// errEnded is only for those who no longer listen: the query has its error.
var errEnded = sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to user request")

// SortOrder is how one argument is sorted.
type SortOrder struct{ Desc, NullsFirst bool }

// makers has the constructors by the functions' OIDs.
var makers = map[uint32]func(*Call) (State, error){}

// New makes the states of a call.
func New(c *Call) (State, error) {
	m := makers[c.Fn.OID]
	if m == nil {
		return nil, sqlstate.Unsupported("aggregate function %s", c.Fn.Name)
	}
	return m(c)
}

// OrderSensitive says whether an aggregate's result depends on the order of its
// input (array_agg, string_agg and the json aggregates do): the operator then keeps
// the order that its input has.
func OrderSensitive(f *fn.Func) bool {
	switch f.Name {
	case "array_agg", "string_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg", "xmlagg":
		return true
	}
	return false
}
