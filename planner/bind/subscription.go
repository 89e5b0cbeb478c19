package bind

import (
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v5"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// subscriptionOptions reads the options of CREATE and ALTER SUBSCRIPTION, and finds
// the table that the option target names.
func (b *binder) subscriptionOptions(opts []*pg.Node) (out []plan.Option, target *catalog.Table, err error) {
	seen := map[string]bool{}
	for _, n := range opts {
		d := n.GetDefElem()
		name := strings.ToLower(d.Defname)
		if d.Defnamespace != "" {
			name = strings.ToLower(d.Defnamespace) + "." + name
		}
		if seen[name] {
			return nil, nil, b.errf(d.Location, sqlstate.SyntaxError, "conflicting or redundant options")
		}
		seen[name] = true
		v, ok := optionText(d)
		if !ok {
			v = "true"
		}
		if name == "target" {
			if target, err = b.namedTable(v, d.Location); err != nil {
				return nil, nil, err
			}
			if target.Kind != catalog.KindTable {
				return nil, nil, b.errf(d.Location, sqlstate.WrongObjectType, "\"%s\" is not a table", target.Name)
			}
			b.use(target, "")
			v = b.env.Catalog.Schema(target.Schema).Name + "." + target.Name
		}
		out = append(out, plan.Option{Name: name, Value: v})
	}
	return out, target, nil
}

// namedTable finds a table by a name in a string, as regclass reads it.
func (b *binder) namedTable(text string, loc int32) (*catalog.Table, error) {
	var parts []string
	rest := strings.TrimSpace(text)
	for {
		var part string
		if strings.HasPrefix(rest, "\"") {
			i := 1
			for i < len(rest) && rest[i] != '"' {
				i++
			}
			if i == len(rest) {
				return nil, b.errf(loc, sqlstate.InvalidName, "invalid name syntax")
			}
			part, rest = rest[1:i], rest[i+1:]
		} else {
			i := strings.IndexByte(rest, '.')
			if i < 0 {
				i = len(rest)
			}
			part, rest = strings.ToLower(strings.TrimSpace(rest[:i])), rest[i:]
		}
		parts = append(parts, part)
		if rest == "" {
			break
		}
		if rest[0] != '.' {
			return nil, b.errf(loc, sqlstate.InvalidName, "invalid name syntax")
		}
		rest = rest[1:]
	}
	for _, p := range parts {
		if p == "" || len(parts) > 2 {
			return nil, b.errf(loc, sqlstate.InvalidName, "invalid name syntax")
		}
	}
	schema := ""
	if len(parts) == 2 {
		schema = parts[0]
		if b.env.Catalog.SchemaNamed(schema) == nil {
			return nil, b.errf(loc, sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", schema)
		}
	}
	return b.relation(schema, parts[len(parts)-1], loc)
}

func (b *binder) createSubscription(s *pg.CreateSubscriptionStmt) (*plan.Statement, error) {
	u := &plan.CreateSubscription{Name: s.Subname, Conn: s.Conninfo}
	var err error
	if u.Publications, err = b.publications(s.Publication); err != nil {
		return nil, err
	}
	if u.Options, u.Target, err = b.subscriptionOptions(s.Options); err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "CREATE SUBSCRIPTION", Writes: true, Utility: u}, nil
}

func (b *binder) publications(list []*pg.Node) ([]string, error) {
	out := names(list)
	seen := map[string]bool{}
	for _, n := range out {
		if seen[n] {
			return nil, b.errf(-1, sqlstate.DuplicateObject, "publication name \"%s\" used more than once", n)
		}
		seen[n] = true
	}
	return out, nil
}

func (b *binder) alterSubscription(s *pg.AlterSubscriptionStmt) (*plan.Statement, error) {
	u := &plan.AlterSubscription{Name: s.Subname}
	var err error
	switch s.Kind {
	case pg.AlterSubscriptionType_ALTER_SUBSCRIPTION_OPTIONS:
		u.Options, u.Target, err = b.subscriptionOptions(s.Options)
	case pg.AlterSubscriptionType_ALTER_SUBSCRIPTION_CONNECTION:
		u.Conn = s.Conninfo
	case pg.AlterSubscriptionType_ALTER_SUBSCRIPTION_SET_PUBLICATION:
		u.PublicationOp = 's'
	case pg.AlterSubscriptionType_ALTER_SUBSCRIPTION_ADD_PUBLICATION:
		u.PublicationOp = 'a'
	case pg.AlterSubscriptionType_ALTER_SUBSCRIPTION_DROP_PUBLICATION:
		u.PublicationOp = 'd'
	case pg.AlterSubscriptionType_ALTER_SUBSCRIPTION_REFRESH:
		u.Refresh = true
	case pg.AlterSubscriptionType_ALTER_SUBSCRIPTION_ENABLED:
		on := false
		for _, n := range s.Options {
			v, ok := optionText(n.GetDefElem())
			on = !ok || isOn(v)
		}
		u.Enable = &on
	case pg.AlterSubscriptionType_ALTER_SUBSCRIPTION_SKIP:
		u.Skip, err = b.skipOptions(s.Options)
	default:
		return nil, b.unsupported(-1, "this form of ALTER SUBSCRIPTION")
	}
	if err == nil && u.PublicationOp != 0 {
		u.Publications, err = b.publications(s.Publication)
	}
	if err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "ALTER SUBSCRIPTION", Writes: true, Utility: u}, nil
}

// skipOptions reads SKIP (offset = 42, partition = 0, topic = 'a'). PostgreSQL's lsn is
// the offset.
func (b *binder) skipOptions(list []*pg.Node) ([]plan.Option, error) {
	var out []plan.Option
	for _, n := range list {
		d := n.GetDefElem()
		v, ok := optionText(d)
		name := d.Defname
		switch {
		case name != "lsn" && name != "offset" && name != "partition" && name != "topic":
			return nil, b.errf(-1, sqlstate.SyntaxError, "unrecognized subscription parameter: \"%s\"", name)
		case !ok:
			return nil, b.errf(-1, sqlstate.SyntaxError, "%s requires a parameter", name)
		case slices.ContainsFunc(out, func(o plan.Option) bool { return o.Name == name || o.Name == "offset" && name == "lsn" }):
			return nil, b.errf(-1, sqlstate.SyntaxError, "conflicting or redundant options")
		}
		if name == "lsn" {
			name = "offset"
		}
		out = append(out, plan.Option{Name: name, Value: v})
	}
	return out, nil
}

func (b *binder) dropSubscription(s *pg.DropSubscriptionStmt) (*plan.Statement, error) {
	return &plan.Statement{Tag: "DROP SUBSCRIPTION", Writes: true,
		Utility: &plan.DropSubscription{Name: s.Subname, IfExists: s.MissingOk, Cascade: s.Behavior == pg.DropBehavior_DROP_CASCADE}}, nil
}

func (b *binder) ownSubscription(s *pg.AlterOwnerStmt) (*plan.Statement, error) {
	owner, err := b.role(s.Newowner)
	if err != nil {
		return nil, err
	}
	return &plan.Statement{Tag: "ALTER SUBSCRIPTION", Writes: true, Utility: &plan.AlterSubscription{Name: stringNode(s.Object), Owner: owner}}, nil
}

func (b *binder) renameSubscription(s *pg.RenameStmt) (*plan.Statement, error) {
	return &plan.Statement{Tag: "ALTER SUBSCRIPTION", Writes: true, Utility: &plan.AlterSubscription{Name: stringNode(s.Object), NewName: s.Newname}}, nil
}
