package ddl

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/bind"
	"github.com/millrace/millrace/planner/plan"
)

func alterTable(ctx context.Context, env *Env, x *plan.AlterTable) error {
	v := env.Txn.Catalog()
	old := v.Table(x.Table.OID)
	if old == nil {
		return sqlstate.Errorf(sqlstate.UndefinedTable, "relation \"%s\" does not exist", x.Table.Name)
	}
	if !env.owns(old.Owner) {
		kind, _, _ := strings.Cut(described(v, old), " ")
		return notOwner(kind, old.Name)
	}
	if x.In != nil && x.In != v {
		return sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")
	}
	if old.Kind == catalog.KindTable && slices.ContainsFunc(x.Actions, looksAtRows) {
		// First, since what they find must stay so until the commit.
		if err := env.Txn.Lock(ctx, old.OID); err != nil {
			return err
		}
		if v = env.Txn.Catalog(); v.Table(old.OID) != old {
			return sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")
		}
	}
	t := changed(old)
	d := tableDelta(t)
	for i := range x.Actions {
		if err := alter(ctx, env, v, t, &x.Actions[i], d); err != nil {
			return err
		}
	}
	for _, w := range x.Views {
		view := v.Table(w.View)
		if view == nil || view.Kind != catalog.KindView {
			return sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")
		}
		view = changed(view)
		view.ViewText = w.Text
		d.Tables[view.OID] = view
	}
	if t.Orientation() != old.Orientation() || t.Shards != old.Shards {
		d.Truncated = append(d.Truncated, t.OID) // it has no rows, or is written again: it needs other tablets
	}
	if t.Owner != old.Owner || t.Schema != old.Schema {
		if old.Kind == catalog.KindSequence && old.Seq.OwnerTable != 0 {
			of := v.Table(old.Seq.OwnerTable)
			if of != nil {
				verb := "change owner of"
				if t.Schema != old.Schema {
					verb = "move an owned"
				}
				err := sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot %s sequence \"%s\"", verb, old.Name)
				if t.Schema != old.Schema {
					err = sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot move an owned sequence into another schema")
				}
				return err.WithDetail("Sequence \"%s\" is linked to table \"%s\".", old.Name, of.Name)
			}
		}
		follow(v, t, d)
	}
	if t.Shards != old.Shards || t.Group != old.Group || t.StoresRows() != old.StoresRows() || t.StoresColumns() != old.StoresColumns() {
		// The table is this transaction's own, or is moved: its tablets are made anew.
		if err := place(env, t, d); err != nil {
			return err
		}
		d.Truncated = []uint32{t.OID}
	}
	if env.rewrites {
		if env.Rewrite == nil {
			return sqlstate.Unsupported("this change of a table that has rows")
		}
		if !slices.Contains(d.Truncated, t.OID) {
			d.Truncated = append(d.Truncated, t.OID)
		}
		return env.Rewrite(ctx, old, t, func() error { return env.change(ctx, v, d) })
	}
	if err := env.change(ctx, v, d); err != nil {
		return err
	}
	return env.fillUnique(ctx, old, t)
}

// looksAtRows says whether an action depends on the rows that the table has.
func looksAtRows(a plan.AlterAction) bool {
	switch a.Op {
	case plan.AddColumn, plan.SetNotNull, plan.AddCheck, plan.AddPrimaryKey, plan.AddUnique, plan.SetTableGroup:
		return true
	case plan.SetProps:
		for key := range a.Props {
			if layoutProps[strings.ToLower(key)] {
				return true
			}
		}
	}
	return false
}

func alter(ctx context.Context, env *Env, v *catalog.Version, t *catalog.Table, a *plan.AlterAction, d *catalog.Delta) error {
	at := func() (int, error) {
		o := t.Ordinal(a.Column.Name)
		if o < 0 {
			return 0, noColumn(a.Column.Name, t.Name)
		}
		return o, nil
	}
	switch a.Op {
	case plan.NoOp:
		if a.Text != "" {
			env.notice(sqlstate.SuccessfulCompletion, "%s", a.Text)
		}
	case plan.AddColumn:
		if t.Ordinal(a.Column.Name) >= 0 {
			if a.IfExists {
				env.notice(sqlstate.DuplicateColumn, "column \"%s\" of relation \"%s\" already exists, skipping", a.Column.Name, t.Name)
				return nil
			}
			return sqlstate.Errorf(sqlstate.DuplicateColumn, "column \"%s\" of relation \"%s\" already exists", a.Column.Name, t.Name)
		}
		c := a.Column
		if a.Default != nil {
			if env.Value == nil {
				return sqlstate.Unsupported("ADD COLUMN with a default that is not constant")
			}
			var err error
			if c.Missing, err = env.Value(a.Default); err != nil {
				return err
			}
		}
		if a.Sequence != nil && env.hasRows(t) {
			env.rewrites = true
		} else if c.NotNull && !c.Missing.Valid && env.hasRows(t) {
			return sqlstate.Errorf(sqlstate.NotNullViolation, "column \"%s\" of relation \"%s\" contains null values", c.Name, t.Name)
		}
		c.ID = t.NextColumnID
		c.Attr = int16(t.NextColumnID)
		t.NextColumnID++
		t.Columns = append(t.Columns, c)
		if a.Sequence != nil {
			env.columnSequences(v, t, []plan.ColumnSequence{*a.Sequence}, d)
		}
	case plan.AddIdentity:
		o, err := at()
		if err != nil {
			return err
		}
		t.Columns[o].Identity = a.Column.Identity
		env.columnSequences(v, t, []plan.ColumnSequence{*a.Sequence}, d)
	case plan.SetIdentity:
		o, err := at()
		if err != nil {
			return err
		}
		t.Columns[o].Identity = a.Column.Identity
		if s := v.Table(t.Columns[o].Sequence); s != nil {
			n, err := env.redefined(s, a.Sequence.Seq, a.Restart)
			if err != nil {
				return err
			}
			d.Tables[n.OID] = n
		}
	case plan.DropIdentity:
		o, err := at()
		if err != nil {
			return err
		}
		if s := v.Table(t.Columns[o].Sequence); s != nil {
			d.Tables[s.OID] = nil
		}
		t.Columns[o].Identity, t.Columns[o].Sequence = 0, 0
	case plan.AddForeign:
		k := a.Foreign
		env.recordForeign(v, t, &k, env.Txn.AllocOIDs(1))
		t.Foreign = append(slices.Clone(t.Foreign), k)
	case plan.DropColumn:
		o := t.Ordinal(a.Column.Name)
		if o < 0 {
			if a.IfExists {
				env.notice(sqlstate.SuccessfulCompletion, "column \"%s\" of relation \"%s\" does not exist, skipping", a.Column.Name, t.Name)
				return nil
			}
			return noColumn(a.Column.Name, t.Name)
		}
		return dropColumn(env, v, t, o, a, d)
	case plan.RenameColumn:
		o, err := at()
		if err != nil {
			return err
		}
		if t.Ordinal(a.NewName) >= 0 {
			return sqlstate.Errorf(sqlstate.DuplicateColumn, "column \"%s\" of relation \"%s\" already exists", a.NewName, t.Name)
		}
		t.Columns[o].Name = a.NewName
		reword(t, a.Texts)
	case plan.RenameTable:
		if v.TableNamed(t.Schema, a.NewName) != nil {
			return sqlstate.Errorf(sqlstate.DuplicateTable, "relation \"%s\" already exists", a.NewName)
		}
		t.Name = a.NewName
		reword(t, a.Texts)
	case plan.SetSchema:
		s := v.SchemaNamed(a.NewName)
		if s == nil {
			return sqlstate.Errorf(sqlstate.InvalidSchemaName, "schema \"%s\" does not exist", a.NewName)
		}
		if err := mayCreateIn(env, s); err != nil {
			return err
		}
		if o := v.TableNamed(s.OID, t.Name); o != nil && o.OID != t.OID {
			return sqlstate.Errorf(sqlstate.DuplicateTable, "relation \"%s\" already exists in schema \"%s\"", t.Name, s.Name)
		}
		t.Schema = s.OID
		reword(t, a.Texts)
	case plan.SetOwner:
		r := v.RoleNamed(a.NewName)
		if r == nil {
			return noRole(a.NewName)
		}
		if err := mayGive(env, v, r, t.Schema); err != nil {
			return err
		}
		t.Owner = r.OID
	case plan.SetTableGroup:
		return moveToGroup(env, v, t, a.NewName)
	case plan.SetDefault:
		o, err := at()
		if err != nil {
			return err
		}
		t.Columns[o].DefaultText = a.Text
	case plan.SetNotNull:
		o, err := at()
		if err != nil {
			return err
		}
		if !t.Columns[o].NotNull && env.hasNulls(t, o) {
			return sqlstate.Errorf(sqlstate.NotNullViolation, "column \"%s\" of relation \"%s\" contains null values", a.Column.Name, t.Name)
		}
		t.Columns[o].NotNull = true
	case plan.DropNotNull:
		o, err := at()
		if err != nil {
			return err
		}
		if slices.Contains(t.PK, o) {
			return sqlstate.Errorf(sqlstate.InvalidTableDefinition, "column \"%s\" is in a primary key", a.Column.Name)
		}
		t.Columns[o].NotNull = false
	case plan.SetProps:
		for k, val := range a.Props {
			if err := setProperty(env, t, k, val); err != nil {
				return err
			}
		}
	case plan.AddCheck:
		c := a.Check
		if env.hasRows(t) {
			if env.Violated == nil {
				return sqlstate.Unsupported("adding a CHECK constraint to a table that has rows")
			}
			bad, err := env.Violated(ctx, v.Table(t.OID), c.Text)
			if err != nil {
				return err
			}
			if bad {
				return sqlstate.Errorf(sqlstate.CheckViolation, "check constraint \"%s\" of relation \"%s\" is violated by some row", c.Name, t.Name)
			}
		}
		c.OID = env.Txn.AllocOIDs(1)
		t.Checks = append(slices.Clone(t.Checks), c)
	case plan.AddPrimaryKey:
		if len(t.PK) > 0 {
			return sqlstate.Errorf(sqlstate.InvalidTableDefinition, "multiple primary keys for table \"%s\" are not allowed", t.Name)
		}
		env.rewrites = env.rewrites || env.hasRows(t)
		t.PK = nil
		for _, k := range a.Key {
			o := t.Ordinal(k)
			if o < 0 {
				return sqlstate.Errorf(sqlstate.UndefinedColumn, "column \"%s\" named in key does not exist", k)
			}
			t.PK = append(t.PK, o)
			t.Columns[o].NotNull = true
		}
		t.PKName = t.Name + "_pkey"
		if a.NewName != "" {
			t.PKName = a.NewName
		}
		if len(t.Distribution) == 0 {
			t.Distribution = slices.Clone(t.PK)
		}
	case plan.AddUnique:
		return env.addUnique(v, t, a)
	case plan.RenameConstraint:
		return renameConstraint(v, t, a.Text, a.NewName)
	case plan.DropConstraint:
		if u := slices.IndexFunc(t.Unique, func(k catalog.UniqueKey) bool { return k.Name == a.NewName && !k.IndexOnly }); u >= 0 {
			t.Unique = slices.Delete(slices.Clone(t.Unique), u, u+1)
			return nil
		}
		if f := slices.IndexFunc(t.Foreign, func(k catalog.ForeignKey) bool { return k.Name == a.NewName }); f >= 0 {
			t.Foreign = slices.Delete(slices.Clone(t.Foreign), f, f+1)
			return nil
		}
		i := slices.IndexFunc(t.Checks, func(c catalog.Check) bool { return c.Name == a.NewName })
		switch {
		case i >= 0:
			t.Checks = slices.Delete(slices.Clone(t.Checks), i, i+1)
		case len(t.PK) > 0 && t.PKName == a.NewName:
			return sqlstate.Unsupported("dropping a primary key")
		case a.IfExists:
			env.notice(sqlstate.SuccessfulCompletion, "constraint \"%s\" of relation \"%s\" does not exist, skipping", a.NewName, t.Name)
		default:
			return sqlstate.Errorf(sqlstate.UndefinedObject, "constraint \"%s\" of relation \"%s\" does not exist", a.NewName, t.Name)
		}
	}
	return nil
}

// reword gives the expressions of a table's definition other texts.
func reword(t *catalog.Table, texts map[string]string) {
	for i := range t.Columns {
		if text, ok := texts[t.Columns[i].GeneratedText]; ok {
			t.Columns[i].GeneratedText = text
		}
	}
	t.Checks = slices.Clone(t.Checks)
	for i := range t.Checks {
		if text, ok := texts[t.Checks[i].Text]; ok {
			t.Checks[i].Text = text
		}
	}
}

// hasRows says whether the table has rows, in the transaction's snapshot or, where that is an
// older one, now; unsure counts as yes.
func (e *Env) hasRows(t *catalog.Table) bool {
	return e.seesRows(t) || e.Repeatable && e.othersSeeRows(t)
}

// seesRows says whether the table's snapshot has rows; unsure counts as yes.
func (e *Env) seesRows(t *catalog.Table) bool {
	s, err := e.Txn.Snapshot()
	if err != nil {
		return true
	}
	defer s.Close()
	old := s.Catalog().Table(t.OID)
	if old == nil {
		return false
	}
	rel, err := s.Relation(old)
	if err != nil {
		return true
	}
	n, _ := rel.RowCount()
	return n > 0
}

// hasNulls says whether column o may hold nulls.
func (e *Env) hasNulls(t *catalog.Table, o int) bool {
	s, err := e.Txn.Snapshot()
	if err != nil {
		return true
	}
	defer s.Close()
	old := s.Catalog().Table(t.OID)
	if old == nil || o >= len(old.Columns) {
		return false
	}
	rel, err := s.Relation(old)
	if err != nil {
		return true
	}
	spec := &catalog.ScanSpec{Cols: []int{o}, Limit: -1}
	splits, _, err := rel.Splits(context.Background(), spec)
	if err != nil {
		return true
	}
	r, err := rel.Reader(spec)
	if err != nil {
		return true
	}
	defer r.Close()
	for _, sp := range splits {
		if r.Open(sp) != nil {
			return true
		}
		for {
			b, err := r.Next()
			if err != nil {
				return true
			}
			if b == nil {
				break
			}
			for k := 0; k < b.Rows(); k++ {
				if b.Cols[0].IsNull(b.Row(k)) {
					return true
				}
			}
		}
	}
	return false
}

// dropColumn removes column o; ordinals elsewhere in the definition move down.
func dropColumn(env *Env, v *catalog.Version, t *catalog.Table, o int, a *plan.AlterAction, d *catalog.Delta) error {
	name := t.Columns[o].Name
	if slices.Contains(t.PK, o) {
		return sqlstate.Unsupported("dropping a column of the primary key")
	}
	if slices.Contains(t.Distribution, o) {
		return sqlstate.Unsupported("dropping a column of the distribution key")
	}
	for _, c := range t.Clustering {
		if c.Ordinal == o {
			return sqlstate.Unsupported("dropping a column of the clustering key")
		}
	}
	dependent := func(what string) error {
		return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop column %s of %s because other objects depend on it", name, described(v, t)).
			WithDetail("%s depends on column %s of %s", what, name, described(v, t)).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
	}
	for _, g := range a.Generated {
		at := t.Ordinal(g)
		if at < 0 {
			continue // dropped before
		}
		what := "column " + g + " of " + described(v, t)
		if !a.Cascade {
			return dependent(what)
		}
		env.notice(sqlstate.SuccessfulCompletion, "drop cascades to %s", what)
		if err := dropColumn(env, v, t, at, &plan.AlterAction{Cascade: true}, d); err != nil {
			return err
		}
		o = t.Ordinal(name)
	}
	for _, oid := range a.Views {
		w := v.Table(oid)
		if w == nil {
			continue
		}
		if _, done := d.Tables[oid]; done {
			continue
		}
		if !a.Cascade {
			return dependent(described(v, w))
		}
		env.notice(sqlstate.SuccessfulCompletion, "drop cascades to %s", described(v, w))
		if err := dropTable(env, v, w, true, nil, d); err != nil {
			return err
		}
	}
	for _, oid := range a.ByPlace {
		if _, done := d.Tables[oid]; !done && v.Table(oid) != nil {
			return sqlstate.Unsupported("dropping column %s of %s, whose columns %s names by their places", name, described(v, t), described(v, v.Table(oid)))
		}
	}
	t.Checks = slices.DeleteFunc(slices.Clone(t.Checks), func(k catalog.Check) bool { return slices.Contains(a.Checks, k.Name) })
	for _, w := range v.Tables() {
		if _, done := d.Tables[w.OID]; done {
			continue
		}
		if slices.Contains(a.MayRead, w.OID) && strings.Contains(strings.ToLower(w.ViewText), strings.ToLower(name)) {
			return dependent(described(v, w))
		}
	}
	id := t.Columns[o].ID
	for _, s := range ownedSequences(v, t.OID, id) {
		if err := dropSequence(env, v, s, a.Cascade, t.OID, d); err != nil {
			return err
		}
	}
	if err := dropReferencesTo(env, v, t, id, a.Cascade, d); err != nil {
		return err
	}
	t.Foreign = slices.DeleteFunc(slices.Clone(t.Foreign), func(k catalog.ForeignKey) bool { return slices.Contains(k.Columns, id) })
	t.Unique = slices.DeleteFunc(slices.Clone(t.Unique), func(k catalog.UniqueKey) bool { return slices.Contains(k.Columns, id) })
	t.Columns = slices.Delete(slices.Clone(t.Columns), o, o+1)
	down := func(i int) int {
		if i > o {
			return i - 1
		}
		return i
	}
	t.PK = mapped(t.PK, down)
	t.Distribution = mapped(t.Distribution, down)
	t.Clustering = slices.Clone(t.Clustering)
	for i := range t.Clustering {
		t.Clustering[i].Ordinal = down(t.Clustering[i].Ordinal)
	}
	return nil
}

func mapped(s []int, f func(int) int) []int {
	out := make([]int, len(s))
	for i, x := range s {
		out[i] = f(x)
	}
	return out
}

// layoutProps may change only while the table has no rows.
var layoutProps = map[string]bool{"orientation": true, "distribution_key": true, "clustering_key": true,
	"event_time_column": true, "segment_key": true, "shard_count": true, "table_group": true}

func setProperty(env *Env, t *catalog.Table, key, val string) error {
	key = strings.ToLower(key)
	if key == "orientation" && strings.ReplaceAll(strings.ToLower(val), " ", "") == t.Orientation() {
		return nil
	}
	if layoutProps[key] && t.StoresRows() && key != "orientation" && env.Store.Catalog().Table(t.OID) != nil {
		return sqlstate.Unsupported("changing property \"%s\" of a table of orientation \"%s\"", key, t.Orientation())
	}
	if key == "orientation" && len(t.Unique) > 0 {
		return sqlstate.Unsupported("changing property \"%s\" of a table with UNIQUE constraints", key)
	}
	if layoutProps[key] && env.hasRows(t) {
		return sqlstate.Unsupported("changing property \"%s\" of a table that has rows", key)
	}
	columns := func() ([]int, []bool, error) {
		var out []int
		var desc []bool
		for _, p := range propertyList(val) {
			name, dir, _ := strings.Cut(p, ":")
			o := t.Ordinal(strings.Trim(name, `"`))
			if o < 0 {
				return nil, nil, noColumn(name, t.Name)
			}
			out = append(out, o)
			desc = append(desc, strings.EqualFold(dir, "desc"))
		}
		return out, desc, nil
	}
	switch key {
	case "distribution_key":
		cols, _, err := columns()
		if err != nil {
			return err
		}
		for _, c := range cols {
			if len(t.PK) > 0 && !slices.Contains(t.PK, c) {
				return sqlstate.Errorf(sqlstate.InvalidTableDefinition, "distribution_key must be a subset of the primary key")
			}
		}
		t.Distribution = cols
	case "clustering_key":
		cols, desc, err := columns()
		if err != nil {
			return err
		}
		t.Clustering = nil
		for i, c := range cols {
			t.Clustering = append(t.Clustering, catalog.SortColumn{Ordinal: c, Desc: desc[i]})
		}
	case "shard_count", "table_group", "orientation":
		if env.Store.Catalog().Table(t.OID) != nil {
			return sqlstate.Unsupported("changing property \"%s\" after the transaction that created the table", key)
		}
		return bind.SetProp(t, key, val, nil)
	case "binlog.level":
		if val = strings.ToLower(val); val != "none" && val != "replica" {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", key, val).
				WithHint("Available values: none, replica.")
		}
	case "binlog.ttl":
		if n, err := strconv.ParseInt(val, 10, 64); err != nil || n <= 0 {
			return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for parameter \"%s\": \"%s\"", key, val)
		}
	}
	t.Props[key] = val
	return nil
}
