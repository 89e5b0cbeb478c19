package session

import (
	"context"
	"fmt"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/ddl"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
)

// utility runs everything that is not a query.
func (s *Session) utility(ctx context.Context, q *portal, maxRows int, out pgwire.Results) (bool, error) {
	p := q.stmt
	switch u := p.plan.Utility.(type) {
	case *plan.Session:
		return s.command(ctx, q, u, maxRows, out)
	case *plan.Copy:
		return false, s.copy(ctx, p, u, out)
	case *plan.Explain:
		return false, s.explain(ctx, p, u, q, out)
	case *plan.Analyze:
		return false, s.analyze(ctx, p, u, out)
	}
	if !ddl.Handles(p.plan.Utility) {
		return false, sqlstate.Unsupported("this statement")
	}
	s.open(s.block || s.implicit)
	if s.set.on("transaction_read_only") {
		return false, sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", p.plan.Tag)
	}
	s.defines = true
	made, err := s.define(ctx, p)
	if err != nil {
		return false, err
	}
	s.defined(made)
	if u, ok := p.plan.Utility.(*plan.CreateTable); ok && u.Query != nil {
		n := int64(0)
		if made != nil && !u.WithNoData {
			if n, err = s.fill(ctx, made, u.Query, p.plan.MaxID, q.params); err != nil {
				return false, err
			}
		}
		return false, out.CommandComplete(fmt.Sprintf("SELECT %d", n))
	}
	return false, out.CommandComplete(p.plan.Tag)
}

// define runs a statement that changes the catalog. When others change the same
// objects meanwhile it is bound again for what they made of them: by then it holds
// the locks.
func (s *Session) define(ctx context.Context, p *prepared) (made *catalog.Table, err error) {
	for try := 0; ; try++ {
		if cat := s.catalog(); cat != p.cat {
			st, err := s.plan(p, false)
			if err != nil {
				return nil, err
			}
			s.adopt(p, cat, st, nil)
		}
		if u, ok := p.plan.Utility.(*plan.CreateView); ok {
			u.Table.DependsOn = nil
			for _, o := range p.plan.Objects {
				if o.Table >= catalog.FirstUserOID && !slices.Contains(u.Table.DependsOn, o.Table) {
					u.Table.DependsOn = append(u.Table.DependsOn, o.Table)
				}
			}
		} else if err := s.mayUse(p.plan); err != nil { // a view's owner needs them when it is read
			return nil, err
		}
		var notices []*sqlstate.Error // of the try that counts
		env := &ddl.Env{Txn: s.txn, User: s.user, Verifier: s.eng.Verifier, Types: s.typesNow(), Database: s.db, Temp: s.tempSchema(), Store: s.eng.Store, Slots: s.eng.Slots, Seal: s.eng.Seal, Unseal: s.eng.Unseal,
			Sequence: s.sequenceAt, Rewrite: s.rewrite, Violated: s.violated, FillUnique: s.fillUnique, Repeatable: s.set.quick().repeatable, Value: s.value, Notice: func(e *sqlstate.Error) { notices = append(notices, e) }}
		made, err = ddl.Run(ctx, env, p.plan.Utility)
		if try < conflictTries && sqlstate.CodeOf(err) == sqlstate.SerializationFailure {
			continue
		}
		for _, n := range notices {
			s.notice(n)
		}
		return made, err
	}
}

// fill writes a query's rows into a table just made.
func (s *Session) fill(ctx context.Context, t *catalog.Table, query plan.Node, maxID int, params []types.Datum) (int64, error) {
	snap, err := s.txn.Snapshot()
	if err != nil {
		return 0, err
	}
	row := make([]plan.Column, len(t.Columns))
	for i, c := range t.Columns {
		row[i] = plan.Column{ID: maxID + 1 + i, Name: c.Name, T: c.T}
	}
	x, err := s.startRoot(ctx, &plan.Insert{Table: t, Input: query, Row: row}, snap, params, nil)
	if err != nil {
		snap.Close()
		return 0, err
	}
	defer x.close()
	if _, _, err := x.send(ctx, 0, func(*vec.Batch) error { return nil }); err != nil {
		return 0, err
	}
	return x.query.RowsAffected(), nil
}

func (s *Session) analyze(ctx context.Context, p *prepared, u *plan.Analyze, out pgwire.Results) error {
	if u.Vacuum {
		if s.block {
			return sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "VACUUM cannot run inside a transaction block")
		}
		tables := s.mayVacuum(u.Tables)
		if len(tables) == 0 {
			return out.CommandComplete(p.plan.Tag)
		}
		if err := s.eng.Store.Flush(ctx); err != nil {
			return err
		}
		for _, t := range tables {
			if err := s.eng.Store.Compact(ctx, t); err != nil {
				return err
			}
			def := s.eng.Store.Catalog().Table(t)
			if def == nil {
				continue
			}
			for i := range def.Unique { // the tables behind them
				if err := s.eng.Store.Compact(ctx, def.Unique[i].OID); err != nil && sqlstate.CodeOf(err) != sqlstate.UndefinedTable {
					return err
				}
			}
		}
	}
	// Statistics come with the data: there is nothing to refresh.
	return out.CommandComplete(p.plan.Tag)
}

// mayVacuum leaves out the tables that are others', with a warning where they were
// named; 0 is all there are.
func (s *Session) mayVacuum(named []uint32) []uint32 {
	if s.user.Super {
		if len(named) == 0 {
			return []uint32{0}
		}
		return named
	}
	cat := s.catalog()
	var own []uint32
	if len(named) == 0 {
		for _, t := range cat.Tables() {
			if t.Kind == catalog.KindTable && ddl.Owns(cat, s.user, t.Owner) {
				own = append(own, t.OID)
			}
		}
	}
	for _, oid := range named {
		t := cat.Table(oid)
		if t == nil || ddl.Owns(cat, s.user, t.Owner) {
			own = append(own, oid)
			continue
		}
		s.notice(sqlstate.Errorf(sqlstate.Warning, "permission denied to vacuum \"%s\", skipping it", t.Name))
	}
	return own
}
