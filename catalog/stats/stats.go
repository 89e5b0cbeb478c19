// Package stats holds what is known of a table's data: counts, bounds, distinct
// sketches and samples, merged from those that flush, load and compaction write.
package stats

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
)

// Table is a table's statistics at some moment. It is immutable.
type Table struct {
	Rows    int64
	Columns []Column // by ordinal of the table's column
	// Sample holds up to some thousand rows, a datum a column by ordinal; nil
	// when there is none.
	Sample [][]types.Datum
	// Bytes is the size on disk.
	Bytes int64
}

// Column is what is known of one column. Min and Max enclose all values of rows
// that are visible to any snapshot; they are NULL when unknown or when there are
// no values. For strings they may be shortened (Max then is an upper bound).
type Column struct {
	Min, Max types.Datum
	Nulls    int64
	Distinct float64 // estimated count, 0 when unknown
	AvgBytes float64
}

// Sampler runs a predicate over the sample. The planner gets one through its
// environment, since expressions are evaluated in a room it does not import.
type Sampler func(t *Table, pred expr.Expr) (fraction float64, ok bool)
