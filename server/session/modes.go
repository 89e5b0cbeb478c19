package session

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
)

// What a transaction is: its isolation, whether it may write, and which snapshot it
// reads. PostgreSQL lets all of it be said until the first statement that reads.

// reads says whether a statement makes a block one that has read.
func reads(u plan.Utility) bool {
	x, ok := u.(*plan.Session)
	return !ok || x.Kind == plan.Execute || x.Kind == plan.DeclareCursor
}

// setTransaction is SET TRANSACTION and SET SESSION CHARACTERISTICS.
func (s *Session) setTransaction(u *plan.Session) error {
	if u.Name == "session characteristics" || u.Options["session"] != "" {
		return s.modes(u.Options, "default_transaction_")
	}
	if !s.block {
		s.notice(sqlstate.Errorf(sqlstate.NoActiveSQLTransaction, "SET TRANSACTION can only be used in transaction blocks"))
	}
	if u.Name == "transaction snapshot" {
		return s.importSnapshot(u.Text)
	}
	return s.transactionModes(u.Options)
}

// transactionModes changes what the present transaction is.
func (s *Session) transactionModes(opts map[string]string) error {
	if !s.block {
		return s.modes(opts, "transaction_")
	}
	was, wasReadOnly := s.set.text("transaction_isolation"), s.set.on("transaction_read_only")
	if v, ok := opts["isolation"]; ok {
		v, err := settingByName["transaction_isolation"].check(v)
		switch {
		case err != nil:
			return err
		case v == was:
		case s.queried:
			return sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "SET TRANSACTION ISOLATION LEVEL must be called before any query")
		case len(s.marks) > 0:
			return sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "SET TRANSACTION ISOLATION LEVEL must not be called in a subtransaction")
		}
	}
	if v, ok := opts["read_only"]; ok && wasReadOnly {
		v, err := settingByName["transaction_read_only"].check(v)
		switch {
		case err != nil:
			return err
		case v == "on":
		case len(s.marks) > 0:
			return sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "cannot set transaction read-write mode inside a read-only transaction")
		case s.queried:
			return sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "transaction read-write mode must be set before any query")
		}
	}
	if err := s.modes(opts, "transaction_"); err != nil {
		return err
	}
	level := storage.ReadCommitted
	if s.set.quick().repeatable {
		level = storage.RepeatableRead
	}
	s.txn.SetMode(level, s.set.quick().readOnly)
	return nil
}

// modes puts options of BEGIN and SET TRANSACTION into settings.
func (s *Session) modes(opts map[string]string, prefix string) error {
	for _, k := range []string{"isolation", "read_only", "deferrable"} {
		v, ok := opts[k]
		if !ok {
			continue
		}
		v, err := settingByName[prefix+k].check(v)
		if err != nil {
			return err
		}
		s.set.assign(prefix+k, v)
	}
	return nil
}

// export is a snapshot that a transaction exported.
type export struct {
	snap     storage.Shared
	db       string
	readOnly bool
}

// ExportSnapshot implements View. What is exported lives as long as the transaction.
func (s *Session) ExportSnapshot() (string, error) {
	if len(s.marks) > 0 {
		return "", sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "cannot export a snapshot from a subtransaction")
	}
	s.eng.mu.Lock()
	defer s.eng.mu.Unlock()
	txn := s.txn
	if txn == nil { // a statement by itself: gone before anybody can use it
		txn = s.eng.Store.Begin(storage.TxnOptions{ReadOnly: true})
		defer txn.Rollback()
	}
	snap, err := txn.Export()
	if err != nil {
		return "", err
	}
	id := fmt.Sprintf("%08X-%08X-%d", uint32(s.pid), uint32(snap.CSN()), len(s.exported)+1)
	if s.eng.exports == nil {
		s.eng.exports = map[string]*export{}
	}
	s.eng.exports[id] = &export{snap, s.db, s.set.quick().readOnly}
	s.exported = append(s.exported, id)
	return id, nil
}

// unexport takes back what the transaction exported.
func (s *Session) unexport() {
	if len(s.exported) == 0 {
		return
	}
	s.eng.mu.Lock()
	defer s.eng.mu.Unlock()
	for _, id := range s.exported {
		s.eng.exports[id].snap.Close()
		delete(s.eng.exports, id)
	}
	s.exported = nil
}

// importSnapshot is SET TRANSACTION SNAPSHOT.
func (s *Session) importSnapshot(id string) error {
	if s.queried || len(s.marks) > 0 {
		return sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "SET TRANSACTION SNAPSHOT must be called before any query")
	}
	if !s.block || !s.set.quick().repeatable {
		return sqlstate.Errorf(sqlstate.FeatureNotSupported, "a snapshot-importing transaction must have isolation level SERIALIZABLE or REPEATABLE READ")
	}
	s.eng.mu.Lock()
	defer s.eng.mu.Unlock()
	e := s.eng.exports[id]
	if e == nil || slices.Contains(s.exported, id) {
		return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid snapshot identifier: \"%s\"", id)
	}
	if e.db != s.db {
		return sqlstate.Errorf(sqlstate.FeatureNotSupported, "cannot import a snapshot from a different database")
	}
	if err := s.txn.Import(e.snap); err != nil {
		return err
	}
	s.queried = true
	return nil
}
