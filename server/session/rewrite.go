package session

import (
	"context"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage/vec"
)

// rewrite is ALTER TABLE where the stored rows must be written again: it locks the
// table, has change put an empty table of the new definition in its place, and fills
// that from the old one, all in the transaction. Until the commit others read the old.
func (s *Session) rewrite(ctx context.Context, old, new *catalog.Table, change func() error) error {
	if s.set.quick().repeatable {
		return sqlstate.Unsupported("a change of a table with rows in a transaction that reads an older state")
	}
	if err := s.txn.Lock(ctx, old.OID); err != nil {
		return err
	}
	snap, err := s.txn.Snapshot()
	if err != nil {
		return err
	}
	at := snap.Catalog().Table(old.OID)
	if at == nil || at.SchemaVersion != old.SchemaVersion {
		snap.Close()
		return sqlstate.Errorf(sqlstate.SerializationFailure, "could not serialize access due to concurrent update")
	}
	if len(new.PK) > 0 && len(old.PK) == 0 {
		if err := s.keyFits(ctx, old, new); err != nil {
			snap.Close()
			return err
		}
	}
	if _, err := snap.Relation(at); err != nil { // as it is before the change
		snap.Close()
		return err
	}
	if err := change(); err != nil {
		snap.Close()
		return err
	}
	in, row := rewritten(at, new)
	x, err := s.startRoot(ctx, &plan.Insert{Table: new, Input: in, Row: row}, snap, nil, nil)
	if err != nil {
		snap.Close()
		return err
	}
	defer x.close()
	_, _, err = x.send(ctx, 0, func(*vec.Batch) error { return nil })
	return err
}

// rewritten reads the rows of a table as those of another definition of it.
func rewritten(old, new *catalog.Table) (plan.Node, []plan.Column) {
	scan := &plan.Scan{Table: old, Alias: old.Name, Limit: -1}
	at := map[int32]plan.Column{}
	for i := range old.Columns {
		c := plan.Column{ID: i + 1, Name: old.Columns[i].Name, T: old.Columns[i].T}
		scan.Cols, scan.Ords = append(scan.Cols, c), append(scan.Ords, i)
		at[old.Columns[i].ID] = c
	}
	p := &plan.Project{Input: scan}
	var row []plan.Column
	for i := range new.Columns {
		c := &new.Columns[i]
		out := plan.Column{ID: len(old.Columns) + 1 + i, Name: c.Name, T: c.T}
		var e expr.Expr = &expr.Const{T: c.T, D: c.Missing}
		if from, ok := at[c.ID]; ok {
			e = from.Ref()
		} else if oid := sequenceOf(c); oid != 0 {
			e = nextval(oid, c.T)
		}
		p.Exprs = append(p.Exprs, plan.Projection{Col: out, Expr: e})
		row = append(row, out)
	}
	return p, row
}

// sequenceOf is the sequence that fills a column; 0 for none.
func sequenceOf(c *catalog.Column) uint32 {
	if c.Identity != 0 {
		return c.Sequence
	}
	oid := uint32(0)
	for _, d := range strings.TrimPrefix(c.DefaultText, "nextval('") {
		if d < '0' || d > '9' {
			break
		}
		oid = oid*10 + uint32(d-'0')
	}
	if oid != 0 && c.DefaultText == catalog.NextvalText(oid) {
		return oid
	}
	return 0
}

// The functions of nextval, and of bigint to the smaller integers.
const (
	fnNextval = 1574
	fnInt8to4 = 480
	fnInt8to2 = 714
)

func nextval(oid uint32, t types.T) expr.Expr {
	var e expr.Expr = &expr.Call{Fn: fn.ByOID(fnNextval), Args: []expr.Expr{&expr.Const{T: types.Regclass, D: types.NewInt(int64(oid))}}, T: types.Int8}
	switch t.OID {
	case types.Int4OID:
		e = &expr.Call{Fn: fn.ByOID(fnInt8to4), Args: []expr.Expr{e}, T: types.Int4}
	case types.Int2OID:
		e = &expr.Call{Fn: fn.ByOID(fnInt8to2), Args: []expr.Expr{e}, T: types.Int2}
	}
	return e
}

// keyFits sees that rows may get the primary key that new has.
func (s *Session) keyFits(ctx context.Context, old, new *catalog.Table) error {
	var cols []string
	for _, o := range new.PK {
		name := quoteName(new.Columns[o].Name)
		cols = append(cols, name)
		if old.Columns[o].NotNull {
			continue
		}
		null, err := s.first(ctx, "SELECT 1 FROM "+s.qualified(old)+" WHERE "+name+" IS NULL LIMIT 1")
		if err != nil {
			return err
		}
		if null != nil {
			return sqlstate.Errorf(sqlstate.NotNullViolation, "column \"%s\" of relation \"%s\" contains null values", new.Columns[o].Name, old.Name)
		}
	}
	list := strings.Join(cols, ", ")
	twice, err := s.first(ctx, "SELECT "+list+" FROM "+s.qualified(old)+" GROUP BY "+list+" HAVING count(*) > 1 LIMIT 1")
	if err != nil || twice == nil {
		return err
	}
	return s.duplicated(new, new.PKName, new.PK, twice)
}

// fillUnique makes the entries of a unique key that the transaction has just added to
// a table.
func (s *Session) fillUnique(ctx context.Context, t *catalog.Table, k *catalog.UniqueKey) error {
	if s.set.quick().repeatable {
		return sqlstate.Unsupported("a change of a table with rows in a transaction that reads an older state")
	}
	if err := s.txn.Lock(ctx, t.OID); err != nil {
		return err
	}
	var cols, keys, there []string
	for i, o := range t.IndexColumns(k) {
		name := quoteName(t.Columns[o].Name)
		cols = append(cols, name)
		if i < len(k.Columns) {
			keys = append(keys, name)
			there = append(there, name+" IS NOT NULL")
		}
	}
	list, where := strings.Join(keys, ", "), " FROM "+s.qualified(t)+" WHERE "+strings.Join(there, " AND ")
	twice, err := s.first(ctx, "SELECT "+list+where+" GROUP BY "+list+" HAVING count(*) > 1 LIMIT 1")
	if err != nil {
		return err
	}
	if twice != nil {
		return s.duplicated(t, k.Name, t.Ordinals(k), twice)
	}
	st, err := s.plan(&prepared{sql: "SELECT " + strings.Join(cols, ", ") + where}, false)
	if err != nil {
		return err
	}
	_, err = s.fill(ctx, s.catalog().Table(k.OID), st.Root, st.MaxID, nil)
	return err
}

// duplicated is the error of rows that have one key, for an index that was to be made.
func (s *Session) duplicated(t *catalog.Table, index string, cols []int, vals []types.Datum) error {
	var names []string
	text := []byte(nil)
	for i, o := range cols {
		if i > 0 {
			text = append(text, ", "...)
		}
		names = append(names, t.Columns[o].Name)
		text = types.AppendText(text, t.Columns[o].T, vals[i], s.Env())
	}
	err := sqlstate.Errorf(sqlstate.UniqueViolation, "could not create unique index \"%s\"", index).
		WithDetail("Key (%s)=(%s) is duplicated.", strings.Join(names, ", "), text)
	err.Table, err.Constraint = t.Name, index
	return err
}

// violated says whether a row of the table fails a condition.
func (s *Session) violated(ctx context.Context, t *catalog.Table, cond string) (bool, error) {
	if err := s.txn.Lock(ctx, t.OID); err != nil {
		return false, err
	}
	row, err := s.first(ctx, "SELECT 1 FROM "+s.qualified(t)+" WHERE NOT ("+cond+") LIMIT 1")
	return row != nil, err
}

// value is that of an expression without columns, now.
func (s *Session) value(e expr.Expr) (types.Datum, error) {
	p, err := eval.Compile(e, s.foldEnv(s.evalSession()))
	if err != nil {
		return types.Null, err
	}
	v, err := p.Eval(&vec.Batch{N: 1})
	if err != nil {
		return types.Null, err
	}
	d := v.Datum(0)
	d.S = strings.Clone(d.S)
	return d, nil
}

func (s *Session) qualified(t *catalog.Table) string {
	name := ""
	if sch := s.catalog().Schema(t.Schema); sch != nil {
		name = quoteName(sch.Name) + "."
	}
	return name + quoteName(t.Name)
}

func quoteName(n string) string { return `"` + strings.ReplaceAll(n, `"`, `""`) + `"` }

// first runs a query of the server's own in the transaction, and returns its first row.
func (s *Session) first(ctx context.Context, sql string) ([]types.Datum, error) {
	st, err := s.plan(&prepared{sql: sql}, false)
	if err != nil {
		return nil, err
	}
	snap, err := s.txn.Snapshot()
	if err != nil {
		return nil, err
	}
	if !holds(st, snap) {
		if st, err = s.plan(&prepared{sql: sql}, true); err != nil {
			snap.Close()
			return nil, err
		}
	}
	x, err := s.startRoot(ctx, st.Root, snap, nil, nil)
	if err != nil {
		snap.Close()
		return nil, err
	}
	defer x.close()
	var row []types.Datum
	_, _, err = x.send(ctx, 1, func(b *vec.Batch) error {
		if row == nil && b.Rows() > 0 {
			for _, c := range b.Cols {
				d := c.Datum(b.Row(0))
				d.S = strings.Clone(d.S)
				row = append(row, d)
			}
		}
		return nil
	})
	return row, err
}
