package ddl

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// columnLetters are the privileges that columns have, in the order of their texts.
const columnLetters = "arwx"

// grantColumns changes the privileges on columns of t, which is the caller's copy: those
// that the statement names, and with a REVOKE on the table those of all columns.
func (env *Env) grantColumns(t *catalog.Table, x *plan.Grant, grantees []uint32) error {
	if len(x.Columns) == 0 && !x.Revoke {
		return nil
	}
	t.Columns = slices.Clone(t.Columns)
	if len(x.Columns) == 0 || len(x.Privileges) > 0 { // a REVOKE, or both kinds
		want := columnLetters
		if len(x.Privileges) > 0 {
			want = ""
			for _, p := range x.Privileges {
				if l := letters[p]; l != 0 && strings.IndexByte(columnLetters, l) >= 0 {
					want += string(l)
				}
			}
		}
		for i := range t.Columns {
			if x.Revoke && len(t.Columns[i].ACL) > 0 {
				t.Columns[i].ACL = columnACL(t, &t.Columns[i], x, want, grantees)
			}
		}
	}
	if len(x.Columns) == 0 {
		return nil
	}
	if t.Kind == catalog.KindSequence {
		return sqlstate.Unsupported("privileges on columns of a sequence")
	}
	if !env.owns(t.Owner) {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for %s %s", kindWord(t), t.Name)
	}
	for _, g := range x.Columns {
		want := columnLetters
		if g.Privilege != "" {
			l := letters[g.Privilege]
			if l == 0 || strings.IndexByte(columnLetters, l) < 0 {
				return sqlstate.Errorf(sqlstate.InvalidGrantOperation, "invalid privilege type %s for column", strings.ToUpper(g.Privilege))
			}
			want = string(l)
		}
		for _, name := range g.Names {
			o := t.Ordinal(name)
			if o < 0 {
				return noColumn(name, t.Name)
			}
			t.Columns[o].ACL = columnACL(t, &t.Columns[o], x, want, grantees)
		}
	}
	return nil
}

// columnACL is a column's ACL after a GRANT or REVOKE.
func columnACL(t *catalog.Table, c *catalog.Column, x *plan.Grant, want string, grantees []uint32) []catalog.ACLItem {
	acl := slices.Clone(c.ACL)
	for _, g := range grantees {
		i := slices.IndexFunc(acl, func(a catalog.ACLItem) bool { return a.Role == g })
		if i < 0 {
			if x.Revoke {
				continue
			}
			acl = append(acl, catalog.ACLItem{Role: g, Grantor: t.Owner})
			i = len(acl) - 1
		}
		a := &acl[i]
		if !x.Revoke || !x.GrantOption { // else REVOKE GRANT OPTION FOR
			a.Privileges = merged(a.Privileges, want, columnLetters, x.Revoke)
		}
		if x.GrantOption || x.Revoke {
			a.GrantOption = merged(a.GrantOption, want, columnLetters, x.Revoke)
		}
	}
	return slices.DeleteFunc(acl, func(a catalog.ACLItem) bool { return a.Privileges == "" })
}

func kindWord(t *catalog.Table) string {
	if t.Kind == catalog.KindView {
		return "view"
	}
	return "table"
}
