package syscat

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

func utoa(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// reserved are the words that quote_ident must quote.
var reserved = strings.Fields(`all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
	current_catalog current_date current_role current_time current_timestamp current_user default deferrable desc distinct do else end except
	false fetch for foreign from grant group having in initially intersect into lateral leading limit localtime localtimestamp not null offset on
	only or order placing primary references returning select session_user some symmetric table then to trailing true union unique user using
	variadic when where window with authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join left
	like natural notnull outer overlaps right similar tablesample verbose between bigint bit boolean char character coalesce dec decimal exists
	extract float greatest grouping inout int integer interval least national nchar none normalize nullif numeric out overlay position precision
	real row setof smallint substring time timestamp treat trim values varchar xmlattributes`)

// quoteIdent quotes a name where SQL needs it.
func quoteIdent(s string) string {
	plain := s != "" && !slices.Contains(reserved, s)
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c >= 'a' && c <= 'z' || c == '_' || i > 0 && (c >= '0' && c <= '9' || c == '$')
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// names resolves reg* texts; it implements types.Names.
type names struct{ f *Functions }

// Names resolves the texts of reg* types as the session of v does.
func (s *Source) Names(v View) types.Names { return names{s.Functions(v)} }

// RegName implements types.Names.
func (n names) RegName(kind, oid uint32) (string, bool) {
	f := n.f
	switch kind {
	case types.RegclassOID:
		if t := f.table(oid); t != nil {
			if f.inPath(t) {
				return quoteIdent(t.Name), true
			}
			return quoteIdent(schemaName(f.view, t.Schema)) + "." + quoteIdent(t.Name), true
		}
		if _, x := f.indexByOID(oid); x != nil {
			return quoteIdent(x.name), true
		}
	case types.RegtypeOID:
		if types.Lookup(oid) != nil {
			return types.FormatTypeNoMod(oid), true
		}
		for _, t := range f.view.Catalog().Tables() {
			if t.RelType == oid {
				return quoteIdent(t.Name), true
			}
		}
	case types.RegnamespaceOID:
		if s := f.view.Catalog().Schema(oid); s != nil {
			return quoteIdent(s.Name), true
		}
	case types.RegroleOID:
		if r := f.view.Catalog().Role(oid); r != nil {
			return quoteIdent(r.Name), true
		}
	case types.RegprocOID:
		if x := fn.ByOID(oid); x != nil {
			return x.Name, true
		}
	case types.RegprocedureOID:
		if x := fn.ByOID(oid); x != nil {
			args := make([]string, len(x.Args))
			for i, a := range x.Args {
				args[i] = types.FormatTypeNoMod(a)
			}
			return x.Name + "(" + strings.Join(args, ",") + ")", true
		}
	case types.RegoperOID, types.RegoperatorOID:
		if o := fn.OperatorByOID(oid); o != nil {
			return o.Name, true
		}
	case types.RegcollationOID:
		for id, c := range map[uint32]string{100: `"default"`, 950: `"C"`, 951: `"POSIX"`} {
			if id == oid {
				return c, true
			}
		}
	}
	return "", false
}

// parts splits a possibly qualified and quoted name.
func parts(s string) []string {
	var out []string
	for {
		s = strings.TrimSpace(s)
		if strings.HasPrefix(s, `"`) {
			var b strings.Builder
			i := 1
			for ; i < len(s); i++ {
				if s[i] == '"' {
					if i+1 < len(s) && s[i+1] == '"' {
						i++
					} else {
						break
					}
				}
				b.WriteByte(s[i])
			}
			out = append(out, b.String())
			s = strings.TrimSpace(s[min(i+1, len(s)):])
		} else {
			i := strings.IndexByte(s, '.')
			if i < 0 {
				i = len(s)
			}
			out = append(out, strings.ToLower(strings.TrimSpace(s[:i])))
			s = s[i:]
		}
		if !strings.HasPrefix(s, ".") {
			return out
		}
		s = s[1:]
	}
}

// RegOID implements types.Names.
func (n names) RegOID(kind uint32, text string) (uint32, error) {
	f := n.f
	p := parts(text)
	last := p[len(p)-1]
	cat := f.view.Catalog()
	switch kind {
	case types.RegclassOID:
		path := append([]string{"pg_catalog"}, f.view.SearchPath()...)
		if len(p) > 1 {
			path = []string{p[len(p)-2]}
			if path[0] == "pg_temp" {
				path[0] = f.view.TempSchema()
			}
		}
		for _, s := range path {
			if t := f.src.Table(s, last); t != nil {
				return t.OID, nil
			}
			sch := cat.SchemaNamed(s)
			if sch == nil {
				continue
			}
			if t := cat.TableNamed(sch.OID, last); t != nil {
				return t.OID, nil
			}
			for _, t := range cat.Tables() {
				if t.Schema == sch.OID && len(t.PK) > 0 && t.PKName == last {
					return t.PKOID, nil
				}
			}
		}
		return 0, sqlstate.Errorf(sqlstate.UndefinedTable, "relation \"%s\" does not exist", strings.Join(p, "."))
	case types.RegtypeOID:
		if i := types.ByAlias(strings.ToLower(strings.TrimPrefix(strings.TrimSpace(text), "pg_catalog."))); i != nil {
			return i.OID, nil
		}
		if i := types.ByName(last); i != nil {
			return i.OID, nil
		}
		for _, t := range cat.Tables() {
			if t.Name == last && t.RelType != 0 && f.inPath(t) {
				return t.RelType, nil
			}
		}
		return 0, sqlstate.Errorf(sqlstate.UndefinedObject, "type \"%s\" does not exist", text)
	case types.RegnamespaceOID:
		if s := cat.SchemaNamed(last); s != nil {
			return s.OID, nil
		}
		return 0, sqlstate.Errorf(sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", last)
	case types.RegroleOID:
		if r := cat.RoleNamed(last); r != nil {
			return r.OID, nil
		}
		return 0, sqlstate.Errorf(sqlstate.UndefinedObject, "role \"%s\" does not exist", last)
	case types.RegprocOID, types.RegprocedureOID:
		name, args, signed := strings.Cut(text, "(")
		q := parts(name)
		fs := fn.ByName(q[len(q)-1])
		if kind == types.RegprocOID || !signed {
			if len(fs) == 1 {
				return fs[0].OID, nil
			}
			if len(fs) > 1 {
				return 0, sqlstate.Errorf(sqlstate.AmbiguousFunction, "more than one function named \"%s\"", text)
			}
		} else {
			var want []uint32
			for _, a := range strings.Split(strings.TrimSuffix(strings.TrimSpace(args), ")"), ",") {
				if a = strings.TrimSpace(a); a == "" {
					continue
				}
				o, err := n.RegOID(types.RegtypeOID, a)
				if err != nil {
					return 0, err
				}
				want = append(want, o)
			}
			for _, x := range fs {
				if slices.Equal(x.Args, want) {
					return x.OID, nil
				}
			}
		}
		return 0, sqlstate.Errorf(sqlstate.UndefinedFunction, "function \"%s\" does not exist", text)
	case types.RegcollationOID:
		if o := map[string]uint32{"default": 100, "C": 950, "POSIX": 951}[last]; o != 0 {
			return o, nil
		}
		return 0, sqlstate.Errorf(sqlstate.UndefinedObject, "collation \"%s\" for encoding \"UTF8\" does not exist", last)
	case types.RegoperOID, types.RegoperatorOID:
		if ops := fn.Operators(last); len(ops) == 1 {
			return ops[0].OID, nil
		} else if len(ops) > 1 {
			return 0, sqlstate.Errorf(sqlstate.AmbiguousFunction, "more than one operator named %s", last)
		}
		return 0, sqlstate.Errorf(sqlstate.UndefinedFunction, "operator does not exist: %s", last)
	}
	return 0, sqlstate.Errorf(sqlstate.UndefinedObject, "\"%s\" does not exist", text)
}
