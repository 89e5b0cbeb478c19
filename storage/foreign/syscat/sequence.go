package syscat

import (
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func init() {
	providers["pg_catalog.pg_sequence"] = pgSequence
	providers["pg_catalog.pg_sequences"] = pgSequences
	providers["information_schema.sequences"] = isSequences
	for name, f := range map[string]systemFunc{
		"nextval": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
			return f.sequence(a, func(t *catalog.Table) (int64, error) { return f.view.Nextval(t) })
		},
		"currval": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
			return f.sequence(a, func(t *catalog.Table) (int64, error) { return f.view.Currval(t) })
		},
		"lastval": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
			n, err := f.view.Lastval()
			return types.NewInt(n), err
		},
		"setval": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
			return f.sequence(a, func(t *catalog.Table) (int64, error) {
				return a[1].I, f.view.Setval(t, a[1].I, len(a) < 3 || a[2].Bool())
			})
		},
		"pg_sequence_last_value": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
			called := false
			d, err := f.sequence(a, func(t *catalog.Table) (n int64, err error) {
				n, called, _, err = f.view.SequenceState(t)
				return n, err
			})
			if !called {
				return types.Null, err
			}
			return d, err
		},
		"pg_get_serial_sequence": (*Functions).serialSequence,
		"has_sequence_privilege": (*Functions).hasSequencePrivilege,
		"pg_get_expr": func(f *Functions, _ *fn.Func, a []types.Datum) (types.Datum, error) {
			return str(f.shownExpr(a[0].S)), nil
		},
	} {
		systemFuncs[name] = f
	}
}

// sequence calls do with the sequence that an argument names.
func (f *Functions) sequence(a []types.Datum, do func(*catalog.Table) (int64, error)) (types.Datum, error) {
	t := f.table(uint32(a[0].I))
	if t == nil {
		return types.Null, sqlstate.Errorf(sqlstate.UndefinedTable, "could not open relation with OID %d", uint32(a[0].I))
	}
	if t.Kind != catalog.KindSequence {
		return types.Null, sqlstate.Errorf(sqlstate.WrongObjectType, "\"%s\" is not a sequence", t.Name)
	}
	n, err := do(t)
	return types.NewInt(n), err
}

// serialSequence is pg_get_serial_sequence.
func (f *Functions) serialSequence(_ *fn.Func, a []types.Datum) (types.Datum, error) {
	oid, err := f.src.Names(f.view).RegOID(types.RegclassOID, a[0].S)
	if err != nil {
		return types.Null, err
	}
	t := f.table(oid)
	if t == nil || t.Ordinal(a[1].S) < 0 {
		name := a[0].S
		if t != nil {
			name = t.Name
		}
		return types.Null, sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", a[1].S, name)
	}
	id := t.Columns[t.Ordinal(a[1].S)].ID
	for _, s := range f.view.Catalog().Tables() {
		if s.Kind == catalog.KindSequence && s.Seq.OwnerTable == t.OID && s.Seq.OwnerColumn == id {
			return str(quoteIdent(schemaName(f.view, s.Schema)) + "." + quoteIdent(s.Name)), nil
		}
	}
	return types.Null, nil
}

func (f *Functions) hasSequencePrivilege(x *fn.Func, a []types.Datum) (types.Datum, error) {
	i := len(a) - 2
	t, err := f.relationArg(x, a, i)
	if t == nil {
		return types.Null, err
	}
	if t.Kind != catalog.KindSequence {
		return types.Null, sqlstate.Errorf(sqlstate.WrongObjectType, "\"%s\" is not a sequence", t.Name)
	}
	role := f.view.User()
	if i == 1 {
		if x.Args[0] == types.OidOID {
			role = f.view.Catalog().Role(uint32(a[0].I))
		} else {
			role = f.view.Catalog().RoleNamed(a[0].S)
		}
	}
	if role == nil {
		return types.Null, sqlstate.Errorf(sqlstate.UndefinedObject, "role \"%s\" does not exist", a[0].S)
	}
	if role.Super || role.OID == t.Owner {
		return types.NewBool(true), nil
	}
	for _, p := range strings.Split(strings.ToLower(a[i+1].S), ",") {
		l, ok := map[string]byte{"usage": 'U', "select": 'r', "update": 'w'}[strings.TrimSpace(p)]
		if !ok {
			return types.Null, sqlstate.Errorf(sqlstate.InvalidParameterValue, "unrecognized privilege type: \"%s\"", p)
		}
		for _, acl := range t.ACL {
			if (acl.Role == 0 || acl.Role == role.OID) && strings.IndexByte(acl.Privileges, l) >= 0 {
				return types.NewBool(true), nil
			}
		}
	}
	return types.NewBool(false), nil
}

// shownExpr is the text of a stored expression with the names of the relations that
// it has as OIDs.
func (f *Functions) shownExpr(text string) string {
	const mark = "'::regclass"
	for from := 0; ; {
		end := strings.Index(text[from:], mark)
		if end < 0 {
			return text
		}
		end += from
		start := end
		for start > 0 && text[start-1] >= '0' && text[start-1] <= '9' {
			start--
		}
		from = end + len(mark)
		if start == end || start == 0 || text[start-1] != '\'' {
			continue
		}
		oid, ok := atou(text[start:end])
		if !ok {
			continue
		}
		if name, ok := (names{f}).RegName(types.RegclassOID, oid); ok {
			name = strings.ReplaceAll(name, "'", "''")
			text = text[:start] + name + text[end:]
			from += len(name) - (end - start)
		}
	}
}

func atou(s string) (uint32, bool) {
	var n uint64
	for _, c := range s {
		if n = n*10 + uint64(c-'0'); n > 1<<32-1 {
			return 0, false
		}
	}
	return uint32(n), true
}

// sequenceRows is what a scan of a sequence gives.
func sequenceRows(v View, t *catalog.Table) ([][]types.Datum, error) {
	last, called, ahead, err := v.SequenceState(t)
	if err != nil {
		return nil, err
	}
	return [][]types.Datum{{types.NewInt(last), types.NewInt(int64(ahead)), types.NewBool(called)}}, nil
}

func sequencesOf(v View) []*catalog.Table {
	var out []*catalog.Table
	for _, t := range v.Catalog().Tables() {
		if t.Kind == catalog.KindSequence {
			out = append(out, t)
		}
	}
	return out
}

func pgSequence(s *Source, v View) []row {
	var out []row
	for _, t := range sequencesOf(v) {
		q := t.Seq
		out = append(out, row{"seqrelid": t.OID, "seqtypid": q.Type, "seqstart": q.Start, "seqincrement": q.Inc, "seqmax": q.Max, "seqmin": q.Min,
			"seqcache": q.Cache, "seqcycle": q.Cycle})
	}
	return out
}

func pgSequences(s *Source, v View) []row {
	var out []row
	for _, t := range sequencesOf(v) {
		q := t.Seq
		r := row{"schemaname": schemaName(v, t.Schema), "sequencename": t.Name, "sequenceowner": roleName(v.Catalog(), t.Owner),
			"data_type": types.NewInt(int64(q.Type)), "start_value": q.Start, "min_value": q.Min, "max_value": q.Max, "increment_by": q.Inc,
			"cycle": q.Cycle, "cache_size": q.Cache}
		if last, called, _, err := v.SequenceState(t); err == nil && called && v.MayUseSequence(t, "Ur") {
			r["last_value"] = last
		}
		out = append(out, r)
	}
	return out
}

func isSequences(s *Source, v View) []row {
	var out []row
	for _, t := range sequencesOf(v) {
		q := t.Seq
		if q.Identity || !v.MayUseSequence(t, "Urw") {
			continue
		}
		bits := map[uint32]int{types.Int2OID: 16, types.Int4OID: 32, types.Int8OID: 64}[q.Type]
		out = append(out, row{"sequence_catalog": v.Database(), "sequence_schema": schemaName(v, t.Schema), "sequence_name": t.Name,
			"data_type": types.FormatTypeNoMod(q.Type), "numeric_precision": bits, "numeric_precision_radix": 2, "numeric_scale": 0,
			"start_value": q.Start, "minimum_value": q.Min, "maximum_value": q.Max, "increment": q.Inc, "cycle_option": yes(q.Cycle)})
	}
	return out
}
