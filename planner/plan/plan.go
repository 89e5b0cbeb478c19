// Package plan holds plan nodes: pure data that can be walked, printed and
// compared. A node has no files, locks or contexts; executor/build turns a
// physical plan into operators.
//
// One tree serves from binding to execution. Columns are named by ids unique in
// the statement, so a pass that moves a node need not renumber anything; build maps
// ids to positions in batches. Binding yields logical nodes with subquery
// expressions and lateral joins; after the passes there are none of these left,
// and joins, aggregates and sorts carry their physical choices.
package plan

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
)

// Column is an output column of a node. Table and Attr tell the client where it
// comes from (0 when it is computed).
type Column struct {
	ID    int
	Name  string
	T     types.T
	Table uint32
	Attr  int16
}

// Ref makes an expression of the column.
func (c Column) Ref() *expr.Column { return &expr.Column{ID: c.ID, T: c.T, Name: c.Name} }

// Node is a relational operator.
type Node interface {
	Children() []Node
	WithChildren([]Node) Node
	// Columns are the output columns in order.
	Columns() []Column
	// Estimate is what the cost model expects; nil before it ran. Set by SetEstimate.
	Estimate() *Estimate
	SetEstimate(*Estimate)
}

// Estimate is the optimizer's expectation of a node's output.
type Estimate struct {
	Rows float64
	Cost float64
}

// est is embedded by every node.
type est struct{ e *Estimate }

func (n *est) Estimate() *Estimate     { return n.e }
func (n *est) SetEstimate(e *Estimate) { n.e = e }

// Projection computes an expression into a column.
type Projection struct {
	Col  Column
	Expr expr.Expr
}

// Scan reads a relation. Ords[i] is the table ordinal (or a hidden one of
// catalog) of Cols[i]. Filter holds conjuncts over the scan's columns (by column
// id, of Cols) that the scan applies or, if the source cannot, the executor just
// above the reader. Columns only used by Filter need not be in Out: Out lists the
// positions in Cols that are output.
type Scan struct {
	est
	Table  *catalog.Table
	Alias  string
	Cols   []Column
	Ords   []int
	Filter []expr.Expr
	// Out is nil for all of Cols.
	Out   []int
	Limit int64 // rows wanted at most, -1 for all
	// Runtime lists filters that join build sides hand to this scan while it runs.
	Runtime []RuntimeFilter
	// Key, when not nil, has what Filter asks each column of the primary key to equal,
	// in key order, without columns: at most one row is looked for, by its key. Filter
	// still says all that the row must meet.
	Key []expr.Expr
	// KeyIn takes the place of Key where several keys may be asked for: those of all its
	// choices are looked for. What has no row is of no matter, and Filter, or the join
	// above that the keys come from, still decides; where there are so many keys that
	// reading all is quicker, the scan may do so.
	KeyIn []KeyChoice
	// Unique is the unique key that Key or KeyIn is of, nil for the primary key: rows are
	// found by way of the table behind it.
	Unique *catalog.UniqueKey
	// ByRow says that the filter leaves a narrow range of the row tablets' key, from which
	// a hybrid table is read then.
	ByRow bool
	// First, when not nil, are int8 expressions without columns whose sum is how many rows
	// are wanted at most of each row tablet: those that come first in the order of its key,
	// or last with Last. NULL stands for all rows. Its count is for a sort above.
	First []expr.Expr
	Last  bool
	// Stored is how many rows a table of rows alone has by its statistics, 0 for unknown.
	Stored int64
}

// KeyChoice is a set of keys: what each column of the key may be, in all combinations,
// or with Zip the elements of arrays side by side.
type KeyChoice struct {
	Cols []KeyValues
	Zip  bool
}

// KeyValues are the values that a column of a key may have: those of List, and with
// Array the elements of that array.
type KeyValues struct {
	List  []expr.Expr
	Array expr.Expr
}

// RuntimeFilter narrows column Col to the keys of join Join's build side, whose Keys
// entry has the types of Col on both sides. The scan may lie in another pipeline than
// the join's probe, also in a build side further down; it then waits for that build.
// This is never cyclic: a build side does not depend on its join's left side. A scan
// may ignore it.
type RuntimeFilter struct {
	Join int // Join.ID
	Key  int // index in Join.Keys
	Col  int // column id
}

// Values yields constant rows. With no columns it yields len(Rows) empty rows (one
// row: SELECT without FROM).
type Values struct {
	est
	Rows [][]expr.Expr
	Cols []Column
}

// Filter keeps rows for which Pred is true.
type Filter struct {
	est
	Input Node
	Pred  expr.Expr
}

// Project computes Exprs; its output is exactly these columns. An expression that
// is a plain Column with the same id passes the column on.
type Project struct {
	est
	Input Node
	Exprs []Projection
}

// ProjectSet calls set-returning functions for each input row, in lockstep (short
// ones padded with nulls), and yields the input's columns and theirs. Ordinality,
// when its ID is not 0, numbers the rows of each input row from 1. With Outer, an
// input row without results yields one row of nulls.
type ProjectSet struct {
	est
	Input      Node
	Calls      []SetCall
	Ordinality Column
	Outer      bool
}

// SetCall is one set-returning call; a function with several OUT columns fills
// several Cols.
type SetCall struct {
	Call expr.Expr
	Cols []Column
}

// JoinKind is the kind of a Join.
type JoinKind uint8

// The kinds. Semi and Anti output the left columns only. Mark outputs the left
// columns and Mark, a bool: true when a right row matches, null when none does but a
// comparison was null, else false. Single is a left join that raises 21000 when a
// left row has more than one match.
const (
	Inner JoinKind = iota
	Left
	Right
	Full
	Semi
	Anti
	Mark
	Single
)

// Join combines two inputs. Binding fills On; planning splits it into Keys
// (equalities between the sides) and Residual. The right side is the build side
// of a hash join; without Keys it is a nested loop over a materialized right side.
type Join struct {
	est
	ID    int
	Kind  JoinKind
	L, R  Node
	On    expr.Expr
	Keys  []JoinKey
	Resid expr.Expr
	Mark  Column
	// Lateral: R refers to columns of L. Gone after unnesting.
	Lateral bool
	// NullAware: an Anti join with NOT IN semantics: a null on either side of the
	// single key keeps the left row out (unless the right side is empty).
	NullAware bool
	// KeysUnique: the right side has at most one row for a key.
	KeysUnique bool
	// TwoValued: a Mark join's mark is never null: only truth matters to its reader.
	TwoValued bool
}

// JoinKey is one equality. NullEqual makes nulls match each other (IS NOT DISTINCT
// FROM), for joins that unnesting introduced.
type JoinKey struct {
	L, R      expr.Expr
	Eq        *fn.Func
	NullEqual bool
}

// Agg is one aggregate call. Args, Order and Filter are evaluated over the input.
type Agg struct {
	Col      Column
	Fn       *fn.Func
	Args     []expr.Expr
	Star     bool
	Distinct bool
	Order    []SortKey
	Filter   expr.Expr
	// Direct are the direct arguments of an ordered-set aggregate.
	Direct []expr.Expr
}

// Aggregate groups its input. Output: the group columns, then the aggregates',
// then Grouping columns. Without Groups and Sets it yields exactly one row. With
// Sets, each set lists the positions in Groups that it groups by; the others are null.
type Aggregate struct {
	est
	Input  Node
	Groups []Projection
	Aggs   []Agg
	Sets   [][]int
	// Grouping are GROUPING(...) results: bit i (from the right, last argument
	// lowest) is set when that argument's group is not in the set.
	Grouping []GroupingCall
}

// GroupingCall is one GROUPING() expression.
type GroupingCall struct {
	Col  Column
	Args []int // positions in Groups
}

// SortKey orders by an expression. Nulls follow NullsFirst.
type SortKey struct {
	Expr       expr.Expr
	Desc       bool
	NullsFirst bool
}

// Sort orders its input; stable. With Limit ≥ 0 it is a top-N of Limit rows
// (offset included), chosen by a pass.
type Sort struct {
	est
	Input Node
	Keys  []SortKey
	Limit int64
}

// Limit passes Count rows after Offset; nil means none. Both are int8 expressions
// without columns. WithTies needs the input sorted by Ties.
type Limit struct {
	est
	Input         Node
	Count, Offset expr.Expr
	WithTies      bool
	Ties          []SortKey
}

// Distinct removes duplicate rows; with On it keeps the first row, in input order,
// of each distinct On value.
type Distinct struct {
	est
	Input Node
	On    []expr.Expr
}

// Window computes window functions over one partitioning and order; it outputs the
// input's columns and its own.
type Window struct {
	est
	Input     Node
	Partition []expr.Expr
	Order     []SortKey
	Funcs     []WindowFunc
}

// WindowFunc is one window call.
type WindowFunc struct {
	Col         Column
	Fn          *fn.Func
	Args        []expr.Expr
	Star        bool
	Distinct    bool
	Filter      expr.Expr
	IgnoreNulls bool
	Frame       Frame
}

// FrameMode and FrameBound spell out a window frame.
type FrameMode uint8

// The modes.
const (
	Range FrameMode = iota
	Rows
	Groups
)

// BoundKind is the kind of a frame bound.
type BoundKind uint8

// The kinds of bounds.
const (
	UnboundedPreceding BoundKind = iota
	Preceding
	CurrentRow
	Following
	UnboundedFollowing
)

// FrameBound is one end of a frame. Offset is used by Preceding and Following; for
// Range mode, Add and Sub are the functions that shift the order key.
type FrameBound struct {
	Kind   BoundKind
	Offset expr.Expr
	Shift  *fn.Func
	// Sub: the shift function subtracts.
	Sub bool
}

// Exclusion is a frame's EXCLUDE clause.
type Exclusion uint8

// The exclusions.
const (
	ExcludeNone Exclusion = iota
	ExcludeCurrentRow
	ExcludeGroup
	ExcludeTies
)

// Frame is a window frame.
type Frame struct {
	Mode       FrameMode
	Start, End FrameBound
	Exclude    Exclusion
}

// SetOpKind is the kind of a SetOp.
type SetOpKind uint8

// The set operations.
const (
	Union SetOpKind = iota
	Intersect
	Except
)

// SetOp combines inputs of equal column types, by position; the inputs' columns
// have the types of Cols.
type SetOp struct {
	est
	Kind   SetOpKind
	All    bool
	Inputs []Node // two, or more for UNION ALL
	Cols   []Column
}

// With materializes Def once for the CTERefs in Body that name ID.
type With struct {
	est
	ID   int
	Name string
	Def  Node
	Body Node
}

// CTERef reads a With (or, inside a Recursive's Step, the working table) by ID.
// Cols[i] is a fresh column for the definition's i-th.
type CTERef struct {
	est
	ID   int
	Name string
	Cols []Column
}

// Recursive is WITH RECURSIVE: Base, then Step over the rows of the round before,
// until a round yields nothing. All is false for UNION (duplicates removed).
type Recursive struct {
	est
	ID         int
	Base, Step Node
	All        bool
	Cols       []Column
}

// Insert writes Input's columns, which are those of the table by ordinal. Output:
// the Returning columns, computed over the Cols of the inserted row.
type Insert struct {
	est
	Table *catalog.Table
	Input Node
	// Row names the inserted row's columns by ordinal, for Returning and Checks.
	Row       []Column
	Checks    []Check
	Returning []Projection
	// Conflict is set by ON CONFLICT.
	Conflict *Conflict
}

// Conflict is an ON CONFLICT clause. For DO UPDATE, Set computes the new row (all
// columns by ordinal) over the columns Old (the existing row) and Row ("excluded").
type Conflict struct {
	DoNothing bool
	// LastWins: of rows with one key the last is meant; no error.
	LastWins bool
	// Unique is the key that decides, nil for the primary key; Any: all unique keys do.
	Unique *catalog.UniqueKey
	Any    bool
	Old    []Column
	Set    []expr.Expr
	Where  expr.Expr
	// Extra are columns of the input behind the row's, for Set and Where.
	Extra []Column
}

// Check is a bound CHECK constraint or NOT NULL test: rows for which Pred is false
// (null passes) are refused with Err's text.
type Check struct {
	Name   string
	Pred   expr.Expr
	Column string // NOT NULL of this column, 23502; else CHECK, 23514
}

// Update replaces rows. Input's columns hold at least: Old (the whole old row by
// ordinal), CSN and, for tables without a primary key, RowID. Set computes the new
// row, all columns by ordinal, over Input's columns.
type Update struct {
	est
	Table     *catalog.Table
	Input     Node
	Old       []Column
	CSN       Column
	RowID     Column
	Set       []expr.Expr
	Row       []Column // the new row, for Checks and Returning
	Checks    []Check
	Returning []Projection
	// Recheck is the WHERE condition over Old when it uses no other relation; it is
	// evaluated again when a concurrent commit replaced the row. Nil when there is
	// none; SelfContained is false when it uses other relations.
	Recheck       expr.Expr
	SelfContained bool
}

// Delete removes rows; see Update.
type Delete struct {
	est
	Table         *catalog.Table
	Input         Node
	Old           []Column
	CSN           Column
	RowID         Column
	Returning     []Projection
	Recheck       expr.Expr
	SelfContained bool
}

// Merge does for each row of Input what the WHEN clause says whose number, from 1,
// Pick holds; NULL is none. Input's columns hold at least Pick and, null where nothing
// matched, what Update has of the old row. Set is the new row over Input's columns.
type Merge struct {
	est
	Table  *catalog.Table
	Input  Node
	Pick   Column
	Old    []Column
	CSN    Column
	RowID  Column
	Whens  []MergeWhen
	Row    []Column // the new row, for Checks
	Checks []Check
}

// MergeWhen is one WHEN clause. Its condition has become part of Pick.
type MergeWhen struct {
	Matched, Conditional bool
	Action               MergeAction
	Set                  []expr.Expr
}

// MergeAction is what a WHEN clause does.
type MergeAction uint8

// The actions.
const (
	MergeNothing MergeAction = iota
	MergeInsert
	MergeUpdate
	MergeDelete
)

func (a MergeAction) String() string {
	return [...]string{"DO NOTHING", "INSERT", "UPDATE", "DELETE"}[a]
}

// Subquery is a subquery inside an expression. Unnesting turns all of them into
// joins.
type Subquery struct {
	Kind SubqueryKind
	Plan Node
	// Test and Fn: Test Fn ANY/ALL (Plan's columns), one pair a column. In is = ANY;
	// NOT IN is Not over it.
	Test []expr.Expr
	Fns  []*fn.Func
	All  bool
	// OpName is the operator as written.
	OpName string
	T      types.T
}

// SubqueryKind is the kind of a Subquery.
type SubqueryKind uint8

// The kinds.
const (
	ScalarSubquery SubqueryKind = iota
	ExistsSubquery
	AnyAllSubquery
	ArraySubquery
)

// Type implements expr.Expr.
func (s *Subquery) Type() types.T { return s.T }

// Children implements expr.Expr: the tests.
func (s *Subquery) Children() []expr.Expr { return s.Test }

// WithChildren implements expr.Expr.
func (s *Subquery) WithChildren(c []expr.Expr) expr.Expr { n := *s; n.Test = c; return &n }
