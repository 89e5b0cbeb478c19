package syscat

import (
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// Functions answers system functions for one session; executor/eval calls it.
type Functions struct {
	src  *Source
	view View
}

// Functions makes the functions as the session of v sees them.
func (s *Source) Functions(v View) *Functions { return &Functions{s, v} }

type systemFunc func(f *Functions, fn *fn.Func, a []types.Datum) (types.Datum, error)

func str(s string) types.Datum { return types.NewString(s) }

func constant(d types.Datum) systemFunc {
	return func(*Functions, *fn.Func, []types.Datum) (types.Datum, error) { return d, nil }
}

var systemFuncs = map[string]systemFunc{
	"pg_backend_pid": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return types.NewInt(int64(f.view.PID())), nil
	},
	"pg_export_snapshot": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		id, err := f.view.ExportSnapshot()
		return str(id), err
	},
	"pg_is_in_recovery":       constant(types.NewBool(false)),
	"pg_is_wal_replay_paused": constant(types.NewBool(false)),
	"pg_my_temp_schema":       (*Functions).myTempSchema,
	"pg_is_other_temp_schema": (*Functions).otherTempSchema,
	"pg_postmaster_start_time": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return types.NewInt(f.view.StartTime()), nil
	},
	"pg_conf_load_time": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return types.NewInt(f.view.StartTime()), nil
	},
	"pg_get_userbyid": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return str(roleName(f.view.Catalog(), uint32(a[0].I))), nil
	},
	"pg_encoding_to_char": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return str(map[int64]string{6: "UTF8", 0: "SQL_ASCII"}[a[0].I]), nil
	},
	"pg_char_to_encoding":                constant(types.NewInt(6)),
	"pg_client_encoding":                 constant(str("UTF8")),
	"getdatabaseencoding":                constant(str("UTF8")),
	"pg_table_is_visible":                (*Functions).tableVisible,
	"pg_type_is_visible":                 (*Functions).typeVisible,
	"pg_function_is_visible":             constant(types.NewBool(true)),
	"pg_operator_is_visible":             constant(types.NewBool(true)),
	"pg_opclass_is_visible":              constant(types.NewBool(true)),
	"pg_opfamily_is_visible":             constant(types.NewBool(true)),
	"pg_collation_is_visible":            constant(types.NewBool(true)),
	"pg_conversion_is_visible":           constant(types.NewBool(true)),
	"pg_statistics_obj_is_visible":       constant(types.NewBool(true)),
	"pg_ts_config_is_visible":            constant(types.NewBool(true)),
	"pg_ts_dict_is_visible":              constant(types.NewBool(true)),
	"pg_ts_parser_is_visible":            constant(types.NewBool(true)),
	"pg_ts_template_is_visible":          constant(types.NewBool(true)),
	"format_type":                        (*Functions).formatType,
	"pg_get_constraintdef":               (*Functions).constraintDef,
	"pg_get_indexdef":                    (*Functions).indexDef,
	"pg_get_viewdef":                     (*Functions).viewDef,
	"pg_get_ruledef":                     constant(types.Null),
	"pg_get_triggerdef":                  constant(types.Null),
	"pg_get_partkeydef":                  constant(types.Null),
	"pg_get_functiondef":                 constant(types.Null),
	"pg_get_function_sqlbody":            constant(types.Null),
	"pg_get_function_result":             (*Functions).functionResult,
	"pg_get_function_arguments":          (*Functions).functionArguments,
	"pg_get_function_identity_arguments": (*Functions).functionArguments,
	"pg_get_partition_constraintdef":     constant(types.Null),
	"pg_get_statisticsobjdef":            constant(types.Null),
	"pg_get_statisticsobjdef_columns":    constant(types.Null),
	"pg_relation_is_publishable":         constant(types.NewBool(false)),
	"pg_describe_object":                 constant(types.Null),
	"obj_description":                    (*Functions).objDescription,
	"col_description":                    (*Functions).colDescription,
	"shobj_description":                  constant(types.Null),
	"current_setting":                    (*Functions).currentSetting,
	"set_config":                         (*Functions).setConfig,
	"pg_size_pretty":                     (*Functions).sizePretty,
	"pg_relation_size":                   (*Functions).relationSize,
	"pg_table_size":                      (*Functions).relationSize,
	"pg_total_relation_size":             (*Functions).relationSize,
	"pg_indexes_size":                    constant(types.NewInt(0)),
	"pg_database_size": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return types.NewInt(f.view.Store().DiskBytes(0)), nil
	},
	"pg_tablespace_size": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return types.NewInt(f.view.Store().DiskBytes(0)), nil
	},
	"pg_relation_filenode":   func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) { return a[0], nil },
	"pg_tablespace_location": constant(str("")),
	"txid_current":           (*Functions).txid,
	"pg_current_xact_id":     (*Functions).txid,
	"pg_cancel_backend":      func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) { return f.cancel(a, false) },
	"pg_terminate_backend":   func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) { return f.cancel(a, true) },
	"to_regclass": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return f.toReg(types.RegclassOID, a)
	},
	"to_regtype": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return f.toReg(types.RegtypeOID, a)
	},
	"to_regnamespace": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return f.toReg(types.RegnamespaceOID, a)
	},
	"to_regrole": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
		return f.toReg(types.RegroleOID, a)
	},
	"has_table_privilege":                (*Functions).hasTablePrivilege,
	"has_any_column_privilege":           (*Functions).hasAnyColumnPrivilege,
	"has_column_privilege":               (*Functions).hasColumnPrivilege,
	"has_schema_privilege":               constant(types.NewBool(true)),
	"has_database_privilege":             constant(types.NewBool(true)),
	"has_function_privilege":             constant(types.NewBool(true)),
	"has_language_privilege":             constant(types.NewBool(true)),
	"has_type_privilege":                 constant(types.NewBool(true)),
	"has_tablespace_privilege":           constant(types.NewBool(true)),
	"has_server_privilege":               constant(types.NewBool(true)),
	"has_foreign_data_wrapper_privilege": constant(types.NewBool(true)),
	"pg_has_role":                        constant(types.NewBool(true)),
	"row_security_active":                constant(types.NewBool(false)),
	"pg_notify":                          (*Functions).notify,
	"pg_stat_get_numscans":               constant(types.NewInt(0)),
	"inet_server_addr":                   constant(types.Null),
	"inet_client_addr":                   constant(types.Null),
	"inet_server_port":                   constant(types.Null),
	"pg_sleep":                           nil, // executor/eval's: it must watch the query's context
}

// Has says whether Call knows the function.
func (f *Functions) Has(oid uint32) bool {
	x := fn.ByOID(oid)
	return x != nil && (systemFuncs[x.Name] != nil || rowFuncs[x.Name] != nil || anyFuncs[x.Name] != nil)
}

// Call computes one result; see executor/eval's Provider.
func (f *Functions) Call(x *fn.Func, a []types.Datum) (types.Datum, error) {
	return systemFuncs[x.Name](f, x, a)
}

func (f *Functions) table(oid uint32) *catalog.Table {
	if t := f.view.Catalog().Table(oid); t != nil {
		return t
	}
	for _, t := range f.src.list {
		if t.OID == oid {
			return t
		}
	}
	return nil
}

// inPath says whether a relation is found by its bare name.
func (f *Functions) inPath(t *catalog.Table) bool {
	path := append([]string{"pg_catalog"}, f.view.SearchPath()...)
	for _, p := range path {
		s := f.view.Catalog().SchemaNamed(p)
		if s == nil {
			continue
		}
		if s.OID == t.Schema {
			return true
		}
		if f.view.Catalog().TableNamed(s.OID, t.Name) != nil || f.src.Table(p, t.Name) != nil {
			return false
		}
	}
	return false
}

func (f *Functions) myTempSchema(*fn.Func, []types.Datum) (types.Datum, error) {
	if s := f.view.Catalog().SchemaNamed(f.view.TempSchema()); s != nil {
		return types.NewInt(int64(s.OID)), nil
	}
	return types.NewInt(0), nil
}

func (f *Functions) otherTempSchema(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	s := f.view.Catalog().Schema(uint32(a[0].I))
	return types.NewBool(s != nil && catalog.IsTempSchema(s.Name) && s.Name != f.view.TempSchema()), nil
}

func (f *Functions) tableVisible(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	t := f.table(uint32(a[0].I))
	if t == nil {
		if of, _ := f.indexByOID(uint32(a[0].I)); of != nil {
			return types.NewBool(f.inPath(of)), nil
		}
		return types.Null, nil
	}
	return types.NewBool(f.inPath(t)), nil
}

func (f *Functions) typeVisible(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	if types.Lookup(uint32(a[0].I)) != nil {
		return types.NewBool(true), nil
	}
	for _, t := range f.view.Catalog().Tables() {
		if t.RelType == uint32(a[0].I) {
			return types.NewBool(f.inPath(t)), nil
		}
	}
	return types.Null, nil
}

func (f *Functions) formatType(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	if !a[0].Valid {
		return types.Null, nil
	}
	oid := uint32(a[0].I)
	if oid == 0 {
		return str("-"), nil
	}
	if types.Lookup(oid) == nil {
		for _, t := range f.view.Catalog().Tables() {
			if t.RelType == oid {
				return str(quoteIdent(t.Name)), nil
			}
		}
		return str("???"), nil
	}
	if !a[1].Valid {
		return str(types.FormatTypeNoMod(oid)), nil
	}
	return str(types.FormatType(oid, int32(a[1].I))), nil
}

func (f *Functions) constraintDef(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	oid := uint32(a[0].I)
	for _, t := range f.view.Catalog().Tables() {
		for _, x := range indexesOf(t) {
			if x.constraint != oid {
				continue
			}
			var cols []string
			for _, o := range x.cols {
				cols = append(cols, quoteIdent(t.Columns[o].Name))
			}
			return str(map[bool]string{true: "PRIMARY KEY (", false: "UNIQUE ("}[x.primary] + strings.Join(cols, ", ") + ")"), nil
		}
		for _, c := range t.Checks {
			if c.OID == oid {
				return str("CHECK (" + c.Text + ")"), nil
			}
		}
		for i := range t.Foreign {
			if t.Foreign[i].OID == oid {
				return str(f.foreignDef(t, &t.Foreign[i])), nil
			}
		}
	}
	return types.Null, nil
}

func (f *Functions) indexDef(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	t, x := f.indexByOID(uint32(a[0].I))
	if x == nil {
		return types.Null, nil
	}
	if len(a) > 1 && a[1].Valid && a[1].I > 0 {
		if int(a[1].I) <= len(x.cols) {
			return str(quoteIdent(t.Columns[x.cols[a[1].I-1]].Name)), nil
		}
		return types.Null, nil
	}
	return str(indexDef(f.view, t, x)), nil
}

func (f *Functions) viewDef(x *fn.Func, a []types.Datum) (types.Datum, error) {
	oid := uint32(a[0].I)
	if x.Args[0] == types.TextOID {
		d, err := f.toReg(types.RegclassOID, a[:1])
		if err != nil || !d.Valid {
			return d, err
		}
		oid = uint32(d.I)
	}
	t := f.view.Catalog().Table(oid)
	if t == nil || t.Kind != catalog.KindView {
		return types.Null, nil
	}
	return str(" " + t.ViewText + ";"), nil
}

func (f *Functions) functionResult(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	x := fn.ByOID(uint32(a[0].I))
	if x == nil {
		return types.Null, nil
	}
	out := types.FormatTypeNoMod(x.Ret)
	if x.RetSet {
		out = "SETOF " + out
	}
	return str(out), nil
}

func (f *Functions) functionArguments(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	x := fn.ByOID(uint32(a[0].I))
	if x == nil {
		return types.Null, nil
	}
	args := make([]string, len(x.Args))
	for i, t := range x.Args {
		args[i] = types.FormatTypeNoMod(t)
		if x.Variadic != 0 && i == len(x.Args)-1 {
			args[i] = "VARIADIC " + args[i]
		}
	}
	return str(strings.Join(args, ", ")), nil
}

func (f *Functions) objDescription(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	if t := f.view.Catalog().Table(uint32(a[0].I)); t != nil && t.Comment != "" {
		return str(t.Comment), nil
	}
	return types.Null, nil
}

func (f *Functions) colDescription(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	if t := f.view.Catalog().Table(uint32(a[0].I)); t != nil {
		for _, c := range t.Columns {
			if int64(c.Attr) == a[1].I && c.Comment != "" {
				return str(c.Comment), nil
			}
		}
	}
	return types.Null, nil
}

func (f *Functions) currentSetting(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	v, ok := f.view.Setting(a[0].S)
	if !ok {
		if len(a) > 1 && a[1].Valid && a[1].Bool() {
			return types.Null, nil
		}
		return types.Null, sqlstate.Errorf(sqlstate.UndefinedObject, "unrecognized configuration parameter \"%s\"", a[0].S)
	}
	return str(v), nil
}

func (f *Functions) setConfig(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	if !a[0].Valid {
		return types.Null, sqlstate.Errorf(sqlstate.NullValueNotAllowed, "SET requires parameter name")
	}
	if err := f.view.SetSetting(a[0].S, a[1].S, a[2].Bool()); err != nil {
		return types.Null, err
	}
	v, _ := f.view.Setting(a[0].S)
	return str(v), nil
}

func (f *Functions) sizePretty(x *fn.Func, a []types.Datum) (types.Datum, error) {
	n := a[0].I
	if x.Args[0] == types.NumericOID {
		return types.Null, sqlstate.Unsupported("pg_size_pretty(numeric)")
	}
	units := []struct {
		name  string
		limit int64
		shift uint
	}{{"bytes", 10 * 1024, 0}, {"kB", 20*1024 - 1, 9}, {"MB", 20*1024 - 1, 10}, {"GB", 20*1024 - 1, 10}, {"TB", 20*1024 - 1, 10}, {"PB", 20*1024 - 1, 10}}
	abs := func(v int64) int64 {
		if v < 0 {
			return -v
		}
		return v
	}
	size := n
	for i, u := range units {
		size >>= u.shift
		if abs(size) < u.limit || i == len(units)-1 {
			if i > 0 {
				// Half a unit is kept until here, for rounding.
				if size < 0 {
					size = (size - 1) / 2
				} else {
					size = (size + 1) / 2
				}
			}
			return str(strconv.FormatInt(size, 10) + " " + u.name), nil
		}
	}
	return types.Null, nil
}

func (f *Functions) relationSize(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	t := f.table(uint32(a[0].I))
	if t == nil {
		return types.Null, nil
	}
	if t.Kind != catalog.KindTable {
		return types.NewInt(0), nil
	}
	return types.NewInt(f.view.Store().DiskBytes(t.OID)), nil
}

func (f *Functions) txid(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	s := f.view.Store().Snapshot()
	defer s.Close()
	return types.NewInt(int64(s.CSN())), nil
}

func (f *Functions) cancel(a []types.Datum, terminate bool) (types.Datum, error) {
	ok, err := f.view.CancelBackend(int32(a[0].I), terminate)
	return types.NewBool(ok), err
}

func (f *Functions) toReg(kind uint32, a []types.Datum) (types.Datum, error) {
	oid, err := f.src.Names(f.view).RegOID(kind, a[0].S)
	if err != nil {
		return types.Null, nil
	}
	return types.NewInt(int64(oid)), nil
}

// relationArg is the relation that argument i names or numbers; nil for a number of
// none.
func (f *Functions) relationArg(x *fn.Func, a []types.Datum, i int) (*catalog.Table, error) {
	if x.Args[i] != types.TextOID {
		return f.table(uint32(a[i].I)), nil
	}
	oid, err := f.src.Names(f.view).RegOID(types.RegclassOID, a[i].S)
	if err != nil {
		return nil, err
	}
	return f.table(oid), nil
}

// notify is pg_notify; it is not strict.
func (f *Functions) notify(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	return str(""), f.view.Notify(a[0].S, a[1].S)
}

func (f *Functions) listeningChannels([]types.Datum) ([][]types.Datum, error) {
	var out [][]types.Datum
	for _, c := range f.view.Channels() {
		out = append(out, []types.Datum{str(c)})
	}
	return out, nil
}

// rowFuncs are the set-returning functions. There are no partitions.
var rowFuncs = map[string]func(f *Functions, a []types.Datum) ([][]types.Datum, error){
	"pg_partition_ancestors": func(*Functions, []types.Datum) ([][]types.Datum, error) { return nil, nil },
	"pg_listening_channels":  (*Functions).listeningChannels,
	"pg_partition_tree":      func(*Functions, []types.Datum) ([][]types.Datum, error) { return nil, nil },
}

// Rows gives the rows of a set-returning function; see executor/eval's RowProvider.
func (f *Functions) Rows(x *fn.Func, a []types.Datum) ([][]types.Datum, error) {
	return rowFuncs[x.Name](f, a)
}
