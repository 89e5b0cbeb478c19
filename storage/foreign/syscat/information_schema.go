package syscat

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
)

func init() {
	for name, p := range map[string]provider{
		"schemata": isSchemata, "tables": isTables, "columns": isColumns, "views": isViews, "table_constraints": isConstraints,
		"key_column_usage": isKeyColumns, "constraint_column_usage": isConstraintColumns, "information_schema_catalog_name": isCatalogName,
		"enabled_roles": isRoles, "applicable_roles": isApplicable, "table_privileges": isTablePrivileges, "role_table_grants": isTablePrivileges,
		"column_privileges": isColumnPrivileges, "role_column_grants": isColumnPrivileges,
		"check_constraints": isChecks, "character_sets": isCharacterSets,
	} {
		providers["information_schema."+name] = p
	}
}

func isCatalogName(s *Source, v View) []row { return []row{{"catalog_name": v.Database()}} }

func isRoles(s *Source, v View) []row { return []row{{"role_name": v.User().Name}} }

func isApplicable(s *Source, v View) []row {
	var out []row
	for _, m := range v.User().MemberOf {
		out = append(out, row{"grantee": v.User().Name, "role_name": roleName(v.Catalog(), m), "is_grantable": "NO"})
	}
	return out
}

func isCharacterSets(s *Source, v View) []row {
	return []row{{"character_set_name": "UTF8", "character_repertoire": "UCS", "form_of_use": "UTF8", "default_collate_catalog": v.Database(),
		"default_collate_schema": "pg_catalog", "default_collate_name": "C"}}
}

func isSchemata(s *Source, v View) []row {
	var out []row
	for _, n := range v.Catalog().Schemas() {
		out = append(out, row{"catalog_name": v.Database(), "schema_name": n.Name, "schema_owner": roleName(v.Catalog(), n.Owner)})
	}
	return out
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

// shown are all relations but the temporary ones of other sessions.
func (s *Source) shown(v View) []*catalog.Table {
	mine := v.Catalog().SchemaNamed(v.TempSchema())
	return slices.DeleteFunc(s.all(v), func(t *catalog.Table) bool { return t.Temp != 0 && (mine == nil || t.Schema != mine.OID) })
}

func isTables(s *Source, v View) []row {
	var out []row
	for _, t := range s.shown(v) {
		if t.Kind == catalog.KindSequence {
			continue
		}
		typ := "BASE TABLE"
		if relkind(t) == "v" {
			typ = "VIEW"
		} else if t.Temp != 0 {
			typ = "LOCAL TEMPORARY"
		}
		out = append(out, row{"table_catalog": v.Database(), "table_schema": schemaName(v, t.Schema), "table_name": t.Name, "table_type": typ,
			"is_insertable_into": yes(t.Kind == catalog.KindTable), "is_typed": "NO"})
	}
	return out
}

func isViews(s *Source, v View) []row {
	var out []row
	for _, t := range s.shown(v) {
		if relkind(t) == "v" {
			out = append(out, row{"table_catalog": v.Database(), "table_schema": schemaName(v, t.Schema), "table_name": t.Name, "view_definition": " " + t.ViewText + ";",
				"check_option": "NONE", "is_updatable": "NO", "is_insertable_into": "NO", "is_trigger_updatable": "NO", "is_trigger_deletable": "NO", "is_trigger_insertable_into": "NO"})
		}
	}
	return out
}

func isColumns(s *Source, v View) []row {
	var out []row
	for _, t := range s.shown(v) {
		if t.Kind == catalog.KindSequence {
			continue
		}
		for i := range t.Columns {
			c := &t.Columns[i]
			r := row{"table_catalog": v.Database(), "table_schema": schemaName(v, t.Schema), "table_name": t.Name, "column_name": c.Name,
				"ordinal_position": c.Attr, "column_default": orNull(s.Functions(v).shownExpr(c.DefaultText)), "is_nullable": yes(!c.NotNull), "udt_catalog": v.Database(),
				"udt_schema": "pg_catalog", "dtd_identifier": utoa(uint32(c.Attr)), "is_self_referencing": "NO", "is_identity": yes(c.Identity != 0),
				"identity_cycle": "NO", "is_generated": "NEVER", "is_updatable": yes(t.Kind == catalog.KindTable)}
			r["data_type"] = types.FormatTypeNoMod(c.T.OID)
			if types.IsArray(c.T.OID) {
				r["data_type"] = "ARRAY"
			}
			if q := v.Catalog().Table(c.Sequence); c.Identity != 0 && q != nil {
				r["identity_generation"] = map[byte]string{'a': "ALWAYS", 'd': "BY DEFAULT"}[c.Identity]
				r["identity_start"], r["identity_increment"], r["identity_maximum"], r["identity_minimum"] = q.Seq.Start, q.Seq.Inc, q.Seq.Max, q.Seq.Min
				r["identity_cycle"] = yes(q.Seq.Cycle)
			}
			if c.GeneratedText != "" {
				r["is_generated"], r["generation_expression"], r["column_default"] = "ALWAYS", c.GeneratedText, nil
			}
			if i := types.Lookup(c.T.OID); i != nil {
				r["udt_name"] = i.Name
			}
			switch c.T.OID {
			case types.VarcharOID, types.BPCharOID:
				if c.T.Mod >= 4 {
					r["character_maximum_length"], r["character_octet_length"] = c.T.Mod-4, (c.T.Mod-4)*4
				} else {
					r["character_octet_length"] = 1 << 30
				}
			case types.TextOID:
				r["character_octet_length"] = 1 << 30
			case types.Int2OID:
				r["numeric_precision"], r["numeric_precision_radix"], r["numeric_scale"] = 16, 2, 0
			case types.Int4OID:
				r["numeric_precision"], r["numeric_precision_radix"], r["numeric_scale"] = 32, 2, 0
			case types.Int8OID:
				r["numeric_precision"], r["numeric_precision_radix"], r["numeric_scale"] = 64, 2, 0
			case types.Float4OID:
				r["numeric_precision"], r["numeric_precision_radix"] = 24, 2
			case types.Float8OID:
				r["numeric_precision"], r["numeric_precision_radix"] = 53, 2
			case types.NumericOID:
				r["numeric_precision_radix"] = 10
				if p, sc, ok := types.NumericMod(c.T.Mod); ok {
					r["numeric_precision"], r["numeric_scale"] = p, sc
				}
			case types.DateOID:
				r["datetime_precision"] = 0
			case types.TimestampOID, types.TimestamptzOID, types.TimeOID, types.TimetzOID, types.IntervalOID:
				r["datetime_precision"] = 6
			}
			out = append(out, r)
		}
	}
	return out
}

func isConstraints(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		base := func(name, typ string) row {
			return row{"constraint_catalog": v.Database(), "constraint_schema": schemaName(v, t.Schema), "constraint_name": name, "table_catalog": v.Database(),
				"table_schema": schemaName(v, t.Schema), "table_name": t.Name, "constraint_type": typ, "is_deferrable": "NO", "initially_deferred": "NO", "enforced": "YES"}
		}
		for _, x := range indexesOf(t) {
			if x.constraint != 0 {
				out = append(out, base(x.name, map[bool]string{true: "PRIMARY KEY", false: "UNIQUE"}[x.primary]))
			}
		}
		for _, c := range t.Checks {
			out = append(out, base(c.Name, "CHECK"))
		}
	}
	return out
}

func isChecks(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		for _, c := range t.Checks {
			out = append(out, row{"constraint_catalog": v.Database(), "constraint_schema": schemaName(v, t.Schema), "constraint_name": c.Name, "check_clause": "(" + c.Text + ")"})
		}
	}
	return out
}

func isKeyColumns(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		for _, x := range indexesOf(t) {
			for i, o := range x.cols {
				if x.constraint == 0 {
					break
				}
				out = append(out, row{"constraint_catalog": v.Database(), "constraint_schema": schemaName(v, t.Schema), "constraint_name": x.name,
					"table_catalog": v.Database(), "table_schema": schemaName(v, t.Schema), "table_name": t.Name, "column_name": t.Columns[o].Name, "ordinal_position": i + 1})
			}
		}
	}
	return out
}

func isConstraintColumns(s *Source, v View) []row {
	out := isKeyColumns(s, v)
	for _, r := range out {
		delete(r, "ordinal_position")
	}
	return out
}

func isTablePrivileges(s *Source, v View) []row {
	names := map[rune]string{'r': "SELECT", 'a': "INSERT", 'w': "UPDATE", 'd': "DELETE", 'D': "TRUNCATE", 'x': "REFERENCES", 't': "TRIGGER"}
	var out []row
	for _, t := range v.Catalog().Tables() {
		acl := t.ACL
		if len(acl) == 0 {
			acl = []catalog.ACLItem{{Role: t.Owner, Grantor: t.Owner, Privileges: "arwdDxt", GrantOption: "arwdDxt"}}
		}
		for _, a := range acl {
			grantee := roleName(v.Catalog(), a.Role)
			if a.Role == 0 {
				grantee = "PUBLIC"
			}
			for _, p := range a.Privileges {
				out = append(out, row{"grantor": roleName(v.Catalog(), a.Grantor), "grantee": grantee, "table_catalog": v.Database(),
					"table_schema": schemaName(v, t.Schema), "table_name": t.Name, "privilege_type": names[p],
					"is_grantable": yes(strings.ContainsRune(a.GrantOption, p)), "with_hierarchy": yes(p == 'r')})
			}
		}
	}
	return out
}
