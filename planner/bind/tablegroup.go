package bind

import (
	"strconv"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// groupCall binds Hologres' procedures about table groups; ok is false when name is none of them.
func (b *binder) groupCall(f *pg.FuncCall, name string) (u plan.Utility, ok bool, err error) {
	least, most := 2, 2
	switch name {
	case "hg_create_table_group":
		most = 3
	case "hg_drop_table_group":
		least, most = 1, 1
	case "hg_update_database_property":
	case "hg_move_table_to_table_group":
	case "hg_update_table_shard_count":
		return nil, true, b.unsupported(f.Location, "%s", name)
	default:
		return nil, false, nil
	}
	if len(f.Args) < least || len(f.Args) > most {
		return nil, true, b.errf(f.Location, sqlstate.UndefinedFunction, "procedure %s takes %d arguments", name, least)
	}
	args, err := b.constStrings(f, name)
	if err != nil {
		return nil, true, err
	}
	switch name {
	case "hg_drop_table_group":
		return &plan.DropTableGroup{Name: args[0]}, true, nil
	case "hg_move_table_to_table_group":
		t, err := b.tableNamed(args[0], location(f.Args[0]))
		if err != nil {
			return nil, true, err
		}
		b.use(t, "")
		return &plan.AlterTable{Table: t, Actions: []plan.AlterAction{{Op: plan.SetTableGroup, NewName: args[1]}}}, true, nil
	case "hg_update_database_property":
		if args[0] != "default_table_group" {
			return nil, true, badProp("unrecognized database property \"%s\"", args[0]).(*sqlstate.Error).WithHint("Available properties: default_table_group.")
		}
		return &plan.SetDatabaseProperty{TableGroup: args[1]}, true, nil
	}
	n, err := strconv.Atoi(args[1])
	if err != nil || n < 1 || n > catalog.MaxShards {
		return nil, true, badProp("invalid shard count \"%s\"", args[1]).(*sqlstate.Error).WithHint("A table group has from 1 to %d shards; about one a core is best.", catalog.MaxShards)
	}
	if args[0] == "" {
		return nil, true, badProp("a table group needs a name")
	}
	return &plan.CreateTableGroup{Name: args[0], Shards: n, IfNotExists: len(args) == 3 && args[2] == "ignore"}, true, nil
}
