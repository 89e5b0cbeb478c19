package ddl

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
)

func noRole(name string) error {
	return sqlstate.Errorf(sqlstate.UndefinedObject, "role \"%s\" does not exist", name)
}

func createSchema(ctx context.Context, env *Env, x *plan.CreateSchema) error {
	v := env.Txn.Catalog()
	if v.SchemaNamed(x.Name) != nil {
		if x.IfNotExists {
			env.notice(sqlstate.DuplicateSchema, "schema \"%s\" already exists, skipping", x.Name)
			return nil
		}
		return sqlstate.Errorf(sqlstate.DuplicateSchema, "schema \"%s\" already exists", x.Name)
	}
	if strings.HasPrefix(x.Name, "pg_") {
		return sqlstate.Errorf(sqlstate.ReservedName, "unacceptable schema name \"%s\"", x.Name).
			WithDetail("The prefix \"pg_\" is reserved for system schemas.")
	}
	if !env.User.Super && !env.User.CreateDB {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for database %s", env.Database)
	}
	owner := env.User.OID
	if x.Owner != "" {
		r := v.RoleNamed(x.Owner)
		if r == nil {
			return noRole(x.Owner)
		}
		owner = r.OID
	}
	s := &catalog.Schema{OID: env.Txn.AllocOIDs(1), Name: x.Name, Owner: owner}
	return env.change(ctx, v, &catalog.Delta{Schemas: map[uint32]*catalog.Schema{s.OID: s}})
}

func createRole(ctx context.Context, env *Env, x *plan.CreateRole) error {
	v := env.Txn.Catalog()
	if !env.User.Super && !env.User.CreateRole {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to create role")
	}
	if v.RoleNamed(x.Name) != nil {
		return sqlstate.Errorf(sqlstate.DuplicateObject, "role \"%s\" already exists", x.Name)
	}
	r := &catalog.Role{OID: env.Txn.AllocOIDs(1), Name: x.Name, Inherit: true, ConnLimit: -1}
	if err := roleOptions(env, r, x.Options); err != nil {
		return err
	}
	d := &catalog.Delta{Roles: map[uint32]*catalog.Role{r.OID: r}}
	for _, m := range x.Member {
		g := v.RoleNamed(m)
		if g == nil {
			return noRole(m)
		}
		r.MemberOf = append(r.MemberOf, g.OID)
	}
	return env.change(ctx, v, d)
}

func alterRole(ctx context.Context, env *Env, x *plan.AlterRole) error {
	v := env.Txn.Catalog()
	name := x.Name
	if strings.EqualFold(name, "current_user") || strings.EqualFold(name, "session_user") {
		name = env.User.Name
	}
	old := v.RoleNamed(name)
	if old == nil {
		return noRole(name)
	}
	_, pass := x.Options["password"]
	own := old.OID == env.User.OID && len(x.Options) == 1 && pass
	if !own && !env.User.Super && (!env.User.CreateRole || old.Super) {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to alter role")
	}
	r := *old
	if err := roleOptions(env, &r, x.Options); err != nil {
		return err
	}
	return env.change(ctx, v, &catalog.Delta{Roles: map[uint32]*catalog.Role{r.OID: &r}})
}

func roleOptions(env *Env, r *catalog.Role, opts map[string]string) error {
	flags := map[string]*bool{"superuser": &r.Super, "inherit": &r.Inherit, "createrole": &r.CreateRole,
		"createdb": &r.CreateDB, "canlogin": &r.Login, "login": &r.Login, "isreplication": &r.Replication,
		"replication": &r.Replication, "bypassrls": &r.BypassRLS}
	for k, val := range opts {
		if p, ok := flags[k]; ok {
			on := val == "true" || val == "on" || val == "1"
			if on && (p == &r.Super || p == &r.BypassRLS || p == &r.Replication) && !env.User.Super {
				return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "must be superuser to create superusers")
			}
			*p = on
			continue
		}
		switch k {
		case "password":
			if val == "" {
				r.Password = ""
				continue
			}
			verifier, err := env.Verifier(val)
			if err != nil {
				return err
			}
			r.Password = verifier
		case "connectionlimit":
			n, err := strconv.Atoi(val)
			if err != nil || n < -1 {
				return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid connection limit: %s", val)
			}
			r.ConnLimit = n
		case "validuntil":
			until, err := types.ParseTimestamptz([]byte(val), env.Types)
			if err != nil {
				return err
			}
			r.ValidUntil = types.NewInt(until)
		case "sysid": // ignored, as in PostgreSQL
		default:
			return sqlstate.Unsupported("role option \"%s\"", k)
		}
	}
	return nil
}

func dropRole(env *Env, v *catalog.Version, oid uint32, d *catalog.Delta) error {
	r := v.Role(oid)
	if r == nil {
		return nil
	}
	if !env.User.Super && !env.User.CreateRole {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to drop role")
	}
	if r.OID == env.User.OID {
		return sqlstate.Errorf(sqlstate.ObjectInUse, "current user cannot be dropped")
	}
	for _, t := range v.Tables() {
		if t.Owner == oid || slices.ContainsFunc(t.ACL, func(a catalog.ACLItem) bool { return a.Role == oid }) {
			return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "role \"%s\" cannot be dropped because some objects depend on it", r.Name).
				WithDetail("%s", described(v, t))
		}
	}
	for _, t := range v.Tables() {
		for i := range t.Columns {
			if slices.ContainsFunc(t.Columns[i].ACL, func(a catalog.ACLItem) bool { return a.Role == oid }) {
				return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "role \"%s\" cannot be dropped because some objects depend on it", r.Name).
					WithDetail("privileges for column %s of %s", t.Columns[i].Name, described(v, t))
			}
		}
	}
	for _, s := range v.Schemas() {
		if s.Owner == oid {
			return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "role \"%s\" cannot be dropped because some objects depend on it", r.Name).
				WithDetail("owner of schema %s", s.Name)
		}
	}
	for _, s := range v.Subscriptions() {
		if s.Owner == oid {
			return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "role \"%s\" cannot be dropped because some objects depend on it", r.Name).
				WithDetail("owner of subscription %s", s.Name)
		}
	}
	d.Roles[oid] = nil
	return nil
}

// letters are the privileges of a kind of object, PostgreSQL's letters.
var letters = map[string]byte{"select": 'r', "insert": 'a', "update": 'w', "delete": 'd', "truncate": 'D',
	"references": 'x', "trigger": 't', "usage": 'U', "create": 'C', "connect": 'c', "temporary": 'T', "temp": 'T', "execute": 'X'}

func grant(ctx context.Context, env *Env, x *plan.Grant) error {
	v := env.Txn.Catalog()
	d := &catalog.Delta{Tables: map[uint32]*catalog.Table{}, Schemas: map[uint32]*catalog.Schema{}, Roles: map[uint32]*catalog.Role{}}
	var grantees []uint32
	for _, g := range x.Grantees {
		if g == "" || g == "public" {
			grantees = append(grantees, 0)
			continue
		}
		r := v.RoleNamed(g)
		if r == nil {
			return noRole(g)
		}
		grantees = append(grantees, r.OID)
	}
	for _, name := range x.Roles {
		of := v.RoleNamed(name)
		if of == nil {
			return noRole(name)
		}
		if !env.User.Super && !env.User.CreateRole {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to grant role \"%s\"", name)
		}
		for _, g := range grantees {
			r := *v.Role(g)
			r.MemberOf = slices.DeleteFunc(slices.Clone(r.MemberOf), func(o uint32) bool { return o == of.OID })
			if !x.Revoke {
				r.MemberOf = append(r.MemberOf, of.OID)
			}
			d.Roles[g] = &r
		}
	}
	change := func(acl []catalog.ACLItem, owner uint32, all string) ([]catalog.ACLItem, error) {
		if !env.owns(owner) {
			return nil, sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied")
		}
		want := all
		if len(x.Privileges) > 0 {
			want = ""
			for _, p := range x.Privileges {
				l, ok := letters[strings.ToLower(p)]
				if !ok || !strings.ContainsRune(all, rune(l)) {
					return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid privilege type %s", strings.ToUpper(p))
				}
				want += string(l)
			}
		}
		if len(acl) == 0 {
			acl = []catalog.ACLItem{{Role: owner, Grantor: owner, Privileges: all}}
		}
		acl = slices.Clone(acl)
		for _, g := range grantees {
			i := slices.IndexFunc(acl, func(a catalog.ACLItem) bool { return a.Role == g })
			if i < 0 {
				acl = append(acl, catalog.ACLItem{Role: g, Grantor: env.User.OID})
				i = len(acl) - 1
			}
			if !x.Revoke || !x.GrantOption { // else REVOKE GRANT OPTION FOR
				acl[i].Privileges = merged(acl[i].Privileges, want, all, x.Revoke)
			}
			if x.GrantOption || x.Revoke {
				acl[i].GrantOption = merged(acl[i].GrantOption, want, all, x.Revoke)
			}
		}
		return slices.DeleteFunc(acl, func(a catalog.ACLItem) bool { return a.Privileges == "" && a.Role != owner }), nil
	}
	for _, oid := range x.Tables {
		t := v.Table(oid)
		if t == nil {
			continue
		}
		all := "arwdDxt"
		if t.Kind == catalog.KindSequence {
			all = "rwU"
		}
		c := *t
		if len(x.Columns) == 0 || len(x.Privileges) > 0 {
			acl, err := change(t.ACL, t.Owner, all)
			if err != nil {
				return err
			}
			c.ACL = acl
		}
		if err := env.grantColumns(&c, x, grantees); err != nil {
			return err
		}
		d.Tables[oid] = &c
	}
	for _, oid := range x.Schemas {
		s := v.Schema(oid)
		if s == nil {
			continue
		}
		acl, err := change(s.ACL, s.Owner, "UC")
		if err != nil {
			return err
		}
		c := *s
		c.ACL = acl
		d.Schemas[oid] = &c
	}
	if d.Empty() {
		return nil
	}
	return env.change(ctx, v, d)
}

// merged adds or removes letters, kept in the order of all.
func merged(have, change, all string, remove bool) string {
	var b strings.Builder
	for _, l := range all {
		in := strings.ContainsRune(have, l)
		if strings.ContainsRune(change, l) {
			in = !remove
		}
		if in {
			b.WriteRune(l)
		}
	}
	return b.String()
}

// granted says whether the ACL gives the user (or PUBLIC, or a role it is in) a privilege.
func granted(env *Env, acl []catalog.ACLItem, letter byte) bool {
	return Granted(env.Txn.Catalog(), env.User, acl, letter)
}

// Granted says whether an ACL gives role the privilege with this letter, by itself,
// through a role it is a member of, or through PUBLIC.
func Granted(v *catalog.Version, role *catalog.Role, acl []catalog.ACLItem, letter byte) bool {
	for _, a := range acl {
		if strings.IndexByte(a.Privileges, letter) >= 0 && (a.Role == 0 || a.Role == role.OID || memberOf(v, role, a.Role, 0)) {
			return true
		}
	}
	return false
}

// Owns says whether role is owner, a member of it, or a superuser.
func Owns(v *catalog.Version, role *catalog.Role, owner uint32) bool {
	return role.Super || role.OID == owner || memberOf(v, role, owner, 0)
}

// mayGive says whether the user may make a role the owner of what is in a schema.
func mayGive(env *Env, v *catalog.Version, role *catalog.Role, schema uint32) error {
	if env.User.Super {
		return nil
	}
	if !Owns(v, env.User, role.OID) {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "must be able to SET ROLE \"%s\"", role.Name)
	}
	if s := v.Schema(schema); s != nil && !Owns(v, role, s.Owner) && !Granted(v, role, s.ACL, 'C') {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for schema %s", s.Name)
	}
	return nil
}
