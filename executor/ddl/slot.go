package ddl

import (
	"context"

	"github.com/millrace/millrace/binlog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// createSlot makes a slot at the end of a table's binlog. Like PostgreSQL's, slots are
// no part of the transaction: they are there at once, and stay.
func createSlot(ctx context.Context, env *Env, x *plan.CreateSlot) error {
	t := env.Txn.Catalog().Table(x.Table)
	switch {
	case t == nil:
		return sqlstate.Errorf(sqlstate.UndefinedTable, "table with OID %d does not exist", x.Table)
	case !env.owns(t.Owner):
		return notOwner("table", t.Name)
	case env.Slots == nil:
		return sqlstate.Errorf(sqlstate.FeatureNotSupported, "replication slots are not available here")
	}
	_, err := env.Slots.Create(ctx, binlog.Slot{Name: x.Name, Plugin: x.Plugin, Table: x.Table}, false)
	return err
}

func dropSlot(ctx context.Context, env *Env, x *plan.DropSlot) error {
	if env.Slots == nil {
		return sqlstate.Errorf(sqlstate.FeatureNotSupported, "replication slots are not available here")
	}
	if s, is := env.Slots.Get(x.Name); is {
		if t := env.Txn.Catalog().Table(s.Table); t != nil && !env.owns(t.Owner) || t == nil && !env.User.Super {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to drop replication slot \"%s\"", x.Name)
		}
	}
	return env.Slots.Drop(ctx, x.Name)
}
