package session

import (
	"context"
	"slices"
	"strconv"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/executor/ddl"
	"github.com/millrace/millrace/storage"
)

// temps are the temporary relations of a session. They are relations like others, in
// a schema of their own (catalog.TempSchema), which others cannot name.
type temps struct {
	schema string // "" before the first
	// gen is another whenever what a name means may have changed: it is part of what
	// plans are kept by.
	gen int
	// onCommit are the tables that ask for something at commits, and may be gone.
	onCommit []uint32
	wrote    bool // the transaction may have written to one
}

// tempSchema is the schema of the session's temporary relations, be it there or not.
func (s *Session) tempSchema() string { return catalog.TempSchema(s.pid) }

// pathKey is what the meaning of names depends on besides catalog and role.
func (s *Session) pathKey() string {
	p := s.set.quick().searchPath
	if s.temps.schema == "" {
		return p
	}
	return p + "\x00" + s.temps.schema + "." + strconv.Itoa(s.temps.gen)
}

// defined notes what a statement that changed the catalog may mean for temporary
// relations; t is what it has made, or nil.
func (s *Session) defined(t *catalog.Table) {
	if t != nil && t.Temp != 0 {
		s.temps.schema = s.tempSchema()
		if t.Temp != catalog.TempKeep {
			s.temps.onCommit = append(s.temps.onCommit, t.OID)
			s.temps.wrote = true
		}
	}
	if s.temps.schema != "" {
		s.temps.gen++
	}
}

// commitTemps does what temporary tables ask for at the commit at hand.
func (s *Session) commitTemps(ctx context.Context) error {
	if len(s.temps.onCommit) == 0 || s.txn == nil || !s.temps.wrote {
		return nil
	}
	s.temps.gen++
	return ddl.OnCommit(ctx, s.txn, s.temps.onCommit)
}

// settleTemps forgets tables that are no more, when a transaction has ended.
func (s *Session) settleTemps() {
	if s.temps.schema == "" {
		return
	}
	s.temps.wrote = false
	if len(s.temps.onCommit) > 0 {
		cat := s.eng.Store.Catalog()
		s.temps.onCommit = slices.DeleteFunc(s.temps.onCommit, func(oid uint32) bool { return cat.Table(oid) == nil })
	}
}

// discardTemps is DISCARD TEMP.
func (s *Session) discardTemps(ctx context.Context) error {
	if s.temps.schema == "" {
		return nil
	}
	s.open(s.block || s.implicit)
	sc := s.txn.Catalog().SchemaNamed(s.temps.schema)
	if sc == nil {
		return nil
	}
	s.temps.gen++
	return ddl.DropTemp(ctx, s.txn, sc.OID, false)
}

// dropTemps drops the session's temporary relations at its end. What fails is left to
// the next start.
func (s *Session) dropTemps() {
	if s.temps.schema == "" {
		return
	}
	if sc := s.eng.Store.Catalog().SchemaNamed(s.temps.schema); sc != nil {
		if err := dropTempSchema(context.Background(), s.eng.Store, sc.OID); err != nil && s.eng.Log != nil {
			s.eng.Log.Warn("temporary tables of a session are left until the next start", "schema", sc.Name, "err", err)
		}
	}
}

// DropTemporary drops the temporary relations of sessions that a crash has ended.
func DropTemporary(ctx context.Context, store storage.Store) error {
	for _, sc := range store.Catalog().Schemas() {
		if catalog.IsTempSchema(sc.Name) {
			if err := dropTempSchema(ctx, store, sc.OID); err != nil {
				return err
			}
		}
	}
	return nil
}

func dropTempSchema(ctx context.Context, store storage.Store, schema uint32) error {
	x := store.Begin(storage.TxnOptions{Async: true})
	defer x.Rollback()
	if err := ddl.DropTemp(ctx, x, schema, true); err != nil {
		return err
	}
	_, err := x.Commit(ctx)
	return err
}
