// Package ddl runs bound statements that change the catalog: one file for a family
// of commands. A command reads the transaction's own catalog, checks what the
// binder could not (privileges, dependencies), and hands the transaction one Delta.
// It never touches rows: storage does what a changed definition means for them.
package ddl

import (
	"context"

	"github.com/millrace/millrace/binlog"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
)

// Env is what commands run in.
type Env struct {
	Txn  storage.Txn
	User *catalog.Role
	// Notice tells the client something.
	Notice func(*sqlstate.Error)
	// Verifier makes a SCRAM verifier of a clear password (or takes one as it is).
	Verifier func(password string) (string, error)
	// Types is what reads the text of values.
	Types *types.Env
	// Database is the current one.
	Database string
	// Temp is the schema of the session's temporary relations.
	Temp string
	// Store is what Txn is of.
	Store storage.Store
	// Slots are the slots of binlogs.
	Slots *binlog.Slots
	// Seal makes secrets unreadable for who reads the catalog; Unseal is its inverse.
	Seal   func(secrets map[string]string) ([]byte, error)
	Unseal func(sealed []byte) (map[string]string, error)
	// Sequence is the present value of a sequence.
	Sequence func(t *catalog.Table) (int64, error)
	// Rewrite writes the rows of a table again: change makes the new definition what
	// the transaction sees, of an empty table.
	Rewrite func(ctx context.Context, old, new *catalog.Table, change func() error) error
	// Violated says whether a row of a table fails a condition.
	Violated func(ctx context.Context, t *catalog.Table, cond string) (bool, error)

	// FillUnique makes the entries of a unique key that was just added.
	FillUnique func(ctx context.Context, t *catalog.Table, k *catalog.UniqueKey) error

	// Repeatable says that the transaction goes on reading the state that it began with.
	Repeatable bool
	// Value computes an expression without columns.
	Value func(e expr.Expr) (types.Datum, error)

	rewrites bool // the ALTER at hand
}

// Handles says whether Run knows the statement.
func Handles(u plan.Utility) bool {
	switch u.(type) {
	case *plan.CreateTable, *plan.CreateView, *plan.CreateSchema, *plan.AlterSchema, *plan.Drop, *plan.AlterTable, *plan.Truncate,
		*plan.SetTableProperty, *plan.CreateRole, *plan.AlterRole, *plan.Grant, *plan.Comment,
		*plan.CreateSequence, *plan.AlterSequence, *plan.CreateSubscription, *plan.AlterSubscription, *plan.DropSubscription,
		*plan.CreateTableGroup, *plan.DropTableGroup, *plan.SetDatabaseProperty, *plan.CreateSlot, *plan.DropSlot:
		return true
	}
	return false
}

// Run executes one command inside the transaction. CREATE TABLE AS only makes the
// table here; the caller fills it. created is the table that a CREATE made, or nil
// (also when IF NOT EXISTS found one).
func Run(ctx context.Context, env *Env, u plan.Utility) (created *catalog.Table, err error) {
	switch x := u.(type) {
	case *plan.CreateTable:
		return createTable(ctx, env, x)
	case *plan.CreateView:
		return createView(ctx, env, x)
	case *plan.CreateSchema:
		return nil, createSchema(ctx, env, x)
	case *plan.AlterSchema:
		return nil, alterSchema(ctx, env, x)
	case *plan.Drop:
		return nil, drop(ctx, env, x)
	case *plan.AlterTable:
		return nil, alterTable(ctx, env, x)
	case *plan.Truncate:
		return nil, truncate(ctx, env, x)
	case *plan.SetTableProperty:
		return nil, setTableProperty(ctx, env, x)
	case *plan.CreateRole:
		return nil, createRole(ctx, env, x)
	case *plan.AlterRole:
		return nil, alterRole(ctx, env, x)
	case *plan.Grant:
		return nil, grant(ctx, env, x)
	case *plan.Comment:
		return nil, comment(ctx, env, x)
	case *plan.CreateSequence:
		return nil, createSequence(ctx, env, x)
	case *plan.AlterSequence:
		return nil, alterSequence(ctx, env, x)
	case *plan.CreateSubscription:
		return nil, createSubscription(ctx, env, x)
	case *plan.AlterSubscription:
		return nil, alterSubscription(ctx, env, x)
	case *plan.DropSubscription:
		return nil, dropSubscription(ctx, env, x)
	case *plan.CreateTableGroup:
		return nil, createTableGroup(ctx, env, x)
	case *plan.DropTableGroup:
		return nil, dropTableGroup(ctx, env, x)
	case *plan.SetDatabaseProperty:
		return nil, setDatabaseProperty(ctx, env, x)
	case *plan.CreateSlot:
		return nil, createSlot(ctx, env, x)
	case *plan.DropSlot:
		return nil, dropSlot(ctx, env, x)
	}
	panic("executor/ddl: not a catalog command")
}

func (e *Env) notice(code sqlstate.Code, format string, args ...any) {
	if e.Notice != nil {
		e.Notice(sqlstate.Errorf(code, format, args...))
	}
}

// owns says whether the user may change what owner owns.
func (e *Env) owns(owner uint32) bool {
	return e.User.Super || e.User.OID == owner || memberOf(e.Txn.Catalog(), e.User, owner, 0)
}

func memberOf(v *catalog.Version, r *catalog.Role, of uint32, depth int) bool {
	if r == nil || depth > 32 {
		return false
	}
	for _, m := range r.MemberOf {
		if m == of || memberOf(v, v.Role(m), of, depth+1) {
			return true
		}
	}
	return false
}

// change hands the transaction a change that was made for version v.
func (e *Env) change(ctx context.Context, v *catalog.Version, d *catalog.Delta) error {
	d.From = v
	return e.Txn.Change(ctx, d)
}

func tableDelta(t *catalog.Table) *catalog.Delta {
	return &catalog.Delta{Tables: map[uint32]*catalog.Table{t.OID: t}}
}

// changed is a copy of t that may be edited, with the next schema version.
func changed(t *catalog.Table) *catalog.Table {
	c := *t
	c.Columns = append([]catalog.Column(nil), t.Columns...)
	c.SchemaVersion++
	props := make(map[string]string, len(t.Props))
	for k, v := range t.Props {
		props[k] = v
	}
	c.Props = props
	return &c
}
