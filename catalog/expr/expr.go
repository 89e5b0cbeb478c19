// Package expr is the typed scalar expression: what the binder makes of SQL, what
// plans, column defaults, source filters and rollup definitions hold, and what
// executor/eval runs. Expressions are immutable trees; a rewrite makes new nodes.
//
// A Column names its value by number. In a plan the number is a column id, unique
// in the query (plan.ColumnID); in a catalog.ScanSpec, a default or a check it is
// the ordinal of the table's column.
package expr

import (
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
)

// Expr is a node. Children are the operands in order; WithChildren makes a copy
// with others in their places.
type Expr interface {
	Type() types.T
	Children() []Expr
	WithChildren([]Expr) Expr
}

// Column is a column's value.
type Column struct {
	ID   int
	T    types.T
	Name string
}

// Const is a literal or a folded value.
type Const struct {
	T types.T
	D types.Datum
}

// Param is $N (N from 1), bound at Execute.
type Param struct {
	N int
	T types.T
}

// Call applies a function or an operator's function. Pos is the byte offset of
// the call in the query, for error positions, or -1.
type Call struct {
	Fn   *fn.Func
	Args []Expr
	T    types.T
	Pos  int
	// Op is the operator's name when the call was written as one, for printing.
	Op string
}

// CastKind says how a Cast converts.
type CastKind uint8

// The kinds. Casts with a function of their own are Calls, except that a Cast also
// does every change of layout or scale among numerics.
const (
	CastRelabel CastKind = iota // same bytes, other type (text → varchar, int4 → oid)
	CastIO                      // through the text forms
	CastTypmod                  // same type, modifier enforced: numeric(p,s), varchar(n), char(n), time(p) …
	CastNumeric                 // between layouts and scales of numeric; never changes a value's worth
)

// Cast converts Arg to T. Explicit casts truncate where PostgreSQL's do.
type Cast struct {
	Arg      Expr
	T        types.T
	Kind     CastKind
	Explicit bool
}

// And, Or and Not are three-valued. And and Or are flat lists of at least two.
type And struct{ Args []Expr }

// Or is the disjunction; see And.
type Or struct{ Args []Expr }

// Not is the negation; see And.
type Not struct{ Arg Expr }

// IsNull is IS [NOT] NULL.
type IsNull struct {
	Arg Expr
	Not bool
}

// BoolTest is IS [NOT] TRUE/FALSE/UNKNOWN (unknown is IsNull).
type BoolTest struct {
	Arg  Expr
	Want bool // TRUE or FALSE
	Not  bool
}

// Distinct is IS [NOT] DISTINCT FROM, by the equality function Eq.
type Distinct struct {
	L, R Expr
	Eq   *fn.Func
	Not  bool
}

// When is one arm of a Case.
type When struct{ Cond, Then Expr }

// Case evaluates its arms in order, each only for the rows that earlier ones left.
// A simple CASE is bound to equality conditions. Else may be nil (NULL).
type Case struct {
	Whens []When
	Else  Expr
	T     types.T
}

// Coalesce is the first argument that is not null.
type Coalesce struct {
	Args []Expr
	T    types.T
}

// MinMax is GREATEST or LEAST; nulls are passed over.
type MinMax struct {
	Args     []Expr
	Greatest bool
	T        types.T
}

// In is Arg [NOT] IN (List) with list items of Arg's type, compared by Eq.
type In struct {
	Arg  Expr
	List []Expr
	Eq   *fn.Func
	Not  bool
}

// AnyAll is L op ANY/ALL (array). Fn is the operator's function.
type AnyAll struct {
	L, Array Expr
	Fn       *fn.Func
	All      bool
	Op       string
}

// Array is ARRAY[...]. Multi is set when the elements are arrays themselves.
type Array struct {
	Elems []Expr
	T     types.T
	Multi bool
}

// Row is ROW(...), of type record.
type Row struct {
	Elems []Expr
	Names []string
}

// Field is the n-th field (from 0) of a record.
type Field struct {
	Arg  Expr
	N    int
	Name string
	T    types.T
}

// Subscript is a[i] or, with Slice, a[l:u]; missing bounds are nil.
type Subscript struct {
	Arg          Expr
	Lower, Upper []Expr // without Slice only Lower is used
	Slice        bool
	T            types.T
}

// Type and the other methods implement Expr.
func (e *Column) Type() types.T    { return e.T }
func (e *Const) Type() types.T     { return e.T }
func (e *Param) Type() types.T     { return e.T }
func (e *Call) Type() types.T      { return e.T }
func (e *Cast) Type() types.T      { return e.T }
func (e *And) Type() types.T       { return types.Bool }
func (e *Or) Type() types.T        { return types.Bool }
func (e *Not) Type() types.T       { return types.Bool }
func (e *IsNull) Type() types.T    { return types.Bool }
func (e *BoolTest) Type() types.T  { return types.Bool }
func (e *Distinct) Type() types.T  { return types.Bool }
func (e *Case) Type() types.T      { return e.T }
func (e *Coalesce) Type() types.T  { return e.T }
func (e *MinMax) Type() types.T    { return e.T }
func (e *In) Type() types.T        { return types.Bool }
func (e *AnyAll) Type() types.T    { return types.Bool }
func (e *Array) Type() types.T     { return e.T }
func (e *Row) Type() types.T       { return types.Record }
func (e *Field) Type() types.T     { return e.T }
func (e *Subscript) Type() types.T { return e.T }
