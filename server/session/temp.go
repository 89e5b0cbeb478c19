package session

import (
	"context"
	"slices"
	"strconv"
	"time"

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
	// onCommit are the tables that ask for something at commits, and may be gone. The
	// first kept are from before the transaction.
	onCommit []uint32
	kept     int
	wrote    bool             // the transaction may have written to one
	after    *catalog.Version // what the commit at hand leaves, nil: all that there was
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
	if name := s.tempSchema(); s.temps.schema == "" && s.catalog().SchemaNamed(name) != nil {
		s.temps.schema = name
	}
	if t != nil && (t.Temp == catalog.TempDelete || t.Temp == catalog.TempDrop) {
		s.temps.onCommit = append(s.temps.onCommit, t.OID)
		s.temps.wrote = true
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
	if err := ddl.OnCommit(ctx, s.txn, s.temps.onCommit); err != nil {
		return err
	}
	s.temps.after = s.txn.Catalog()
	return nil
}

// settleTemps forgets tables that are no more, when a transaction has ended. It does not
// ask the store, where the commit may have yet to be published.
func (s *Session) settleTemps(commit bool) {
	t := &s.temps
	switch after := t.after; {
	case t.schema == "":
		return
	case !commit:
		t.onCommit = t.onCommit[:t.kept]
		t.gen++ // names are what they were before
	case after != nil:
		t.onCommit = slices.DeleteFunc(t.onCommit, func(oid uint32) bool { return after.Table(oid) == nil })
	}
	t.kept, t.wrote, t.after = len(t.onCommit), false, nil
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
	return ddl.DropTemp(ctx, s.eng.Store, s.txn, sc.OID, false)
}

// dropTempsTries is how often a session's end tries to drop its temporary relations,
// waiting a little longer each time.
const dropTempsTries = 8

// dropTemps drops the session's temporary relations at its end. What fails is left to
// the next start.
func (s *Session) dropTemps() {
	if s.temps.schema == "" {
		return
	}
	for try := range dropTempsTries {
		time.Sleep(time.Duration(try) * time.Millisecond)
		found, err := dropTempSchema(context.Background(), s.eng.Store, s.temps.schema, s.lastCSN)
		switch {
		case err == nil && (found || s.lastCSN == 0): // else it may have yet to be published
			return
		case err != nil && try == dropTempsTries-1 && s.eng.Log != nil:
			s.eng.Log.Warn("temporary tables of a session are left until the next start", "schema", s.temps.schema, "err", err)
		}
	}
}

// DropTemporary drops the temporary relations of sessions that a crash has ended.
func DropTemporary(ctx context.Context, store storage.Store) error {
	for _, sc := range store.Catalog().Schemas() {
		if catalog.IsTempSchema(sc.Name) {
			if _, err := dropTempSchema(ctx, store, sc.Name, 0); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropTempSchema drops a schema of temporary relations with all in it, if it is there
// at a commit or later.
func dropTempSchema(ctx context.Context, store storage.Store, name string, after storage.CSN) (found bool, err error) {
	x := store.Begin(storage.TxnOptions{Async: true, After: after})
	defer x.Rollback()
	sc := x.Catalog().SchemaNamed(name)
	if sc == nil {
		return false, nil
	}
	if err := ddl.DropTemp(ctx, store, x, sc.OID, true); err != nil {
		return true, err
	}
	_, err = x.Commit(ctx)
	return true, err
}
