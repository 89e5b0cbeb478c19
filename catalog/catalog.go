// Package catalog is what SQL can talk about: schemas, tables, views, roles, as
// immutable versions, and the contracts by which a planner asks a source what it
// can take over.
//
// A Version never changes once published; DDL makes a new one by applying a Delta
// to it. Objects inside are shared between versions and never mutated either.
package catalog

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
)

// Kind is a relation's kind.
type Kind uint8

// The kinds of relations.
const (
	KindTable    Kind = iota
	KindView          // ViewText is its query
	KindSystem        // served by a row provider (pg_catalog, information_schema, hologres)
	KindSequence      // Seq says what it generates
)

// Table is a relation: table, view, sequence or system relation.
type Table struct {
	OID     uint32
	Schema  uint32 // OID of its Schema
	Name    string
	Kind    Kind
	Owner   uint32
	Columns []Column // live columns in order; an ordinal indexes this slice
	// PK lists the ordinals of the primary key, in key order; nil for none: then
	// the table's key is the hidden row_id.
	PK     []int
	PKName string
	PKOID  uint32 // of the index relation and, +1, of the constraint
	// Distribution and Clustering are the table properties of those names, as ordinals.
	Distribution []int
	Clustering   []SortColumn
	// Props has the other table properties, keyed by the dotted spelling
	// ("binlog.level"), values as given.
	Props map[string]string
	// Shards is the shard count, that of the table's group; 0 is one.
	Shards int
	Group  string // name of the table group
	Checks []Check
	// Unique are UNIQUE constraints and indexes besides the primary key.
	Unique []UniqueKey `json:",omitempty"`
	// Temp says of a relation of one session what a commit does to it; see TempSchema.
	Temp Temp `json:",omitempty"`
	// IndexOf is the table whose unique key this one is behind; 0 for other relations.
	IndexOf uint32 `json:",omitempty"`
	// Foreign are FOREIGN KEY constraints: recorded, shown, and not enforced.
	Foreign []ForeignKey
	// Seq is what a sequence generates; nil for other relations.
	Seq      *Sequence `json:",omitempty"`
	ViewText string
	// DependsOn lists the relations a view reads.
	DependsOn []uint32
	Comment   string
	ACL       []ACLItem
	// SchemaVersion counts changes of this table's definition; cached plans and
	// write sets name the one they were made for.
	SchemaVersion uint64
	// NextColumnID is the id the next added column gets; ids are never used again.
	NextColumnID int32
	RelType      uint32 // OID of the row type
	// IsBinlog marks what Binlog made of a table; it is never stored.
	IsBinlog bool
	// Markers, of a binlog, has scans return its markers too.
	Markers bool
}

// Column is a column of a relation.
type Column struct {
	ID      int32 // stable, unique in the table, never reused
	Attr    int16 // attnum, from 1; keeps its value when earlier columns are dropped
	Name    string
	T       types.T
	NotNull bool
	// DefaultText is the SQL of the default expression, "" for none; it is bound
	// when a statement needs it.
	DefaultText string
	// Missing is the value that rows stored before the column was added have.
	Missing types.Datum
	// Identity is 'a' or 'd' for GENERATED ALWAYS/BY DEFAULT AS IDENTITY, else 0.
	Identity byte
	// Sequence is the OID of an identity column's sequence.
	Sequence uint32
	// GeneratedText is the SQL of a stored generated column, "" for none.
	GeneratedText string
	Comment       string
	// ACL is what roles may do with the column besides what they may with the table.
	ACL []ACLItem `json:",omitempty"`
}

// SortColumn is a column of a clustering key.
type SortColumn struct {
	Ordinal int
	Desc    bool
}

// Check is a CHECK constraint; Text is its SQL.
type Check struct {
	OID  uint32
	Name string
	Text string
}

// ForeignKey is a FOREIGN KEY constraint. Columns are ids (not ordinals) of this
// table's columns and of the referenced table's.
type ForeignKey struct {
	OID        uint32
	Name       string
	Columns    []int32
	RefTable   uint32
	RefColumns []int32
	// OnUpdate, OnDelete and Match are PostgreSQL's letters (a, r, c, n, d; s, f).
	OnUpdate, OnDelete, Match byte
	Deferrable, Deferred      bool
}

// Sequence is the definition of a sequence.
type Sequence struct {
	Type                        uint32 // int2, int4 or int8
	Start, Inc, Min, Max, Cache int64
	Cycle                       bool
	// OwnerTable and OwnerColumn (an id) are the column that it goes with, 0 for none;
	// Identity says that it is part of the column.
	OwnerTable  uint32
	OwnerColumn int32
	Identity    bool
	// Gen is another at each restart; Last and Called are the state that it begins
	// with: what nextval has given since is kept elsewhere, outside transactions.
	Gen    uint64
	Last   int64
	Called bool
}

// ACLItem grants privileges, PostgreSQL's letters ("arwdDxt"), to a role (0 is PUBLIC).
type ACLItem struct {
	Role, Grantor uint32
	Privileges    string
	GrantOption   string
}

// Schema is a namespace.
type Schema struct {
	OID   uint32
	Name  string
	Owner uint32
	ACL   []ACLItem
}

// Role is a user or group. Password is a SCRAM verifier, never clear text.
type Role struct {
	OID                                                                 uint32
	Name                                                                string
	Super, Inherit, CreateRole, CreateDB, Login, Replication, BypassRLS bool
	ConnLimit                                                           int
	Password                                                            string
	ValidUntil                                                          types.Datum // timestamptz
	MemberOf                                                            []uint32
	Config                                                              map[string]string
}

// Database is a database; the server has one storage and one catalog for all.
type Database struct {
	OID   uint32
	Name  string
	Owner uint32
	// TableGroup is the group of new tables that name none; "" is the default group.
	TableGroup string
}

// Subscription keeps a table fed from a stream outside: CREATE SUBSCRIPTION.
type Subscription struct {
	OID     uint32
	Name    string
	Owner   uint32
	Enabled bool
	// Conn is the connection string with secrets masked. Secrets has them, and those
	// of the options, sealed: what reads the catalog cannot read them.
	Conn    string
	Secrets []byte
	// Publications are the names of what is read (topics).
	Publications []string
	// Options are those of WITH, but for enabled and secrets.
	Options map[string]string
	// Target is the table that is fed, and ErrorTable the one for messages that could
	// not be applied.
	Target, ErrorTable uint32
	// Version counts changes of this object; whoever runs it starts anew at each.
	Version uint64
	Comment string
}

// Well-known OIDs. User objects begin at FirstUserOID.
const (
	PgCatalogOID         = 11
	PublicSchemaOID      = 2200
	InformationSchemaOID = 13000
	HologresSchemaOID    = 13001
	DefaultTableGroupOID = 13002
	PostgresRoleOID      = 10
	PostgresDatabaseOID  = 5
	FirstUserOID         = 16384
)

// Ordinal finds a column by name; -1 when there is none.
func (t *Table) Ordinal(name string) int {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return i
		}
	}
	return -1
}

// ColumnByID finds a column by its id; nil when there is none.
func (t *Table) ColumnByID(id int32) *Column {
	for i := range t.Columns {
		if t.Columns[i].ID == id {
			return &t.Columns[i]
		}
	}
	return nil
}

// Types lists the column types by ordinal.
func (t *Table) Types() []types.T {
	ts := make([]types.T, len(t.Columns))
	for i := range ts {
		ts[i] = t.Columns[i].T
	}
	return ts
}

// Hidden columns of native tables, as "ordinals" in a ScanSpec.
const (
	// ColCSN is the commit that wrote the row, int8.
	ColCSN = -1
	// ColRowID is the hidden key of a table without a primary key, int8.
	ColRowID = -2
	// ColShard is the row's shard, int4.
	ColShard = -3
)

// ScanSpec says what is wanted of a relation. Columns in Cols and in the
// expressions are ordinals (or the hidden ones above).
type ScanSpec struct {
	Cols []int
	// Filter is a list of conjuncts. A source applies those it took exactly, and
	// may use others for pruning only.
	Filter []expr.Expr
	Limit  int64 // -1: none
	// ByRow prefers the row tablets of a table that has both kinds.
	ByRow bool
	// First, when positive, is how many rows that pass Filter are wanted at most of each
	// split of a row tablet: the first ones in the order of its key, with Last the last
	// ones, from the last on. A source may give more.
	First int64
	Last  bool
}

// Source is what the planner may ask of a relation's home.
type Source interface {
	// Accept splits want: what the source will do, and what is left to do above
	// it. A filter it can use only for pruning appears in both.
	Accept(t *Table, want ScanSpec) (take, rest ScanSpec)
}
