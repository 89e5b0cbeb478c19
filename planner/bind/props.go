package bind

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// propNames maps the spellings of table properties in WITH (...) and in
// set_table_property to the one that the catalog keeps.
var propNames = map[string]string{
	"orientation": "orientation", "distribution_key": "distribution_key", "clustering_key": "clustering_key",
	"event_time_column": "event_time_column", "segment_key": "event_time_column",
	"bitmap_columns": "bitmap_columns", "dictionary_encoding_columns": "dictionary_encoding_columns",
	"time_to_live_in_seconds": "time_to_live_in_seconds", "storage_mode": "storage_mode", "storage_format": "storage_format",
	"table_group": "table_group", "table_storage_mode": "table_storage_mode", "shard_count": "shard_count",
	"binlog_level": "binlog.level", "binlog.level": "binlog.level", "binlog_ttl": "binlog.ttl", "binlog.ttl": "binlog.ttl",
	"mutate_type": "mutate_type",
}

// creationOnly are the properties that cannot change once the table is there.
var creationOnly = map[string]bool{
	"orientation": true, "distribution_key": true, "clustering_key": true, "event_time_column": true,
	"shard_count": true, "table_group": true, "storage_format": true,
}

// PropName is the catalog's spelling of a table property, "" when there is none.
func PropName(name string) string { return propNames[strings.ToLower(name)] }

func badProp(format string, args ...any) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, format, args...)
}

func badValue(name, value, hint string) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", name, value).WithHint("%s", hint)
}

// CreationOnly says whether a property, by the catalog's spelling, is fixed when
// the table is created.
func CreationOnly(name string) bool { return creationOnly[name] }

// SetProp applies a table property to t, a definition that is not yet published:
// checks the value and, for keys, resolves the columns. settings may be nil.
func SetProp(t *catalog.Table, name, value string, settings map[string]string) error {
	canon := PropName(name)
	value = strings.TrimSpace(value)
	switch canon {
	case "":
		if strings.HasPrefix(strings.ToLower(name), "auto_partitioning") || strings.HasPrefix(strings.ToLower(name), "partition_") {
			return sqlstate.Unsupported("table property \"%s\"", name)
		}
		return badProp("unrecognized parameter \"%s\"", name)
	case "orientation":
		switch strings.ReplaceAll(strings.ToLower(value), " ", "") {
		case "column":
			value = "column"
		case "row":
			value = catalog.OrientationRow
		case "row,column", "column,row":
			value = catalog.OrientationHybrid
		default:
			return badValue(name, value, "Available values: column, row, row,column.")
		}
		if value != catalog.OrientationColumn && len(t.PK) == 0 {
			return sqlstate.Errorf(sqlstate.InvalidTableDefinition, "a table of orientation \"%s\" must have a primary key", value)
		}
	case "distribution_key":
		cols, err := propColumns(t, canon, value)
		if err != nil {
			return err
		}
		t.Distribution = nil
		for _, c := range cols {
			if c.option != "" {
				return badProp("invalid value for parameter \"distribution_key\": \"%s\"", value)
			}
			if len(t.PK) > 0 && !contains(t.PK, c.ord) {
				return sqlstate.Errorf(sqlstate.InvalidTableDefinition, "distribution_key column \"%s\" must be part of the primary key", t.Columns[c.ord].Name)
			}
			t.Distribution = append(t.Distribution, c.ord)
		}
		return nil
	case "clustering_key":
		cols, err := propColumns(t, canon, value)
		if err != nil {
			return err
		}
		t.Clustering = nil
		for _, c := range cols {
			sc := catalog.SortColumn{Ordinal: c.ord}
			switch c.option {
			case "", "asc":
			case "desc":
				sc.Desc = true
			default:
				return badProp("invalid order \"%s\" in parameter \"clustering_key\"", c.option)
			}
			col := &t.Columns[c.ord]
			if !col.NotNull && !contains(t.PK, c.ord) && !isOn(settings["hg_experimental_enable_nullable_clustering_key"]) {
				return sqlstate.Errorf(sqlstate.InvalidTableDefinition, "clustering_key column \"%s\" must be NOT NULL", col.Name).
					WithHint("Set hg_experimental_enable_nullable_clustering_key to allow it.")
			}
			t.Clustering = append(t.Clustering, sc)
		}
		return nil
	case "event_time_column":
		cols, err := propColumns(t, canon, value)
		if err != nil {
			return err
		}
		for _, c := range cols {
			if c.option != "" {
				return badProp("invalid value for parameter \"event_time_column\": \"%s\"", value)
			}
		}
	case "bitmap_columns", "dictionary_encoding_columns":
		cols, err := propColumns(t, canon, value)
		if err != nil {
			return err
		}
		for _, c := range cols {
			switch c.option {
			case "", "on", "off", "auto":
			default:
				return badProp("invalid option \"%s\" in parameter \"%s\"", c.option, canon)
			}
		}
	case "time_to_live_in_seconds", "binlog.ttl":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n <= 0 {
			return badValue(name, value, "It is a number of seconds, at least 1.")
		}
		value = strconv.FormatInt(n, 10)
	case "shard_count":
		n, err := strconv.Atoi(value)
		if err != nil || n < 1 || n > catalog.MaxShards {
			return badValue(name, value, "It is a number from 1 to 256.")
		}
		t.Shards, t.Group = n, ""
		return nil
	case "table_group":
		if value == "" {
			return badValue(name, value, "It is the name of a table group.")
		}
		t.Shards, t.Group = 0, value
		return nil
	case "binlog.level":
		value = strings.ToLower(value)
		if value != "none" && value != "replica" {
			return badValue(name, value, "Available values: none, replica.")
		}
	case "storage_mode":
		if value != "hot" && value != "cold" {
			return badValue(name, value, "Available values: hot, cold.")
		}
	case "mutate_type":
		value = strings.ToLower(value)
		if value != "none" && value != "appendonly" {
			return badValue(name, value, "Available values: none.")
		}
		if value == "appendonly" {
			return sqlstate.Unsupported("mutate_type 'appendonly'")
		}
	}
	if t.Props == nil {
		t.Props = map[string]string{}
	}
	t.Props[canon] = value
	return nil
}

func contains(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}

func isOn(v string) bool {
	switch strings.ToLower(v) {
	case "on", "true", "yes", "1":
		return true
	}
	return false
}

type propColumn struct {
	ord    int
	option string // what follows the colon, lower case
}

// propColumns parses "c1[:opt],\"C2\"[:opt]": quoted names as written, others in
// lower case.
func propColumns(t *catalog.Table, prop, value string) ([]propColumn, error) {
	var out []propColumn
	if strings.TrimSpace(value) == "" {
		return nil, nil
	}
	rest := value
	for {
		rest = strings.TrimLeft(rest, " \t\n")
		var name string
		if strings.HasPrefix(rest, "\"") {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, badProp("invalid value for parameter \"%s\": \"%s\"", prop, value)
			}
			name, rest = rest[1:1+end], rest[end+2:]
		} else {
			end := strings.IndexAny(rest, ",:")
			if end < 0 {
				end = len(rest)
			}
			name, rest = strings.ToLower(strings.TrimSpace(rest[:end])), rest[end:]
		}
		c := propColumn{}
		rest = strings.TrimLeft(rest, " \t\n")
		if strings.HasPrefix(rest, ":") {
			end := strings.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			c.option, rest = strings.ToLower(strings.TrimSpace(rest[1:end])), rest[end:]
		}
		if c.ord = t.Ordinal(name); c.ord < 0 {
			return nil, sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" named in table property \"%s\" does not exist", name, prop)
		}
		for _, o := range out {
			if o.ord == c.ord {
				return nil, sqlstate.Errorf(sqlstate.DuplicateColumn, "column \"%s\" appears twice in table property \"%s\"", name, prop)
			}
		}
		out = append(out, c)
		rest = strings.TrimLeft(rest, " \t\n")
		if rest == "" {
			return out, nil
		}
		if rest[0] != ',' {
			return nil, badProp("invalid value for parameter \"%s\": \"%s\"", prop, value)
		}
		rest = rest[1:]
	}
}

// optionText is the value of a WITH option as text; ok is false when it has none.
func optionText(d *pg.DefElem) (string, bool) {
	return argText(d.Arg)
}

func argText(n *pg.Node) (string, bool) {
	switch x := n.GetNode().(type) {
	case *pg.Node_String_:
		return x.String_.Sval, true
	case *pg.Node_Integer:
		return strconv.Itoa(int(x.Integer.Ival)), true
	case *pg.Node_Float:
		return x.Float.Fval, true
	case *pg.Node_Boolean:
		return strconv.FormatBool(x.Boolean.Boolval), true
	case *pg.Node_TypeName:
		ns := names(x.TypeName.Names)
		return ns[len(ns)-1], true
	case *pg.Node_AConst:
		switch v := x.AConst.Val.(type) {
		case *pg.A_Const_Ival:
			return strconv.Itoa(int(v.Ival.Ival)), true
		case *pg.A_Const_Sval:
			return v.Sval.Sval, true
		case *pg.A_Const_Fval:
			return v.Fval.Fval, true
		case *pg.A_Const_Boolval:
			return strconv.FormatBool(v.Boolval.Boolval), true
		case nil:
			return "0", true
		}
	case *pg.Node_List:
		var parts []string
		for _, i := range x.List.Items {
			s, ok := argText(i)
			if !ok {
				return "", false
			}
			parts = append(parts, s)
		}
		return strings.Join(parts, ","), true
	case *pg.Node_AStar:
		return "*", true
	}
	return "", false
}

// applyOptions applies WITH (...) to a new table.
func (b *binder) applyOptions(t *catalog.Table, opts []*pg.Node) error {
	seen := map[string]bool{}
	for _, n := range opts {
		d := n.GetDefElem()
		if d.Defnamespace != "" && d.Defnamespace != "toast" {
			// binlog.level = '...' reads as a name space.
			d.Defname = d.Defnamespace + "." + d.Defname
		}
		v, ok := optionText(d)
		if !ok {
			v = "true"
		}
		if ignoredOption(d.Defname) {
			continue
		}
		canon := PropName(d.Defname)
		if canon != "" && seen[canon] {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "parameter \"%s\" specified more than once", d.Defname)
		}
		seen[canon] = true
		if err := SetProp(t, d.Defname, v, b.env.Settings); err != nil {
			return b.locate(err, d.Location)
		}
	}
	return nil
}

// ignoredOption: PostgreSQL's storage parameters mean nothing here and do no harm.
func ignoredOption(name string) bool {
	name = strings.ToLower(name)
	return name == "fillfactor" || name == "parallel_workers" || name == "toast_tuple_target" || name == "user_catalog_table" ||
		strings.HasPrefix(name, "autovacuum_") || strings.HasPrefix(name, "vacuum_") || strings.HasPrefix(name, "toast.")
}

// keyable refuses types that cannot be part of a key.
func keyable(c *catalog.Column) error {
	switch c.T.OID {
	case types.JSONOID, types.JSONBOID, types.Float4OID, types.Float8OID:
	default:
		if types.ElemOf(c.T.OID) == 0 {
			return nil
		}
	}
	return sqlstate.Errorf(sqlstate.FeatureNotSupported, "column \"%s\" of type %s cannot be part of a primary key", c.Name, types.FormatTypeNoMod(c.T.OID))
}
