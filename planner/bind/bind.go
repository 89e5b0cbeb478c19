// Package bind resolves names and types: it turns pg_query trees into plan nodes
// and bound utility statements, by PostgreSQL's rules and with its error texts.
//
// What it makes is logical: subqueries stay expressions (plan.Subquery), LATERAL
// stays a flag on a join, and a column of an outer query is an expr.Column whose
// id nothing below produces. The passes take it from there.
//
// A query level is a query; expressions are bound by its methods, since aggregates,
// window functions and set-returning functions are taken out of them and become
// columns of nodes of that level. See query.go for how a SELECT is put together.
package bind

import (
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
)

// Env is what binding depends on besides the statement. It is read only.
type Env struct {
	Catalog *catalog.Version
	// System finds a system relation of pg_catalog, information_schema or
	// hologres; nil when there is none. May be nil itself.
	System func(schema, name string) *catalog.Table
	// SearchPath lists existing schemas in order; pg_catalog comes first unless named.
	SearchPath []string
	// Temp is the schema of the session's temporary relations, which need not be there
	// yet; "" when it cannot have any. Relations are looked for there first.
	Temp           string
	Database, User string
	// ParamTypes are the types given for $1, $2 …; 0 is to be inferred.
	ParamTypes []uint32
	// Stats gives a table's statistics, or nil. May be nil itself.
	Stats func(table uint32) *stats.Table
	// Settings are the session's settings by lower-case name.
	Settings map[string]string
	// Types gives the text of literals its meaning.
	Types *types.Env
	// Fold evaluates an expression without columns. May be nil: then what must
	// be constant must be a literal.
	Fold func(expr.Expr) (expr.Expr, error)
	// Text is the whole query string, for positions and the texts of views.
	Text string
	// Prepared gives the parameter types of a prepared statement, for EXECUTE; ok is
	// false when there is none. May be nil.
	Prepared func(name string) (params []types.T, ok bool)
	// Slots are the literals that may become parameters, by byte offset in Text;
	// see Slot. Nil when the statement is not to be shared.
	Slots map[int]*Slot
	// Ended is an error once nobody waits for the statement any more; long statements
	// are then given up. May be nil.
	Ended func() error
}

// Slot is a literal of the text that a cached plan may take as a parameter.
type Slot struct {
	// N is the parameter's number, beyond those of the statement itself.
	N int
	// Used is set when the literal became a parameter, T its type then; if not,
	// the plan holds for this text of the literal only.
	Used bool
	T    types.T
	// Minus says that the parameter is the literal with a minus sign, which is in the
	// text before it.
	Minus bool
}

// Bind resolves one statement.
func Bind(stmt parser.Stmt, env *Env) (*plan.Statement, error) {
	b := &binder{
		env: env, text: env.Text, cols: map[int]*colInfo{}, at: map[*expr.Column]int32{}, literals: map[*expr.Const]int32{},
		objIndex: map[[2]uint32]int{}, assumed: map[[2]int]int{},
	}
	b.binlog = env.Text == "" || namesBinlog(env.Text)
	for _, oid := range env.ParamTypes {
		b.params = append(b.params, types.Of(oid, -1))
	}
	b.fixedParams = len(b.params)
	s, err := b.statement(stmt)
	if err != nil {
		return nil, err
	}
	if s.Params, err = b.paramTypes(); err != nil {
		return nil, err
	}
	s.Objects = b.objects
	if _, explains := s.Utility.(*plan.Explain); !explains {
		s.Writes = s.Writes || b.modifies
	}
	s.MaxID = b.lastID
	for k, p := range b.assumed {
		s.Assume = append(s.Assume, plan.Assumption{Table: uint32(k[0]), Ordinal: k[1], Prec: p})
	}
	s.NoCache = s.NoCache || b.noCache
	return s, nil
}

// lookEvery is after how many expressions the binder asks whether it should go on.
const lookEvery = 256

// maxDepth bounds the nesting of expressions and queries, as PostgreSQL's stack does.
const maxDepth = 6000

// binder is the state of one Bind.
type binder struct {
	env  *Env
	text string // the text that locations count in; "" inside views and defaults

	lastID  int
	depth   int
	entered int // how often depth grew
	// cols knows every column made so far, by id.
	cols map[int]*colInfo
	// at is where a column was referred to, for errors found later.
	at map[*expr.Column]int32
	// literals is where string literals stand, for errors of their input functions.
	literals map[*expr.Const]int32

	params      []types.T // $1 …; OID 0 while unknown
	fixedParams int
	paramAt     map[int]int32

	assumed  map[[2]int]int
	objects  []plan.Object
	objIndex map[[2]uint32]int
	views    []uint32 // being expanded, outermost first
	// viewsOf are the views by way of which a table is scanned, outermost first.
	viewsOf map[*plan.Scan][]uint32
	noCache bool
	// modifies: a part of WITH writes.
	modifies bool
	binlog   bool // the text may name columns of binlogs
	// record, when not nil, collects how names were resolved, for a view's text.
	record *recorder
}

// colInfo is what is known of a column id besides its plan.Column.
type colInfo struct {
	col plan.Column
	q   *query // the level it belongs to
	// rel and ord: the FROM item and the table ordinal it stands for (rel nil for
	// computed ones).
	rel  *rel
	ord  int
	kind colKind
	// fields are those of a record, when they are known.
	fields []plan.Column
}

type colKind uint8

const (
	inputCol  colKind = iota // of a FROM item
	aggCol                   // an aggregate's or GROUPING's result
	windowCol                // a window function's result
	srfCol                   // a set-returning function's result
	groupCol                 // a grouping expression's value
)

// id hands out a fresh id.
func (b *binder) id() int {
	b.lastID++
	return b.lastID
}

// column makes a new column of level q.
func (b *binder) column(q *query, name string, t types.T, kind colKind) plan.Column {
	c := plan.Column{ID: b.id(), Name: name, T: t}
	b.cols[c.ID] = &colInfo{col: c, q: q, kind: kind}
	return c
}

// ref makes a reference to a known column, met at loc.
func (b *binder) ref(id int, loc int32) *expr.Column {
	c := b.cols[id].col.Ref()
	b.at[c] = loc
	return c
}

// enter guards recursion; leave ends what it began.
func (b *binder) enter() error {
	b.depth++
	if b.depth > maxDepth {
		return sqlstate.Errorf(sqlstate.StatementTooComplex, "stack depth limit exceeded").
			WithHint("The statement nests too deeply.")
	}
	if b.entered++; b.entered%lookEvery == 0 && b.env.Ended != nil {
		return b.env.Ended()
	}
	return nil
}

func (b *binder) leave() { b.depth-- }

// pos turns a location into an error's position.
func (b *binder) pos(loc int32) int {
	if b.text == "" || loc < 0 {
		return 0
	}
	return parser.Position(b.text, int(loc))
}

// errf makes an error at a location.
func (b *binder) errf(loc int32, code sqlstate.Code, format string, args ...any) *sqlstate.Error {
	return sqlstate.Errorf(code, format, args...).At(b.pos(loc))
}

// locate gives err a position, unless it has one.
func (b *binder) locate(err error, loc int32) error {
	if err == nil {
		return nil
	}
	return sqlstate.From(err).At(b.pos(loc))
}

// unsupported is 0A000 at a location.
func (b *binder) unsupported(loc int32, format string, args ...any) error {
	return sqlstate.Unsupported(format, args...).At(b.pos(loc))
}

// use records a relation and the privilege needed on it.
func (b *binder) use(t *catalog.Table, need string) {
	if i := b.useColumns(t, need); i > 0 {
		o := &b.objects[i-1]
		o.Whole = withLetters(o.Whole, need)
	}
}

// useColumns is use where having the privilege on columns is enough: those that
// useColumn names for the number that it returns; 0 for a system relation.
func (b *binder) useColumns(t *catalog.Table, need string) int {
	view := uint32(0)
	if n := len(b.views); n > 0 {
		view = b.views[n-1]
	}
	return b.useIn(t, view, need)
}

// useIn is useColumns by way of a view, or for 0 of none.
func (b *binder) useIn(t *catalog.Table, view uint32, need string) int {
	if t.Kind == catalog.KindSystem {
		return 0
	}
	i, ok := b.objIndex[[2]uint32{t.OID, view}]
	if !ok {
		i = len(b.objects)
		b.objIndex[[2]uint32{t.OID, view}] = i
		b.objects = append(b.objects, plan.Object{Table: t.OID, SchemaVersion: t.SchemaVersion, View: view})
	}
	o := &b.objects[i]
	o.Need = withLetters(o.Need, need)
	return i + 1
}

// useColumn records a column for which a privilege is needed; one that is none of the
// table's definition needs the whole table.
func (b *binder) useColumn(object int, letter byte, t *catalog.Table, ord int) {
	if object == 0 {
		return
	}
	o := &b.objects[object-1]
	o.Need = withLetters(o.Need, string(letter))
	if ord < 0 || ord >= len(t.Columns) {
		o.Whole = withLetters(o.Whole, string(letter))
		return
	}
	o.Columns[strings.IndexByte(plan.ColumnPrivileges, letter)].Add(t.Columns[ord].ID)
}

func withLetters(have, more string) string {
	for _, p := range more {
		if !containsRune(have, p) {
			have += string(p)
		}
	}
	return have
}

func containsRune(s string, r rune) bool {
	for _, c := range s {
		if c == r {
			return true
		}
	}
	return false
}
