package ddl

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/binlog/ingest"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// subscriptionRole lets its members create subscriptions, as in PostgreSQL.
const subscriptionRole = "pg_create_subscription"

func createSubscription(ctx context.Context, env *Env, x *plan.CreateSubscription) error {
	v := env.Txn.Catalog()
	creator := v.RoleNamed(subscriptionRole)
	if !env.User.Super && (creator == nil || !memberOf(v, env.User, creator.OID, 0)) {
		return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to create subscription").
			WithDetail("Only roles with privileges of the \"%s\" role may create subscriptions.", subscriptionRole)
	}
	if v.SubscriptionNamed(x.Name) != nil {
		return sqlstate.Errorf(sqlstate.DuplicateObject, "subscription \"%s\" already exists", x.Name)
	}
	s := &catalog.Subscription{OID: env.Txn.AllocOIDs(1), Name: x.Name, Owner: env.User.OID, Enabled: true,
		Publications: x.Publications, Options: map[string]string{}, Version: 1}
	if err := setConnection(env, s, x.Conn, x.Options); err != nil {
		return err
	}
	if err := checkSubscription(env, s, x.Target); err != nil {
		return err
	}
	d := &catalog.Delta{Subscriptions: map[uint32]*catalog.Subscription{s.OID: s}}
	if err := errorTable(env, v, s, d); err != nil {
		return err
	}
	return env.change(ctx, v, d)
}

// setConnection puts a connection string and options into a subscription: secrets
// among them go where nobody sees them. conn "" keeps the present one.
func setConnection(env *Env, s *catalog.Subscription, conn string, opts []plan.Option) error {
	secrets := map[string]string{}
	if len(s.Secrets) > 0 {
		old, err := env.Unseal(s.Secrets)
		if err != nil {
			return err
		}
		secrets = old
	}
	if conn != "" || s.Conn == "" {
		masked, found, err := ingest.Mask(conn)
		if err != nil {
			return err
		}
		s.Conn = masked
		maps.Copy(secrets, found)
	}
	s.Options = maps.Clone(s.Options)
	for _, o := range opts {
		name := ingest.Canonical(o.Name)
		switch {
		case name == "enabled":
			switch strings.ToLower(o.Value) {
			case "true", "on", "yes", "1":
				s.Enabled = true
			case "false", "off", "no", "0":
				s.Enabled = false
			default:
				return sqlstate.Errorf(sqlstate.SyntaxError, "enabled requires a Boolean value")
			}
		case ingest.Secret(s.Conn, name):
			secrets[name] = o.Value
		default:
			s.Options[name] = o.Value
		}
	}
	if len(secrets) == 0 {
		s.Secrets = nil
		return nil
	}
	sealed, err := env.Seal(secrets)
	s.Secrets = sealed
	return err
}

// checkSubscription checks options and target. target nil keeps the present one.
func checkSubscription(env *Env, s *catalog.Subscription, target *catalog.Table) error {
	var secrets map[string]string
	if len(s.Secrets) > 0 {
		var err error
		if secrets, err = env.Unseal(s.Secrets); err != nil {
			return err
		}
	}
	opt, err := ingest.ParseOptions(s, secrets)
	if err != nil {
		return err
	}
	v := env.Txn.Catalog()
	if target == nil {
		target = v.Table(s.Target)
	}
	if target == nil {
		return sqlstate.Errorf(sqlstate.UndefinedTable, "relation \"%s\" does not exist", s.Options["target"])
	}
	if target.Temp != catalog.NotTemp {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "relation \"%s\" cannot be the target of a subscription", target.Name).
			WithDetail("This operation is not supported for temporary tables.")
	}
	s.Target = target.OID
	if err := ingest.CheckTarget(target, opt); err != nil {
		return err
	}
	return MayFeed(v, s, target, opt.Append)
}

// MayFeed says whether a subscription's owner may write its target.
func MayFeed(v *catalog.Version, s *catalog.Subscription, t *catalog.Table, onlyInsert bool) error {
	owner := v.Role(s.Owner)
	if owner == nil {
		return sqlstate.Errorf(sqlstate.UndefinedObject, "role with OID %d does not exist", s.Owner)
	}
	need := "awd"
	if onlyInsert {
		need = "a"
	}
	for i := range len(need) {
		if !Owns(v, owner, t.Owner) && !Granted(v, owner, t.ACL, need[i]) {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for table %s", t.Name)
		}
	}
	return nil
}

// errorTable finds or makes the table for messages that cannot be applied.
func errorTable(env *Env, v *catalog.Version, s *catalog.Subscription, d *catalog.Delta) error {
	schemaName, name := ingest.ErrorSchema, s.Name
	if given := s.Options["error_table"]; given != "" {
		name = given
		schemaName = "public"
		if a, b, ok := strings.Cut(given, "."); ok {
			schemaName, name = a, b
		}
	}
	schema := v.SchemaNamed(schemaName)
	if schema == nil {
		if schemaName != ingest.ErrorSchema {
			return sqlstate.Errorf(sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", schemaName)
		}
		schema = &catalog.Schema{OID: env.Txn.AllocOIDs(1), Name: schemaName, Owner: catalog.PostgresRoleOID,
			ACL: []catalog.ACLItem{{Role: catalog.PostgresRoleOID, Grantor: catalog.PostgresRoleOID, Privileges: "UC"}, {Role: 0, Grantor: catalog.PostgresRoleOID, Privileges: "U"}}}
		d.Schemas = map[uint32]*catalog.Schema{schema.OID: schema}
	} else if schemaName != ingest.ErrorSchema {
		if err := mayCreateIn(env, schema); err != nil {
			return err
		}
	}
	if old := v.TableNamed(schema.OID, name); old != nil {
		if !ingest.FitsErrors(old) {
			return sqlstate.Errorf(sqlstate.DuplicateTable, "relation \"%s.%s\" already exists and is no error table", schemaName, name)
		}
		if !Owns(v, env.User, old.Owner) {
			return notOwner("table", old.Name)
		}
		s.ErrorTable = old.OID
		return nil
	}
	oid := env.Txn.AllocOIDs(5)
	t := &catalog.Table{OID: oid, RelType: oid + 1, PKOID: oid + 3, Schema: schema.OID, Name: name, Kind: catalog.KindTable, Owner: s.Owner,
		Columns: ingest.ErrorColumns(), SchemaVersion: 1, Props: map[string]string{},
		Comment: "Messages of subscription " + s.Name + " that could not be applied"}
	t.NextColumnID = int32(len(t.Columns) + 1)
	d.Tables = map[uint32]*catalog.Table{oid: t}
	s.ErrorTable = oid
	return place(env, t, d)
}

func alterSubscription(ctx context.Context, env *Env, x *plan.AlterSubscription) error {
	v := env.Txn.Catalog()
	old := v.SubscriptionNamed(x.Name)
	if old == nil {
		return noSubscription(x.Name)
	}
	if !env.owns(old.Owner) {
		return notOwner("subscription", old.Name)
	}
	s := *old
	s.Version++
	d := &catalog.Delta{Subscriptions: map[uint32]*catalog.Subscription{s.OID: &s}}
	switch {
	case x.Enable != nil:
		s.Enabled = *x.Enable
	case x.NewName != "":
		if o := v.SubscriptionNamed(x.NewName); o != nil {
			return sqlstate.Errorf(sqlstate.DuplicateObject, "subscription \"%s\" already exists", x.NewName)
		}
		s.Name = x.NewName
	case x.Owner != "":
		r := v.RoleNamed(x.Owner)
		if r == nil {
			return noRole(x.Owner)
		}
		if !env.User.Super && r.OID != env.User.OID && !memberOf(v, env.User, r.OID, 0) {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "must be able to SET ROLE \"%s\"", r.Name)
		}
		s.Owner = r.OID
	case x.Skip != nil:
		if err := skipMessage(env, old, x.Skip); err != nil {
			return err
		}
	case x.Refresh:
		// The supervisor starts the work anew, which looks for new partitions.
	case x.PublicationOp != 0:
		if err := alterPublications(&s, x); err != nil {
			return err
		}
	default:
		if err := setConnection(env, &s, x.Conn, x.Options); err != nil {
			return err
		}
		if slices.ContainsFunc(x.Options, func(o plan.Option) bool { return o.Name == "error_table" }) {
			if err := errorTable(env, v, &s, d); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(x.Options, func(o plan.Option) bool { return ingest.Canonical(o.Name) == "start" }) {
			// A new start is meant: forget how far the source was read.
			if old.Enabled && s.Enabled {
				return sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "cannot set start for an enabled subscription").
					WithHint("Disable the subscription first.")
			}
			if err := ingest.Forget(env.Store, env.Txn, s.OID, true); err != nil {
				return err
			}
		}
	}
	// One that is disabled may rest on what is gone, but takes no wrong options.
	if err := checkSubscription(env, &s, x.Target); err != nil && (s.Enabled || x.Conn != "" || len(x.Options) > 0) {
		return err
	}
	if s.Enabled {
		ingest.NoteStopped(env.Txn, s.OID, "")
	}
	return env.change(ctx, v, d)
}

// skipMessage leaves out the message that a subscription has stopped at.
func skipMessage(env *Env, s *catalog.Subscription, opts []plan.Option) error {
	if s.Enabled {
		return sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "cannot skip a message of an enabled subscription").
			WithHint("Disable the subscription first.")
	}
	k := ingest.Skip{Partition: -1, Offset: -1}
	for _, o := range opts {
		bad := func(want string) error {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for subscription parameter \"%s\": \"%s\"", o.Name, o.Value).WithHint("%s", want)
		}
		switch o.Name {
		case "topic":
			k.Topic = o.Value
		case "partition":
			n, err := strconv.ParseInt(o.Value, 10, 32)
			if err != nil || n < 0 {
				return bad("It is the number of a partition.")
			}
			k.Partition = int32(n)
		default:
			if strings.EqualFold(o.Value, "none") {
				return nil // PostgreSQL's way to skip nothing after all
			}
			n, err := strconv.ParseInt(o.Value, 10, 64)
			if hi, lo, ok := strings.Cut(o.Value, "/"); ok {
				h, err1 := strconv.ParseUint(hi, 16, 32)
				l, err2 := strconv.ParseUint(lo, 16, 32)
				n, err = int64(h<<32|l), cmp.Or(err1, err2)
			}
			if err != nil || n < 0 {
				return bad("It is the offset of a message.")
			}
			k.Offset = n
		}
	}
	if k.Offset < 0 {
		return sqlstate.Errorf(sqlstate.SyntaxError, "SKIP needs the offset of the message").
			WithHint("The error that the subscription stopped with names topic, partition and offset.")
	}
	at, err := ingest.SkipMessage(env.Store, env.Txn, s.OID, k)
	if err != nil {
		return err
	}
	env.notice(sqlstate.SuccessfulCompletion, "subscription \"%s\" will go on after the message at %s", s.Name, at)
	return nil
}

func alterPublications(s *catalog.Subscription, x *plan.AlterSubscription) error {
	list := slices.Clone(s.Publications)
	for _, n := range x.Publications {
		has := slices.Contains(list, n)
		switch {
		case x.PublicationOp == 'a' && has:
			return sqlstate.Errorf(sqlstate.DuplicateObject, "publication \"%s\" is already in subscription \"%s\"", n, s.Name)
		case x.PublicationOp == 'd' && !has:
			return sqlstate.Errorf(sqlstate.UndefinedObject, "publication \"%s\" is not in subscription \"%s\"", n, s.Name)
		}
	}
	switch x.PublicationOp {
	case 's':
		list = x.Publications
	case 'a':
		list = append(list, x.Publications...)
	default:
		list = slices.DeleteFunc(list, func(n string) bool { return slices.Contains(x.Publications, n) })
		if len(list) == 0 {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "cannot drop all the publications from a subscription")
		}
	}
	s.Publications = list
	return nil
}

func noSubscription(name string) error {
	return sqlstate.Errorf(sqlstate.UndefinedObject, "subscription \"%s\" does not exist", name)
}

// dropSubscription drops a subscription. Its error table stays, for what is in it is
// nowhere else, but for CASCADE.
func dropSubscription(ctx context.Context, env *Env, x *plan.DropSubscription) error {
	v := env.Txn.Catalog()
	s := v.SubscriptionNamed(x.Name)
	if s == nil {
		if !x.IfExists {
			return noSubscription(x.Name)
		}
		env.notice(sqlstate.SuccessfulCompletion, "subscription \"%s\" does not exist, skipping", x.Name)
		return nil
	}
	if !env.owns(s.Owner) {
		return notOwner("subscription", s.Name)
	}
	d := &catalog.Delta{Subscriptions: map[uint32]*catalog.Subscription{s.OID: nil}}
	if t := v.Table(s.ErrorTable); x.Cascade && t != nil {
		d.Tables = map[uint32]*catalog.Table{}
		env.notice(sqlstate.SuccessfulCompletion, "drop cascades to %s", described(v, t))
		if err := dropTable(env, v, t, true, nil, d); err != nil {
			return err
		}
	}
	if err := ingest.Forget(env.Store, env.Txn, s.OID, false); err != nil {
		return err
	}
	return env.change(ctx, v, d)
}

// dropFed refuses to drop a table that subscriptions feed, or with cascade drops
// them, too.
func dropFed(env *Env, v *catalog.Version, t *catalog.Table, cascade bool, d *catalog.Delta) error {
	for _, s := range v.Subscriptions() {
		if s.Target != t.OID && s.ErrorTable != t.OID {
			continue
		}
		if n, done := d.Subscriptions[s.OID]; done && n == nil {
			continue
		}
		if !cascade {
			return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop %s because other objects depend on it", described(v, t)).
				WithDetail("subscription %s depends on %s", s.Name, described(v, t)).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
		}
		env.notice(sqlstate.SuccessfulCompletion, "drop cascades to subscription %s", s.Name)
		if d.Subscriptions == nil {
			d.Subscriptions = map[uint32]*catalog.Subscription{}
		}
		d.Subscriptions[s.OID] = nil
		if err := ingest.Forget(env.Store, env.Txn, s.OID, false); err != nil {
			return err
		}
	}
	return nil
}
