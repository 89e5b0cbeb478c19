package syscat

import (
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// privilegeLetters are the privileges of tables; columns have those of columnLetters.
var privilegeLetters = map[string]byte{"select": 'r', "insert": 'a', "update": 'w', "delete": 'd', "truncate": 'D', "references": 'x', "trigger": 't'}

const columnLetters = "arwx"

// asked is whose privileges on what a function asks for; rest are the arguments that
// follow the relation.
type asked struct {
	role *catalog.Role
	t    *catalog.Table
	rest []types.Datum
	at   int // of the first of rest among the arguments
}

// privilegeArgs reads the arguments (user, relation, …) or (relation, …), each by name
// or OID; more is how many follow. The relation is nil for a number of none.
func (f *Functions) privilegeArgs(x *fn.Func, a []types.Datum, more int) (q asked, err error) {
	cat, i := f.view.Catalog(), 0
	q.role = f.view.User()
	if len(a) == more+2 {
		i = 1
		if x.Args[0] == types.OidOID {
			if q.role = cat.Role(uint32(a[0].I)); q.role == nil {
				return q, sqlstate.Errorf(sqlstate.UndefinedObject, "role with OID %d does not exist", uint32(a[0].I))
			}
		} else if q.role = cat.RoleNamed(a[0].S); q.role == nil {
			return q, sqlstate.Errorf(sqlstate.UndefinedObject, "role \"%s\" does not exist", a[0].S)
		}
	}
	q.t, err = f.relationArg(x, a, i)
	q.rest, q.at = a[i+1:], i+1
	return q, err
}

// privilegeList reads the letters of a list of privileges, and for which of them the
// right to grant them is meant.
func privilegeList(text string, valid string) (out []byte, grant []bool, err error) {
	for _, p := range strings.Split(text, ",") {
		name, option := strings.CutSuffix(strings.ToLower(strings.TrimSpace(p)), " with grant option")
		l := privilegeLetters[name]
		if l == 0 || valid != "" && strings.IndexByte(valid, l) < 0 {
			return nil, nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "unrecognized privilege type: \"%s\"", strings.TrimSpace(p))
		}
		out, grant = append(out, l), append(grant, option)
	}
	return out, grant, nil
}

// owns says whether the role may do all it likes with the relation.
func (f *Functions) owns(q asked) bool {
	return q.role.Super || q.t.Kind == catalog.KindSystem || f.memberOf(q.role, q.t.Owner, 0)
}

func (f *Functions) memberOf(r *catalog.Role, of uint32, depth int) bool {
	if r == nil || depth > 32 {
		return false
	}
	if r.OID == of {
		return true
	}
	for _, m := range r.MemberOf {
		if f.memberOf(f.view.Catalog().Role(m), of, depth+1) {
			return true
		}
	}
	return false
}

func (f *Functions) granted(q asked, acl []catalog.ACLItem, letter byte, grant bool) bool {
	for _, a := range acl {
		have := a.Privileges
		if grant {
			have = a.GrantOption
		}
		if strings.IndexByte(have, letter) >= 0 && (a.Role == 0 || f.memberOf(q.role, a.Role, 0)) {
			return true
		}
	}
	return false
}

func (f *Functions) hasTablePrivilege(x *fn.Func, a []types.Datum) (types.Datum, error) {
	q, err := f.privilegeArgs(x, a, 1)
	if err != nil || q.t == nil {
		return types.Null, err
	}
	ls, grant, err := privilegeList(q.rest[0].S, "")
	if err != nil {
		return types.Null, err
	}
	for i, l := range ls {
		if f.owns(q) || f.granted(q, q.t.ACL, l, grant[i]) {
			return types.NewBool(true), nil
		}
	}
	return types.NewBool(false), nil
}

func (f *Functions) hasAnyColumnPrivilege(x *fn.Func, a []types.Datum) (types.Datum, error) {
	q, err := f.privilegeArgs(x, a, 1)
	if err != nil || q.t == nil {
		return types.Null, err
	}
	ls, grant, err := privilegeList(q.rest[0].S, columnLetters)
	if err != nil {
		return types.Null, err
	}
	for i, l := range ls {
		if f.owns(q) || f.granted(q, q.t.ACL, l, grant[i]) {
			return types.NewBool(true), nil
		}
		for k := range q.t.Columns {
			if f.granted(q, q.t.Columns[k].ACL, l, grant[i]) {
				return types.NewBool(true), nil
			}
		}
	}
	return types.NewBool(false), nil
}

func (f *Functions) hasColumnPrivilege(x *fn.Func, a []types.Datum) (types.Datum, error) {
	q, err := f.privilegeArgs(x, a, 2)
	if err != nil || q.t == nil {
		return types.Null, err
	}
	ord := -1
	if x.Args[q.at] == types.TextOID {
		if ord = q.t.Ordinal(q.rest[0].S); ord < 0 {
			return types.Null, sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" of relation \"%s\" does not exist", q.rest[0].S, q.t.Name)
		}
	} else {
		for i := range q.t.Columns {
			if int64(q.t.Columns[i].Attr) == q.rest[0].I {
				ord = i
			}
		}
		if ord < 0 {
			return types.Null, nil
		}
	}
	ls, grant, err := privilegeList(q.rest[1].S, columnLetters)
	if err != nil {
		return types.Null, err
	}
	for i, l := range ls {
		if f.owns(q) || f.granted(q, q.t.ACL, l, grant[i]) || f.granted(q, q.t.Columns[ord].ACL, l, grant[i]) {
			return types.NewBool(true), nil
		}
	}
	return types.NewBool(false), nil
}

// isColumnPrivileges has the privileges on columns, those on whole tables among them.
func isColumnPrivileges(s *Source, v View) []row {
	names := map[byte]string{'r': "SELECT", 'a': "INSERT", 'w': "UPDATE", 'x': "REFERENCES"}
	type key struct {
		role, grantor uint32
		letter        byte
	}
	var out []row
	for _, t := range v.Catalog().Tables() {
		if t.Kind == catalog.KindSequence || t.IsIndex() {
			continue
		}
		whole := t.ACL
		if len(whole) == 0 {
			whole = []catalog.ACLItem{{Role: t.Owner, Grantor: t.Owner, Privileges: columnLetters, GrantOption: columnLetters}}
		}
		for i := range t.Columns {
			at := map[key]row{}
			for _, acl := range [][]catalog.ACLItem{whole, t.Columns[i].ACL} {
				for _, a := range acl {
					grantee := roleName(v.Catalog(), a.Role)
					if a.Role == 0 {
						grantee = "PUBLIC"
					}
					for p := range len(a.Privileges) {
						l := a.Privileges[p]
						if names[l] == "" {
							continue
						}
						grantable := a.Role == t.Owner || strings.IndexByte(a.GrantOption, l) >= 0
						k := key{a.Role, a.Grantor, l}
						if r := at[k]; r != nil {
							if grantable {
								r["is_grantable"] = yes(true)
							}
							continue
						}
						at[k] = row{"grantor": roleName(v.Catalog(), a.Grantor), "grantee": grantee, "table_catalog": v.Database(),
							"table_schema": schemaName(v, t.Schema), "table_name": t.Name, "column_name": t.Columns[i].Name,
							"privilege_type": names[l], "is_grantable": yes(grantable)}
						out = append(out, at[k])
					}
				}
			}
		}
	}
	return out
}
