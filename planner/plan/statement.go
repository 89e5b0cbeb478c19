package plan

import (
	"iter"
	"math/bits"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
)

// Statement is a planned statement: a query (Root), or a utility command.
type Statement struct {
	Root Node
	// Columns is the row description, nil for commands that return no rows.
	Columns []Column
	// Tag is the command tag without its count: "SELECT", "INSERT 0", "UPDATE", "CREATE TABLE".
	Tag string
	// Params are the types of $1, $2 …
	Params []types.T
	// Writes: the statement changes data or the catalog.
	Writes  bool
	Utility Utility
	// Assume lists what the plan relies on; it must be checked against the snapshot
	// before each run, and the statement planned anew when it does not hold.
	Assume []Assumption
	// Objects are the relations used, with the versions they were bound at.
	Objects []Object
	// Sizes are the rows of its tables when a plan was chosen by them: one with joins, or
	// with scans of tables of rows alone.
	Sizes []Size
	// NoCache: the plan holds for this moment only (a literal 'now', a name looked
	// up), and is not to be used again.
	NoCache bool
	// Slots: number of column ids, CTE ids and join ids used, for arrays indexed by them.
	MaxID int
}

// Assumption: every value of the table's column has at most Prec digits unscaled.
type Assumption struct {
	Table   uint32
	Ordinal int
	Prec    int
}

// Size is how many rows a table had.
type Size struct {
	Table uint32
	Rows  int64
}

// Object is a relation that a plan uses, and the privileges it needs there
// (PostgreSQL's letters: r, a, w, d).
type Object struct {
	Table         uint32
	SchemaVersion uint64
	Need          string
	// Whole has those of Need that the whole relation is needed for; of the others it
	// is enough to have them on the columns of Columns, or on any where these are none.
	Whole   string
	Columns [len(ColumnPrivileges)]ColumnSet
	// View is the view whose text names the relation: its owner needs the privileges.
	// 0 is who runs the statement.
	View uint32
}

// ColumnPrivileges are the letters of the privileges that Object.Columns tells the
// columns of, in its order.
const ColumnPrivileges = "raw"

// ColumnSet is a set of columns by their ids.
type ColumnSet []uint64

// Add puts a column in.
func (s *ColumnSet) Add(id int32) {
	for int(id>>6) >= len(*s) {
		*s = append(*s, 0)
	}
	(*s)[id>>6] |= 1 << (id & 63)
}

// All are the ids in it.
func (s ColumnSet) All() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i, w := range s {
			for ; w != 0; w &= w - 1 {
				if !yield(int32(i<<6 + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// Utility is a bound utility statement, run by executor/ddl or server/session.
type Utility interface{ utility() }

type stmt struct{}

func (stmt) utility() {}

// CreateTable makes a table; Query, when not nil, fills it (CREATE TABLE AS). The
// table's OIDs are assigned when it runs.
type CreateTable struct {
	stmt
	Table       *catalog.Table
	SchemaName  string
	IfNotExists bool
	Query       Node
	WithNoData  bool
	Unlogged    bool // asked for; it is logged all the same
	// Sequences are made with the table, for its serial and identity columns.
	Sequences []ColumnSequence
	// Foreign are FOREIGN KEY constraints, resolved as far as the table's own OIDs allow.
	Foreign []catalog.ForeignKey
}

// Logged is what is said to who asks for an unlogged table.
func Logged(table string) string {
	return "table \"" + table + "\" is logged: there are no unlogged tables"
}

// ColumnSequence is a sequence that a column brings along.
type ColumnSequence struct {
	Column string
	// Name is what the definition calls it; "" has one made of table and column.
	Name string
	Seq  catalog.Sequence
}

// CreateSequence makes a sequence. Owner, when not nil, is the table of the column
// that owns it.
type CreateSequence struct {
	stmt
	Table       *catalog.Table
	IfNotExists bool
}

// AlterSequence changes a sequence's definition: to Seq. Restart, when not nil, is
// the value that it begins anew with.
type AlterSequence struct {
	stmt
	Table   *catalog.Table
	Seq     catalog.Sequence
	Restart *int64
}

// CreateView makes or replaces a view; Table.ViewText is its query as deparsed or
// written, with a search path independent of the session.
type CreateView struct {
	stmt
	Table   *catalog.Table
	Replace bool
}

// CreateSchema makes a schema.
type CreateSchema struct {
	stmt
	Name        string
	Owner       string
	IfNotExists bool
}

// AlterSchema gives a schema another name or owner; "" leaves each as it is. Views and
// Texts, by table, are what reads otherwise with the new name, made for the catalog In.
type AlterSchema struct {
	stmt
	OID     uint32
	NewName string
	Owner   string
	Views   []ViewText
	Texts   map[uint32]map[string]string
	In      *catalog.Version
}

// DropKind says what a Drop drops.
type DropKind uint8

// What can be dropped.
const (
	DropTable DropKind = iota
	DropView
	DropSchema
	DropRole
	DropIndex
	DropDatabase
	DropSequence
)

// Drop drops objects. Names that did not exist under IF EXISTS are in Missing, for
// a notice each.
type Drop struct {
	stmt
	Kind     DropKind
	OIDs     []uint32
	Missing  []string
	Cascade  bool
	IfExists bool
}

// AlterTable applies changes in order to one table.
type AlterTable struct {
	stmt
	Table   *catalog.Table
	Actions []AlterAction
	// Views are the texts that views take with a change of names, made for the catalog
	// In; nil where nothing was made for one.
	Views []ViewText
	In    *catalog.Version
}

// ViewText is a view's query as it reads from now on.
type ViewText struct {
	View uint32
	Text string
}

// AlterOp is the kind of an AlterAction.
type AlterOp uint8

// The actions.
const (
	AddColumn AlterOp = iota
	DropColumn
	RenameColumn
	RenameTable
	SetDefault // Text "" drops the default
	SetNotNull
	DropNotNull
	SetProps
	SetSchema
	SetOwner
	AddCheck
	AddPrimaryKey
	DropConstraint
	NoOp
	AddIdentity // Column.Identity and Sequence
	SetIdentity // Column.Identity, 0 leaves it, and Sequence.Seq; Restart
	DropIdentity
	AddForeign
	AddUnique        // Key, NewName ("" for the usual one), IndexOnly
	RenameConstraint // Text to NewName
	SetTableGroup    // NewName
)

// AlterAction is one change.
type AlterAction struct {
	Op       AlterOp
	Column   catalog.Column // AddColumn: the new column; else its Name
	NewName  string
	Text     string
	Props    map[string]string
	IfExists bool // IF EXISTS or IF NOT EXISTS
	Cascade  bool
	Check    catalog.Check
	Key      []string
	// Default is what an added column has in the rows that are there, where it is known
	// only when the statement runs.
	Default expr.Expr
	// Sequence comes with an added column or identity.
	Sequence *ColumnSequence
	Restart  *int64
	Foreign  catalog.ForeignKey
	// IndexOnly: CREATE UNIQUE INDEX, which makes no constraint.
	IndexOnly bool
	// Texts are expressions of the table's definition that read otherwise from now on.
	Texts map[string]string
	// Generated columns, Checks and Views rest on a column that is dropped; views of
	// MayRead do where they name it, and ByPlace name columns by their places.
	Generated, Checks       []string
	Views, MayRead, ByPlace []uint32
}

// Truncate empties tables. Restart begins the sequences of their columns anew.
type Truncate struct {
	stmt
	Tables  []*catalog.Table
	Restart bool
}

// SetTableProperty is CALL set_table_property('t', 'prop', 'value').
type SetTableProperty struct {
	stmt
	Table      *catalog.Table
	Key, Value string
}

// Copy is COPY. For a query Root holds its plan. Columns are the ordinals in file order.
type Copy struct {
	stmt
	Table *catalog.Table
	Query Node
	// Names are the column names of a COPY (query) TO, for its header.
	Names   []string
	Columns []int
	From    bool
	File    string // "" is STDIN or STDOUT
	Options map[string]string
	// Lists holds the column lists of FORCE_QUOTE, FORCE_NOT_NULL, FORCE_NULL ("*" for all).
	Lists map[string][]string
	// OnConflict is what Hologres' option of this name says: "", none, ignore, update.
	OnConflict string
	// Tuples, when not 0, is where the tuples of an INSERT ... VALUES begin in the
	// statement's text: they are the rows, not the client's stream.
	Tuples int
	// Insert receives the rows of COPY FROM: its Input is a CTERef with ID 0 and one
	// column for each of Columns; it fills defaults.
	Insert *Insert
}

// Explain shows the plan of Stmt.
type Explain struct {
	stmt
	Stmt                            *Statement
	Analyze, Verbose, Costs, Timing bool
	Buffers, Summary                bool
	Format                          string
}

// CreateRole, AlterRole: Options has lower-case option names to values ("password" clear text, never kept).
type CreateRole struct {
	stmt
	Name    string
	Options map[string]string
	Member  []string
}

// AlterRole changes a role.
type AlterRole struct {
	stmt
	Name    string
	Options map[string]string
}

// Grant is GRANT or REVOKE on relations or schemas, or of roles.
type Grant struct {
	stmt
	Revoke      bool
	Privileges  []string // empty: ALL, or none if there are Columns
	Columns     []ColumnGrant
	Tables      []uint32
	Schemas     []uint32
	Roles       []string // granted roles, for GRANT role TO role
	Grantees    []string // "" is PUBLIC
	GrantOption bool
}

// ColumnGrant is a privilege on columns of the tables; "" is ALL.
type ColumnGrant struct {
	Privilege string
	Names     []string
}

// Comment is COMMENT ON.
type Comment struct {
	stmt
	Table  uint32
	Column string
	Text   string
}

// Analyze refreshes statistics; Vacuum also compacts. No tables: all.
type Analyze struct {
	stmt
	Tables []uint32
	Vacuum bool
}

// Session is a statement that server/session runs by itself: transaction control,
// SET, SHOW, PREPARE, EXECUTE, DECLARE, FETCH, CLOSE, DISCARD, LISTEN and the like.
// Kind names it; the fields that apply are set.
type Session struct {
	stmt
	Kind    SessionKind
	Name    string            // setting, statement, cursor, savepoint
	Args    []string          // SET values, PREPARE argument types
	Local   bool              // SET LOCAL
	Options map[string]string // isolation, read_only, deferrable; cursor options
	Text    string            // the inner statement's text, for PREPARE and DECLARE
	Params  []types.Datum     // EXECUTE arguments
	ParamTs []types.T
	Count   int64 // FETCH
	Chain   bool
	Offset  int              // byte offset of Text in the query
	Tables  []*catalog.Table // LOCK TABLE, when its mode keeps others from writing
	NoWait  bool             // LOCK TABLE
}

// SessionKind is the kind of a Session statement.
type SessionKind uint8

// The session statements.
const (
	Begin SessionKind = iota
	Commit
	Rollback
	Savepoint
	Release
	RollbackTo
	SetVar
	ResetVar
	ShowVar
	SetTransaction
	SetConstraints
	Prepare
	Execute
	Deallocate
	DeclareCursor
	FetchCursor
	MoveCursor
	CloseCursor
	DiscardAll
	Listen
	Unlisten
	Notify
	Checkpoint
	LockTable
	DoNothing
)
