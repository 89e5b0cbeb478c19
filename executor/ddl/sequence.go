package ddl

import (
	"context"
	"math/rand/v2"
	"strconv"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
)

// newGeneration is a number that no earlier state of a sequence has.
func newGeneration() uint64 { return rand.Uint64() }

func createSequence(ctx context.Context, env *Env, x *plan.CreateSequence) error {
	v := env.Txn.Catalog()
	d := &catalog.Delta{}
	schema, err := env.schemaFor(v, x.Table, d)
	if err != nil {
		return err
	}
	if v.TableNamed(schema.OID, x.Table.Name) != nil {
		if x.IfNotExists {
			env.notice(sqlstate.DuplicateTable, "relation \"%s\" already exists, skipping", x.Table.Name)
			return nil
		}
		return sqlstate.Errorf(sqlstate.DuplicateTable, "relation \"%s\" already exists", x.Table.Name)
	}
	if o := v.Table(x.Table.Seq.OwnerTable); o != nil && o.Owner != env.User.OID {
		return sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "sequence must have same owner as table it is linked to")
	}
	n := env.sequence(schema.OID, x.Table.Name, env.User.OID, *x.Table.Seq)
	n.Temp = x.Table.Temp
	d.Tables = map[uint32]*catalog.Table{n.OID: n}
	return env.change(ctx, v, d)
}

// sequence makes a new sequence.
func (e *Env) sequence(schema uint32, name string, owner uint32, q catalog.Sequence) *catalog.Table {
	q.Gen = newGeneration()
	return &catalog.Table{OID: e.Txn.AllocOIDs(1), Schema: schema, Name: name, Kind: catalog.KindSequence, Owner: owner,
		Columns: catalog.SequenceColumns(), Seq: &q, SchemaVersion: 1}
}

// columnSequences makes the sequences that columns of t bring along, and ties them
// to the columns.
func (e *Env) columnSequences(v *catalog.Version, t *catalog.Table, list []plan.ColumnSequence, d *catalog.Delta) {
	taken := func(name string) bool {
		for _, n := range d.Tables {
			if n != nil && n.Schema == t.Schema && n.Name == name {
				return true
			}
		}
		return name == t.Name || v.TableNamed(t.Schema, name) != nil
	}
	for _, s := range list {
		c := &t.Columns[t.Ordinal(s.Column)]
		name := s.Name
		if name == "" {
			base := objectName(t.Name, c.Name, "seq")
			name = base
			for i := 1; taken(name); i++ {
				name = objectName(t.Name, c.Name, "seq"+strconv.Itoa(i))
			}
		}
		q := s.Seq
		q.OwnerTable, q.OwnerColumn = t.OID, c.ID
		n := e.sequence(t.Schema, name, t.Owner, q)
		if t.Temp != 0 {
			n.Temp = catalog.TempKeep // it goes with its table
		}
		d.Tables[n.OID] = n
		if q.Identity {
			c.Sequence = n.OID
		} else {
			c.DefaultText = catalog.NextvalText(n.OID)
		}
	}
}

// objectName makes the name of an object that belongs to a table's column, within
// the length of names, as PostgreSQL does: the longer part is cut first.
func objectName(table, column, label string) string {
	const room = 63
	a, b := len(table), len(column)
	for a+b+len(label)+2 > room {
		if a > b {
			a--
		} else {
			b--
		}
	}
	return cut(table, a) + "_" + cut(column, b) + "_" + label
}

// cut shortens a text to n bytes at most, between characters.
func cut(s string, n int) string {
	for n > 0 && n < len(s) && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

func alterSequence(ctx context.Context, env *Env, x *plan.AlterSequence) error {
	v := env.Txn.Catalog()
	t := v.Table(x.Table.OID)
	if t == nil || t.Seq == nil {
		return sqlstate.Errorf(sqlstate.UndefinedTable, "relation \"%s\" does not exist", x.Table.Name)
	}
	if !env.owns(t.Owner) {
		return notOwner("sequence", t.Name)
	}
	n, err := env.redefined(t, x.Seq, x.Restart)
	if err != nil {
		return err
	}
	return env.change(ctx, v, tableDelta(n))
}

// redefined is a sequence with another definition. Where it is now must fit.
func (e *Env) redefined(t *catalog.Table, q catalog.Sequence, restart *int64) (*catalog.Table, error) {
	n := changed(t)
	q.Gen, q.Last, q.Called = t.Seq.Gen, t.Seq.Last, t.Seq.Called
	if restart != nil {
		q.Gen, q.Last, q.Called = newGeneration(), *restart, false
	} else if e.Sequence != nil {
		last, err := e.Sequence(t)
		if err != nil {
			return nil, err
		}
		if last < q.Min {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "RESTART value (%d) cannot be less than MINVALUE (%d)", last, q.Min)
		}
		if last > q.Max {
			return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "RESTART value (%d) cannot be greater than MAXVALUE (%d)", last, q.Max)
		}
	}
	n.Seq = &q
	return n, nil
}

// restarted is a sequence that begins again at its start.
func restarted(t *catalog.Table) *catalog.Table {
	n := changed(t)
	q := *t.Seq
	q.Gen, q.Last, q.Called = newGeneration(), q.Start, false
	n.Seq = &q
	return n
}

// ownedSequences are the sequences of a table's columns, or of one (by id).
func ownedSequences(v *catalog.Version, table uint32, column int32) []*catalog.Table {
	var out []*catalog.Table
	for _, s := range v.Tables() {
		if s.Kind == catalog.KindSequence && s.Seq.OwnerTable == table && (column == 0 || s.Seq.OwnerColumn == column) {
			out = append(out, s)
		}
	}
	return out
}

// dropSequence adds a sequence to the delta. Of what takes defaults from it, the
// columns that go with it (of the table being dropped, 0 for none) do not count.
func dropSequence(env *Env, v *catalog.Version, s *catalog.Table, cascade bool, with uint32, d *catalog.Delta) error {
	if owner := v.Table(s.Seq.OwnerTable); s.Seq.Identity && owner != nil && owner.OID != with {
		if _, gone := d.Tables[owner.OID]; !gone {
			col := owner.ColumnByID(s.Seq.OwnerColumn)
			return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop %s because column %s of %s requires it", described(v, s), col.Name, described(v, owner)).
				WithHint("You can drop column %s of %s instead.", col.Name, described(v, owner))
		}
	}
	d.Tables[s.OID] = nil
	for _, t := range v.Tables() {
		if n, changed := d.Tables[t.OID]; changed && n == nil || t.OID == with || t.Kind != catalog.KindTable {
			continue
		}
		for i := range t.Columns {
			c := &t.Columns[i]
			if !catalog.UsesRelation(c.DefaultText, s.OID) {
				continue
			}
			what := "default value for column " + c.Name + " of " + described(v, t)
			if !cascade {
				return sqlstate.Errorf(sqlstate.DependentObjectsStillExist, "cannot drop %s because other objects depend on it", described(v, s)).
					WithDetail("%s depends on %s", what, described(v, s)).WithHint("Use DROP ... CASCADE to drop the dependent objects too.")
			}
			env.notice(sqlstate.SuccessfulCompletion, "drop cascades to %s", what)
			n := d.Tables[t.OID]
			if n == nil {
				n = changed(t)
				d.Tables[t.OID] = n
			}
			n.Columns[i].DefaultText = ""
		}
	}
	return nil
}

// follow has the sequences of a table's columns go where the table goes: to another
// owner or schema.
func follow(v *catalog.Version, t *catalog.Table, d *catalog.Delta) {
	for _, s := range ownedSequences(v, t.OID, 0) {
		if s.Owner == t.Owner && s.Schema == t.Schema {
			continue
		}
		n := d.Tables[s.OID]
		if n == nil {
			if _, gone := d.Tables[s.OID]; gone {
				continue
			}
			n = changed(s)
		}
		n.Owner, n.Schema = t.Owner, t.Schema
		d.Tables[s.OID] = n
	}
}
