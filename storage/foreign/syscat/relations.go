package syscat

import (
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
)

// Fixed OIDs that rows refer to.
const (
	heapAM, btreeAM        = 2, 403
	pgClassOID             = 1259
	pgTypeOID, pgProcOID   = 1247, 1255
	pgConstraintOID        = 2606
	defaultCollation       = 100
	pgDefaultTablespaceOID = 1663
)

var providers = map[string]provider{
	"pg_catalog.pg_namespace":     pgNamespace,
	"pg_catalog.pg_class":         pgClass,
	"pg_catalog.pg_attribute":     pgAttribute,
	"pg_catalog.pg_attrdef":       pgAttrdef,
	"pg_catalog.pg_type":          pgType,
	"pg_catalog.pg_proc":          pgProc,
	"pg_catalog.pg_aggregate":     pgAggregate,
	"pg_catalog.pg_operator":      pgOperator,
	"pg_catalog.pg_index":         pgIndex,
	"pg_catalog.pg_constraint":    pgConstraint,
	"pg_catalog.pg_description":   pgDescription,
	"pg_catalog.pg_depend":        pgDepend,
	"pg_catalog.pg_database":      pgDatabase,
	"pg_catalog.pg_roles":         pgRoles,
	"pg_catalog.pg_authid":        pgRoles,
	"pg_catalog.pg_user":          pgUser,
	"pg_catalog.pg_shadow":        pgUser,
	"pg_catalog.pg_auth_members":  pgAuthMembers,
	"pg_catalog.pg_am":            pgAm,
	"pg_catalog.pg_language":      pgLanguage,
	"pg_catalog.pg_collation":     pgCollation,
	"pg_catalog.pg_tablespace":    pgTablespace,
	"pg_catalog.pg_opclass":       pgOpclass,
	"pg_catalog.pg_tables":        pgTables,
	"pg_catalog.pg_views":         pgViews,
	"pg_catalog.pg_indexes":       pgIndexes,
	"pg_catalog.pg_rewrite":       pgRewrite,
	"pg_catalog.pg_settings":      pgSettings,
	"pg_catalog.pg_stat_activity": pgStatActivity,
	"pg_catalog.pg_locks":         pgLocks,
	"pg_catalog.pg_stat_database": pgStatDatabase,

	"pg_catalog.pg_subscription":      pgSubscription,
	"pg_catalog.pg_stat_subscription": pgStatSubscription,
	"pg_catalog.pg_replication_slots": pgReplicationSlots,

	"hologres.hg_replication_slot_properties": hgReplicationSlotProperties,

	"pg_catalog.pg_stat_user_tables":     pgStatTables,
	"pg_catalog.pg_stat_all_tables":      pgStatTables,
	"pg_catalog.pg_prepared_statements":  pgPrepared,
	"pg_catalog.pg_cursors":              pgCursors,
	"pg_catalog.pg_timezone_names":       pgTimezoneNames,
	"pg_catalog.pg_stats":                pgStats,
	"hologres.hg_table_properties":       hgTableProperties,
	"hologres.hg_table_group_properties": hgTableGroupProperties,
}

// all lists stored and system relations.
func (s *Source) all(v View) []*catalog.Table {
	return append(append([]*catalog.Table(nil), s.list...), v.Catalog().Tables()...)
}

func relkind(t *catalog.Table) string {
	switch {
	case t.Kind == catalog.KindSystem:
		return t.Props["relkind"]
	case t.Kind == catalog.KindView:
		return "v"
	case t.Kind == catalog.KindSequence:
		return "S"
	}
	return "r"
}

func pgNamespace(s *Source, v View) []row {
	var out []row
	for _, n := range v.Catalog().Schemas() {
		r := row{"oid": n.OID, "nspname": n.Name, "nspowner": n.Owner}
		if a := aclText(v, n.ACL); a != nil {
			r["nspacl"] = a
		}
		if n.OID == catalog.PgCatalogOID || n.OID == catalog.InformationSchemaOID {
			r["nspacl"] = []string{"postgres=UC/postgres", "=U/postgres"}
		}
		if n.OID == catalog.PublicSchemaOID && len(n.ACL) == 0 {
			r["nspacl"] = []string{"pg_database_owner=UC/pg_database_owner", "=U/pg_database_owner"}
		}
		out = append(out, r)
	}
	return out
}

func roleName(v *catalog.Version, oid uint32) string {
	if r := v.Role(oid); r != nil {
		return r.Name
	}
	if oid == 0 {
		return ""
	}
	return "unknown (OID=" + utoa(oid) + ")"
}

func aclText(v View, acl []catalog.ACLItem) any {
	if len(acl) == 0 {
		return nil
	}
	var out []string
	for _, a := range acl {
		var p strings.Builder
		for _, l := range a.Privileges {
			p.WriteRune(l)
			if strings.ContainsRune(a.GrantOption, l) {
				p.WriteByte('*')
			}
		}
		out = append(out, roleName(v.Catalog(), a.Role)+"="+p.String()+"/"+roleName(v.Catalog(), a.Grantor))
	}
	return out
}

func pgClass(s *Source, v View) []row {
	var out []row
	// Tables of foreign keys have triggers in PostgreSQL; tools look for the keys by them.
	keyed := map[uint32]bool{}
	for _, t := range v.Catalog().Tables() {
		for _, k := range t.Foreign {
			keyed[t.OID], keyed[k.RefTable] = true, true
		}
	}
	for _, t := range s.all(v) {
		kind := relkind(t)
		r := row{"oid": t.OID, "relname": t.Name, "relnamespace": t.Schema, "reltype": t.RelType, "reloftype": 0, "relowner": t.Owner,
			"relam": 0, "relfilenode": 0, "reltablespace": 0, "relpages": 0, "reltuples": -1.0, "relallvisible": 0, "reltoastrelid": 0,
			"relhasindex": len(t.PK) > 0, "relisshared": false, "relpersistence": persistence(t), "relkind": kind, "relnatts": len(t.Columns),
			"relchecks": len(t.Checks), "relhasrules": kind == "v", "relhastriggers": keyed[t.OID], "relhassubclass": false, "relrowsecurity": false,
			"relforcerowsecurity": false, "relispopulated": true, "relreplident": "d", "relispartition": false, "relrewrite": 0,
			"relfrozenxid": 0, "relminmxid": 0, "relacl": aclText(v, t.ACL)}
		if kind == "r" {
			r["relam"], r["relfilenode"] = heapAM, t.OID
		}
		if t.Kind == catalog.KindTable {
			st := v.Store().Stats(t.OID)
			r["reltuples"] = float64(st.Rows)
			r["relpages"] = int(v.Store().DiskBytes(t.OID) / 8192)
			if len(t.PK) == 0 {
				r["relreplident"] = "f"
			}
			r["reloptions"] = []string{"orientation=" + t.Orientation()}
		}
		out = append(out, r)
		for _, x := range indexesOf(t) {
			out = append(out, row{"oid": x.oid, "relname": x.name, "relnamespace": t.Schema, "reltype": 0, "reloftype": 0, "relowner": t.Owner,
				"relam": btreeAM, "relfilenode": x.oid, "reltablespace": 0, "relpages": 0, "reltuples": 0.0, "relallvisible": 0, "reltoastrelid": 0,
				"relhasindex": false, "relisshared": false, "relpersistence": persistence(t), "relkind": "i", "relnatts": len(x.cols), "relchecks": 0,
				"relhasrules": false, "relhastriggers": false, "relhassubclass": false, "relrowsecurity": false, "relforcerowsecurity": false,
				"relispopulated": true, "relreplident": "n", "relispartition": false, "relrewrite": 0, "relfrozenxid": 0, "relminmxid": 0})
		}
	}
	return out
}

func attribute(rel uint32, c *catalog.Column, num int16) row {
	info := types.Lookup(c.T.OID)
	r := row{"attrelid": rel, "attname": c.Name, "atttypid": c.T.OID, "attstattarget": -1, "attlen": -1, "attnum": num, "attndims": 0,
		"attcacheoff": -1, "atttypmod": c.T.Mod, "attbyval": false, "attalign": "i", "attstorage": "x", "attcompression": "", "attnotnull": c.NotNull,
		"atthasdef": c.DefaultText != "" || c.GeneratedText != "", "atthasmissing": false, "attidentity": "", "attgenerated": "", "attisdropped": false,
		"attislocal": true, "attinhcount": 0, "attcollation": 0}
	if c.Identity != 0 {
		r["attidentity"] = string(c.Identity)
	}
	if c.GeneratedText != "" {
		r["attgenerated"] = "s"
	}
	if types.IsArray(c.T.OID) {
		r["attndims"] = 1
	}
	if info != nil {
		r["attlen"], r["attbyval"], r["attalign"], r["attstorage"], r["attcollation"] = info.Len, info.ByVal, string(info.Align), string(info.Storage), info.Collation
	}
	return r
}

func pgAttribute(s *Source, v View) []row {
	var out []row
	for _, t := range s.all(v) {
		for i := range t.Columns {
			r := attribute(t.OID, &t.Columns[i], t.Columns[i].Attr)
			if acl := t.Columns[i].ACL; len(acl) > 0 {
				r["attacl"] = aclText(v, acl)
			}
			out = append(out, r)
		}
		for _, x := range indexesOf(t) {
			for i, o := range x.cols {
				c := t.Columns[o]
				c.DefaultText, c.GeneratedText, c.NotNull, c.Identity = "", "", false, 0
				out = append(out, attribute(x.oid, &c, int16(i+1)))
			}
		}
	}
	return out
}

func pgAttrdef(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		for _, c := range t.Columns {
			text := c.DefaultText
			if c.GeneratedText != "" {
				text = c.GeneratedText
			}
			if text != "" {
				out = append(out, row{"oid": t.OID<<8 + uint32(c.Attr), "adrelid": t.OID, "adnum": c.Attr, "adbin": text})
			}
		}
	}
	return out
}

func pgType(s *Source, v View) []row {
	var out []row
	proc := func(name string) uint32 {
		for _, f := range fn.ByName(name) {
			return f.OID
		}
		return 0
	}
	for _, i := range types.Builtins() {
		r := row{"oid": i.OID, "typname": i.Name, "typnamespace": catalog.PgCatalogOID, "typowner": catalog.PostgresRoleOID, "typlen": i.Len,
			"typbyval": i.ByVal, "typtype": string(i.Kind), "typcategory": string(i.Category), "typispreferred": i.Preferred, "typisdefined": true,
			"typdelim": string(delim(i.Delim)), "typrelid": 0, "typsubscript": 0, "typelem": i.ElemOID, "typarray": i.ArrayOID,
			"typinput": proc(i.Input), "typoutput": proc(i.Output), "typreceive": proc(i.Receive), "typsend": proc(i.Send), "typmodin": proc(i.ModIn), "typmodout": proc(i.ModOut),
			"typanalyze": 0, "typalign": string(i.Align), "typstorage": string(i.Storage), "typnotnull": false, "typbasetype": 0, "typtypmod": -1,
			"typndims": 0, "typcollation": i.Collation}
		out = append(out, r)
	}
	for _, t := range v.Catalog().Tables() {
		if t.RelType == 0 {
			continue
		}
		out = append(out, row{"oid": t.RelType, "typname": t.Name, "typnamespace": t.Schema, "typowner": t.Owner, "typlen": -1, "typbyval": false,
			"typtype": "c", "typcategory": "C", "typispreferred": false, "typisdefined": true, "typdelim": ",", "typrelid": t.OID, "typsubscript": 0,
			"typelem": 0, "typarray": 0, "typinput": proc("record_in"), "typoutput": proc("record_out"), "typreceive": proc("record_recv"), "typsend": proc("record_send"),
			"typmodin": 0, "typmodout": 0, "typanalyze": 0, "typalign": "d", "typstorage": "x", "typnotnull": false, "typbasetype": 0, "typtypmod": -1, "typndims": 0, "typcollation": 0})
	}
	return out
}

func delim(b byte) byte {
	if b == 0 {
		return ','
	}
	return b
}

func pgProc(s *Source, v View) []row {
	var out []row
	for _, f := range fn.All() {
		kind := map[fn.Kind]string{fn.Scalar: "f", fn.Aggregate: "a", fn.Window: "w"}[f.Kind]
		vol := map[fn.Volatility]string{fn.Immutable: "i", fn.Stable: "s", fn.Volatile: "v"}[f.Volatility]
		r := row{"oid": f.OID, "proname": f.Name, "pronamespace": catalog.PgCatalogOID, "proowner": catalog.PostgresRoleOID, "prolang": 12, "procost": 1.0,
			"prorows": 0.0, "provariadic": f.Variadic, "prosupport": 0, "prokind": kind, "prosecdef": false, "proleakproof": false, "proisstrict": f.Strict,
			"proretset": f.RetSet, "provolatile": vol, "proparallel": "s", "pronargs": len(f.Args), "pronargdefaults": f.Defaults, "prorettype": f.Ret,
			"proargtypes": f.Args, "prosrc": f.Name}
		if f.Args == nil {
			r["proargtypes"] = []uint32{}
		}
		if f.RetSet {
			r["prorows"] = 1000.0
		}
		out = append(out, r)
	}
	return out
}

func pgAggregate(s *Source, v View) []row {
	var out []row
	for _, f := range fn.All() {
		if f.Kind == fn.Aggregate {
			out = append(out, row{"aggfnoid": f.OID, "aggkind": "n", "aggnumdirectargs": 0, "aggfinalextra": false, "aggmfinalextra": false,
				"aggfinalmodify": "r", "aggmfinalmodify": "r", "aggsortop": 0, "aggtranstype": f.Ret, "aggtransspace": 0, "aggmtranstype": 0, "aggmtransspace": 0})
		}
	}
	return out
}

func pgOperator(s *Source, v View) []row {
	var out []row
	for _, o := range fn.AllOperators() {
		kind, code := "b", uint32(0)
		if o.Left == 0 {
			kind = "l"
		}
		if o.Func != nil {
			code = o.Func.OID
		}
		out = append(out, row{"oid": o.OID, "oprname": o.Name, "oprnamespace": catalog.PgCatalogOID, "oprowner": catalog.PostgresRoleOID, "oprkind": kind,
			"oprcanmerge": o.CanMerge, "oprcanhash": o.CanHash, "oprleft": o.Left, "oprright": o.Right, "oprresult": o.Result, "oprcom": o.Commutator,
			"oprnegate": o.Negator, "oprcode": code, "oprrest": 0, "oprjoin": 0})
	}
	return out
}

func opclassOf(typ uint32) uint32 {
	for _, c := range opclasses {
		if c.typ == typ && c.def {
			return c.oid
		}
	}
	if types.Lookup(typ) != nil && typ == types.VarcharOID {
		return 3126
	}
	return 0
}

func pgIndex(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		for _, x := range indexesOf(t) {
			var keys []int16
			var coll, class []uint32
			var opt []int16
			for _, o := range x.cols {
				c := &t.Columns[o]
				keys = append(keys, c.Attr)
				n := uint32(0)
				if i := types.Lookup(c.T.OID); i != nil {
					n = i.Collation
				}
				coll, class, opt = append(coll, n), append(class, opclassOf(c.T.OID)), append(opt, 0)
			}
			out = append(out, row{"indexrelid": x.oid, "indrelid": t.OID, "indnatts": len(keys), "indnkeyatts": len(keys), "indisunique": true,
				"indnullsnotdistinct": false, "indisprimary": x.primary, "indisexclusion": false, "indimmediate": true, "indisclustered": false, "indisvalid": true,
				"indcheckxmin": false, "indisready": true, "indislive": true, "indisreplident": false, "indkey": keys, "indcollation": coll, "indclass": class, "indoption": opt})
		}
	}
	return out
}

func pgConstraint(s *Source, v View) []row {
	var out []row
	add := func(t *catalog.Table, oid uint32, name, typ string, keys []int16, index uint32, bin any) {
		out = append(out, row{"oid": oid, "conname": name, "connamespace": t.Schema, "contype": typ, "condeferrable": false, "condeferred": false,
			"convalidated": true, "conrelid": t.OID, "contypid": 0, "conindid": index, "conparentid": 0, "confrelid": 0, "confupdtype": " ", "confdeltype": " ",
			"confmatchtype": " ", "conislocal": true, "coninhcount": 0, "connoinherit": typ == "p" || typ == "u", "conkey": keys, "conbin": bin})
	}
	for _, t := range v.Catalog().Tables() {
		for _, x := range indexesOf(t) {
			if x.constraint == 0 {
				continue
			}
			var keys []int16
			for _, o := range x.cols {
				keys = append(keys, t.Columns[o].Attr)
			}
			add(t, x.constraint, x.name, x.kind(), keys, x.oid, nil)
		}
		for _, c := range t.Checks {
			add(t, c.OID, c.Name, "c", []int16{}, 0, c.Text)
		}
		for i := range t.Foreign {
			k := &t.Foreign[i]
			add(t, k.OID, k.Name, "f", attrs(t, k.Columns), 0, nil)
			r := out[len(out)-1]
			r["confrelid"], r["confupdtype"], r["confdeltype"], r["confmatchtype"] = k.RefTable, string(k.OnUpdate), string(k.OnDelete), string(k.Match)
			r["convalidated"], r["condeferrable"], r["condeferred"], r["connoinherit"] = false, k.Deferrable, k.Deferred, true
			if ref := v.Catalog().Table(k.RefTable); ref != nil {
				r["confkey"], r["conindid"] = attrs(ref, k.RefColumns), ref.PKOID
				for _, u := range ref.Unique {
					if slices.Equal(u.Columns, k.RefColumns) {
						r["conindid"] = u.OID
					}
				}
			}
		}
	}
	return out
}

func pgDescription(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		if t.Comment != "" {
			out = append(out, row{"objoid": t.OID, "classoid": pgClassOID, "objsubid": 0, "description": t.Comment})
		}
		for _, c := range t.Columns {
			if c.Comment != "" {
				out = append(out, row{"objoid": t.OID, "classoid": pgClassOID, "objsubid": c.Attr, "description": c.Comment})
			}
		}
	}
	return out
}

func pgDepend(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		if q := t.Seq; q != nil && q.OwnerTable != 0 {
			if of := v.Catalog().Table(q.OwnerTable); of != nil && of.ColumnByID(q.OwnerColumn) != nil {
				typ := "a"
				if q.Identity {
					typ = "i"
				}
				out = append(out, row{"classid": pgClassOID, "objid": t.OID, "objsubid": 0, "refclassid": pgClassOID, "refobjid": of.OID,
					"refobjsubid": of.ColumnByID(q.OwnerColumn).Attr, "deptype": typ})
			}
		}
		for _, d := range t.DependsOn {
			out = append(out, row{"classid": 2618, "objid": t.OID + 2, "objsubid": 0, "refclassid": pgClassOID, "refobjid": d, "refobjsubid": 0, "deptype": "n"})
		}
	}
	return out
}

func pgRewrite(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		if t.Kind == catalog.KindView {
			out = append(out, row{"oid": t.OID + 2, "rulename": "_RETURN", "ev_class": t.OID, "ev_type": "1", "ev_enabled": "O", "is_instead": true, "ev_qual": "<>", "ev_action": ""})
		}
	}
	return out
}

func pgDatabase(s *Source, v View) []row {
	var out []row
	for _, d := range v.Catalog().Databases() {
		out = append(out, row{"oid": d.OID, "datname": d.Name, "datdba": d.Owner, "encoding": 6, "datlocprovider": "c", "datistemplate": false,
			"datallowconn": true, "datconnlimit": -1, "datfrozenxid": 0, "datminmxid": 1, "dattablespace": pgDefaultTablespaceOID, "datcollate": "C", "datctype": "C"})
	}
	return out
}

func pgRoles(s *Source, v View) []row {
	var out []row
	for _, r := range v.Catalog().Roles() {
		x := row{"oid": r.OID, "rolname": r.Name, "rolsuper": r.Super, "rolinherit": r.Inherit, "rolcreaterole": r.CreateRole, "rolcreatedb": r.CreateDB,
			"rolcanlogin": r.Login, "rolreplication": r.Replication, "rolbypassrls": r.BypassRLS, "rolconnlimit": r.ConnLimit, "rolpassword": "********"}
		if r.ValidUntil.Valid {
			x["rolvaliduntil"] = r.ValidUntil
		}
		out = append(out, x)
	}
	return out
}

func pgUser(s *Source, v View) []row {
	var out []row
	for _, r := range v.Catalog().Roles() {
		if r.Login {
			x := row{"usename": r.Name, "usesysid": r.OID, "usecreatedb": r.CreateDB, "usesuper": r.Super, "userepl": r.Replication, "usebypassrls": r.BypassRLS, "passwd": "********"}
			if r.ValidUntil.Valid {
				x["valuntil"] = r.ValidUntil
			}
			out = append(out, x)
		}
	}
	return out
}

func pgAuthMembers(s *Source, v View) []row {
	var out []row
	for _, r := range v.Catalog().Roles() {
		for i, m := range r.MemberOf {
			out = append(out, row{"oid": r.OID<<8 + uint32(i), "roleid": m, "member": r.OID, "grantor": catalog.PostgresRoleOID, "admin_option": false, "inherit_option": true, "set_option": true})
		}
	}
	return out
}

func pgAm(s *Source, v View) []row {
	return []row{{"oid": heapAM, "amname": "heap", "amhandler": 3, "amtype": "t"}, {"oid": btreeAM, "amname": "btree", "amhandler": 330, "amtype": "i"},
		{"oid": 405, "amname": "hash", "amhandler": 331, "amtype": "i"}}
}

func pgLanguage(s *Source, v View) []row {
	var out []row
	for _, l := range []struct {
		oid  int
		name string
	}{{12, "internal"}, {13, "c"}, {14, "sql"}} {
		out = append(out, row{"oid": l.oid, "lanname": l.name, "lanowner": catalog.PostgresRoleOID, "lanispl": false, "lanpltrusted": l.name == "sql", "lanplcallfoid": 0, "laninline": 0, "lanvalidator": 0})
	}
	return out
}

func pgCollation(s *Source, v View) []row {
	var out []row
	for _, c := range []struct {
		oid              int
		name, prov, coll string
	}{{100, "default", "d", ""}, {950, "C", "c", "C"}, {951, "POSIX", "c", "POSIX"}} {
		r := row{"oid": c.oid, "collname": c.name, "collnamespace": catalog.PgCatalogOID, "collowner": catalog.PostgresRoleOID, "collprovider": c.prov,
			"collisdeterministic": true, "collencoding": -1}
		if c.coll != "" {
			r["collcollate"], r["collctype"] = c.coll, c.coll
		}
		out = append(out, r)
	}
	return out
}

func pgTablespace(s *Source, v View) []row {
	return []row{{"oid": 1663, "spcname": "pg_default", "spcowner": catalog.PostgresRoleOID}, {"oid": 1664, "spcname": "pg_global", "spcowner": catalog.PostgresRoleOID}}
}

type opclass struct {
	oid, typ, family uint32
	name             string
	def              bool
}

var opclasses = []opclass{
	{10003, 16, 424, "bool_ops", true}, {10004, 1042, 426, "bpchar_ops", true}, {10006, 17, 428, "bytea_ops", true}, {3122, 1082, 434, "date_ops", true},
	{10012, 700, 1970, "float4_ops", true}, {3123, 701, 1970, "float8_ops", true}, {1979, 21, 1976, "int2_ops", true}, {1978, 23, 1976, "int4_ops", true},
	{3124, 20, 1976, "int8_ops", true}, {3125, 1700, 1988, "numeric_ops", true}, {3126, 25, 1994, "text_ops", true}, {3127, 1184, 434, "timestamptz_ops", true},
	{3128, 1114, 434, "timestamp_ops", true}, {10065, 2950, 2968, "uuid_ops", true}, {10088, 3802, 4033, "jsonb_ops", true},
}

func pgOpclass(s *Source, v View) []row {
	var out []row
	for _, c := range opclasses {
		out = append(out, row{"oid": c.oid, "opcmethod": btreeAM, "opcname": c.name, "opcnamespace": catalog.PgCatalogOID, "opcowner": catalog.PostgresRoleOID,
			"opcfamily": c.family, "opcintype": c.typ, "opcdefault": c.def, "opckeytype": 0})
	}
	return out
}

// attrs are the numbers of columns given by id.
func attrs(t *catalog.Table, ids []int32) []int16 {
	out := []int16{}
	for _, id := range ids {
		if c := t.ColumnByID(id); c != nil {
			out = append(out, c.Attr)
		}
	}
	return out
}

func schemaName(v View, oid uint32) string {
	if s := v.Catalog().Schema(oid); s != nil {
		return s.Name
	}
	return ""
}

func pgTables(s *Source, v View) []row {
	var out []row
	for _, t := range s.all(v) {
		if relkind(t) == "r" {
			out = append(out, row{"schemaname": schemaName(v, t.Schema), "tablename": t.Name, "tableowner": roleName(v.Catalog(), t.Owner), "hasindexes": len(t.PK) > 0,
				"hasrules": false, "hastriggers": false, "rowsecurity": false})
		}
	}
	return out
}

func pgViews(s *Source, v View) []row {
	var out []row
	for _, t := range s.all(v) {
		if relkind(t) == "v" {
			out = append(out, row{"schemaname": schemaName(v, t.Schema), "viewname": t.Name, "viewowner": roleName(v.Catalog(), t.Owner), "definition": " " + t.ViewText + ";"})
		}
	}
	return out
}

func pgIndexes(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		for _, x := range indexesOf(t) {
			out = append(out, row{"schemaname": schemaName(v, t.Schema), "tablename": t.Name, "indexname": x.name, "indexdef": indexDef(v, t, &x)})
		}
	}
	return out
}

func indexDef(v View, t *catalog.Table, x *index) string {
	var cols []string
	for _, o := range x.cols {
		cols = append(cols, quoteIdent(t.Columns[o].Name))
	}
	return "CREATE UNIQUE INDEX " + quoteIdent(x.name) + " ON " + quoteIdent(schemaName(v, t.Schema)) + "." + quoteIdent(t.Name) + " USING btree (" + strings.Join(cols, ", ") + ")"
}

func pgSettings(s *Source, v View) []row {
	var out []row
	for _, x := range v.Settings() {
		out = append(out, row{"name": x.Name, "setting": x.Value, "unit": orNull(x.Unit), "category": "Millrace", "short_desc": x.Short, "context": "user",
			"vartype": "string", "source": "default", "boot_val": x.Default, "reset_val": x.Reset, "pending_restart": false})
	}
	return out
}

func orNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func stamp(t int64) any {
	if t == 0 {
		return nil
	}
	return types.NewInt(t)
}

func pgStatActivity(s *Source, v View) []row {
	var out []row
	for _, a := range v.Activity() {
		r := row{"pid": a.PID, "usename": a.User, "datname": a.Database, "application_name": a.Application, "state": a.State, "query": a.Query,
			"backend_start": stamp(a.BackendStart), "xact_start": stamp(a.XactStart), "query_start": stamp(a.QueryStart), "state_change": stamp(a.StateChange),
			"backend_type": "client backend"}
		if d := v.Catalog().DatabaseNamed(a.Database); d != nil {
			r["datid"] = d.OID
		}
		if u := v.Catalog().RoleNamed(a.User); u != nil {
			r["usesysid"] = u.OID
		}
		out = append(out, r)
	}
	return out
}

// pgLocks has the advisory locks; those of rows and tables are storage's own.
func pgLocks(s *Source, v View) []row {
	var out []row
	for _, l := range v.AdvisoryLocks() {
		r := row{"locktype": "advisory", "classid": uint32(l.ID >> 32), "objid": uint32(l.ID), "objsubid": 1, "virtualtransaction": strconv.Itoa(int(l.PID)) + "/0",
			"pid": l.PID, "mode": "ExclusiveLock", "granted": l.WaitStart == 0, "fastpath": false, "waitstart": stamp(l.WaitStart)}
		if l.Pair {
			r["objsubid"] = 2
		}
		if l.Shared {
			r["mode"] = "ShareLock"
		}
		if d := v.Catalog().DatabaseNamed(l.Database); d != nil {
			r["database"] = d.OID
		}
		out = append(out, r)
	}
	return out
}

func pgStatDatabase(s *Source, v View) []row {
	var out []row
	for _, d := range v.Catalog().Databases() {
		out = append(out, row{"datid": d.OID, "datname": d.Name, "numbackends": len(v.Activity())})
	}
	return out
}

func pgStatTables(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		if t.Kind == catalog.KindTable {
			r := row{"relid": t.OID, "schemaname": schemaName(v, t.Schema), "relname": t.Name, "n_live_tup": v.Store().Stats(t.OID).Rows, "n_dead_tup": 0}
			if c, ok := v.Store().(storage.WriteCounter); ok {
				w := c.Writes(t.OID)
				r["n_tup_ins"], r["n_tup_upd"], r["n_tup_del"] = w.Inserted, w.Updated, w.Deleted
			}
			out = append(out, r)
		}
	}
	return out
}

func pgStats(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		if t.Kind != catalog.KindTable {
			continue
		}
		st := v.Store().Stats(t.OID)
		for i, c := range st.Columns {
			if i >= len(t.Columns) || st.Rows == 0 {
				continue
			}
			out = append(out, row{"schemaname": schemaName(v, t.Schema), "tablename": t.Name, "attname": t.Columns[i].Name, "inherited": false,
				"null_frac": float64(c.Nulls) / float64(st.Rows), "avg_width": int(c.AvgBytes), "n_distinct": c.Distinct})
		}
	}
	return out
}

func pgPrepared(s *Source, v View) []row {
	var out []row
	for _, p := range v.PreparedStatements() {
		out = append(out, row{"name": p.Name, "statement": p.Text, "prepare_time": stamp(p.Time), "parameter_types": p.Params, "from_sql": false, "generic_plans": 0, "custom_plans": 0})
	}
	return out
}

func pgCursors(s *Source, v View) []row {
	var out []row
	for _, p := range v.Cursors() {
		out = append(out, row{"name": p.Name, "statement": p.Text, "is_holdable": false, "is_binary": false, "is_scrollable": false, "creation_time": stamp(p.Time)})
	}
	return out
}

func pgTimezoneNames(s *Source, v View) []row {
	var out []row
	for _, n := range types.ZoneNames() {
		out = append(out, row{"name": n, "abbrev": n, "is_dst": false})
	}
	return out
}

func hgTableProperties(s *Source, v View) []row {
	var out []row
	for _, t := range v.Catalog().Tables() {
		if t.Kind != catalog.KindTable {
			continue
		}
		props := map[string]string{"orientation": t.Orientation(), "distribution_key": columnList(t, t.Distribution), "clustering_key": clusteringList(t),
			"time_to_live_in_seconds": "3153600000", "binlog.level": "none", "storage_format": "segment", "table_group": t.Group,
			"table_id": utoa(t.OID), "schema_version": utoa(uint32(t.SchemaVersion))}
		if !t.StoresColumns() && len(t.Clustering) == 0 {
			props["clustering_key"] = columnList(t, t.PK)
		}
		for k, x := range t.Props {
			props[k] = x
		}
		keys := make([]string, 0, len(props))
		for k := range props {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			out = append(out, row{"table_namespace": schemaName(v, t.Schema), "table_name": t.Name, "property_key": k, "property_value": props[k]})
		}
	}
	return out
}

func hgTableGroupProperties(s *Source, v View) []row {
	tables := map[string]int{}
	for _, t := range v.Catalog().Tables() {
		tables[t.Group]++
	}
	bit := map[bool]string{true: "1", false: "0"}
	var out []row
	for _, g := range v.Catalog().TableGroups() {
		for _, p := range [][2]string{{"created_manually", bit[g.ByHand]}, {"is_default_tg", bit[v.Catalog().GroupFor(v.Database()) == g]},
			{"replica_count", "1"}, {"shard_count", strconv.Itoa(g.Shards)}, {"table_num", strconv.Itoa(tables[g.Name])}, {"tg_version", "1"}} {
			out = append(out, row{"tablegroup_name": g.Name, "property_key": p[0], "property_value": p[1]})
		}
	}
	return out
}

func columnList(t *catalog.Table, ords []int) string {
	var out []string
	for _, o := range ords {
		out = append(out, t.Columns[o].Name)
	}
	return strings.Join(out, ",")
}

func clusteringList(t *catalog.Table) string {
	var out []string
	for _, c := range t.Clustering {
		d := ":asc"
		if c.Desc {
			d = ":desc"
		}
		out = append(out, t.Columns[c.Ordinal].Name+d)
	}
	return strings.Join(out, ",")
}

// persistence is a relation's relpersistence.
func persistence(t *catalog.Table) string {
	if t.Temp != 0 {
		return "t"
	}
	return "p"
}
