package bind

import (
	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// slotCall binds Hologres' procedures about replication slots; ok is false when name is
// none of them.
func (b *binder) slotCall(f *pg.FuncCall, name string) (u plan.Utility, ok bool, err error) {
	n := 3
	switch name {
	case "hg_create_logical_replication_slot":
	case "hg_drop_logical_replication_slot":
		n = 1
	default:
		return nil, false, nil
	}
	if len(f.Args) != n {
		return nil, true, b.errf(f.Location, sqlstate.UndefinedFunction, "procedure %s takes %d arguments", name, n)
	}
	args, err := b.constStrings(f, name)
	if err != nil {
		return nil, true, err
	}
	if n == 1 {
		return &plan.DropSlot{Name: args[0]}, true, nil
	}
	if args[1] != "hgoutput" && args[1] != "pgoutput" {
		return nil, true, b.errf(f.Location, sqlstate.UndefinedFile, "could not access file \"%s\": No such file or directory", args[1]).
			WithHint("The output plugins are hgoutput and pgoutput.")
	}
	t, err := b.tableNamed(args[2], location(f.Args[2]))
	if err != nil {
		return nil, true, err
	}
	b.use(t, "")
	return &plan.CreateSlot{Name: args[0], Plugin: args[1], Table: t.OID}, true, nil
}
