package session

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/ddl"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
)

// command runs the statements that are the session's own.
func (s *Session) command(ctx context.Context, q *portal, u *plan.Session, maxRows int, out pgwire.Results) (bool, error) {
	tag := q.stmt.plan.Tag
	done := func(err error) (bool, error) {
		if err != nil {
			return false, err
		}
		return false, out.CommandComplete(tag)
	}
	switch u.Kind {
	case plan.Begin, plan.Commit, plan.Rollback, plan.Savepoint, plan.Release, plan.RollbackTo, plan.SetTransaction:
		tag, err := s.control(ctx, u)
		if err != nil {
			return false, err
		}
		return false, out.CommandComplete(tag)
	case plan.SetVar:
		value := strings.Join(u.Args, ", ")
		if canonical(u.Name) == "search_path" {
			value = quoteList(u.Args)
		}
		if u.Local && !s.block {
			s.notice(sqlstate.Errorf(sqlstate.NoActiveSQLTransaction, "SET LOCAL can only be used in transaction blocks"))
			return done(nil)
		}
		return done(s.setVar(u.Name, value, u.Local))
	case plan.ResetVar:
		if u.Name == "" || u.Name == "all" {
			return done(s.resetAll())
		}
		if canonical(u.Name) == "session_authorization" || canonical(u.Name) == "role" {
			return done(s.setRole("none"))
		}
		if _, err := known(canonical(u.Name)); err != nil {
			return false, err
		}
		s.set.put(canonical(u.Name), s.set.resetTo(canonical(u.Name)), s.touched, false)
		s.changed(u.Name)
		return done(nil)
	case plan.ShowVar:
		return done(s.showVar(u.Name, q, out))
	case plan.Prepare:
		if s.stmts[u.Name] != nil {
			return false, sqlstate.Errorf(sqlstate.DuplicatePreparedStatement, "prepared statement \"%s\" already exists", u.Name)
		}
		var oids []uint32
		for _, t := range u.ParamTs {
			oids = append(oids, t.OID)
		}
		p, err := s.prepare(u.Name, u.Text, oids)
		if err != nil {
			return false, err
		}
		s.stmts[u.Name] = p
		return done(nil)
	case plan.Execute:
		return s.executeNamed(ctx, q, u, maxRows, out)
	case plan.Deallocate:
		if u.Name == "" || u.Options["all"] == "true" {
			for n := range s.stmts {
				if n != "" {
					delete(s.stmts, n)
				}
			}
			return done(nil)
		}
		if s.stmts[u.Name] == nil {
			return false, sqlstate.Errorf(sqlstate.InvalidSQLStatementName, "prepared statement \"%s\" does not exist", u.Name)
		}
		delete(s.stmts, u.Name)
		return done(nil)
	case plan.DeclareCursor:
		return done(s.declare(ctx, u))
	case plan.FetchCursor, plan.MoveCursor:
		return s.fetchNamed(ctx, q, u, out)
	case plan.CloseCursor:
		if u.Name == "" || u.Options["all"] == "true" {
			for n, c := range s.portals {
				if c.cursor != nil {
					s.closePortal(n)
				}
			}
			return done(nil)
		}
		if s.portals[u.Name] == nil {
			return false, sqlstate.Errorf(sqlstate.InvalidCursorName, "cursor \"%s\" does not exist", u.Name)
		}
		s.closePortal(u.Name)
		return done(nil)
	case plan.DiscardAll:
		if s.block {
			return false, sqlstate.Errorf(sqlstate.ActiveSQLTransaction, "DISCARD ALL cannot run inside a transaction block")
		}
		if what := strings.ToLower(u.Name); what == "" || what == "all" {
			for n, c := range s.portals {
				if c.cursor != nil {
					s.closePortal(n)
				}
			}
			clear(s.stmts)
			s.forgetSequences()
			s.listen("", true)
			if err := s.discardTemps(ctx); err != nil {
				return false, err
			}
			return done(s.resetAll())
		}
		if what := strings.ToLower(u.Name); what == "temp" || what == "temporary" {
			return done(s.discardTemps(ctx))
		}
		if strings.EqualFold(u.Name, "sequences") {
			s.forgetSequences()
		}
		return done(nil)
	case plan.Notify:
		return done(s.Notify(u.Name, u.Args[0]))
	case plan.Listen:
		s.listen(u.Name, false)
		return done(nil)
	case plan.Unlisten:
		s.listen(u.Name, true)
		return done(nil)
	case plan.LockTable:
		return done(s.lock(ctx, u))
	case plan.SetConstraints, plan.Checkpoint, plan.DoNothing:
		if u.Kind == plan.Checkpoint {
			if !s.user.Super {
				return done(sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to execute CHECKPOINT command").
					WithDetail("Only roles with privileges of the \"pg_checkpoint\" role may execute this command."))
			}
			return done(s.eng.Store.Flush(ctx))
		}
		if u.Kind == plan.DoNothing && u.Text != "" {
			s.notice(&sqlstate.Error{Code: sqlstate.SuccessfulCompletion, Message: u.Text})
		}
		return done(nil)
	}
	return false, sqlstate.Unsupported("this statement")
}

// lock is LOCK TABLE.
func (s *Session) lock(ctx context.Context, u *plan.Session) error {
	if !s.block && !s.implicit {
		return sqlstate.Errorf(sqlstate.NoActiveSQLTransaction, "LOCK TABLE can only be used in transaction blocks")
	}
	cat := s.catalog()
	for _, t := range u.Tables {
		if !ddl.Owns(cat, s.user, t.Owner) && !slices.ContainsFunc([]byte("wdD"), func(p byte) bool { return ddl.Granted(cat, s.user, t.ACL, p) }) {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for table %s", t.Name)
		}
	}
	s.open(true)
	if u.NoWait {
		s.txn.LockTimeout(time.Nanosecond) // until the next statement
	}
	for _, t := range u.Tables {
		err := s.txn.Lock(ctx, t.OID)
		if u.NoWait && sqlstate.CodeOf(err) == sqlstate.LockNotAvailable {
			return sqlstate.Errorf(sqlstate.LockNotAvailable, "could not obtain lock on relation \"%s\"", t.Name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func quoteList(items []string) string {
	out := make([]string, len(items))
	for i, it := range items {
		if strings.ToLower(it) == it && !strings.ContainsAny(it, `"$ ,.`) {
			out[i] = it
			continue
		}
		out[i] = `"` + strings.ReplaceAll(it, `"`, `""`) + `"`
	}
	return strings.Join(out, ", ")
}

func (s *Session) setVar(name, value string, local bool) error {
	switch canonical(name) {
	case "role":
		return s.setRole(value)
	case "session_authorization":
		return s.setRole(value)
	case "transaction_isolation", "transaction_read_only":
		if s.block {
			return s.transactionModes(map[string]string{strings.TrimPrefix(canonical(name), "transaction_"): value})
		}
	}
	if err := s.set.set(name, value, s.touched, local); err != nil {
		return err
	}
	s.changed(name)
	return nil
}

// setRole is SET ROLE and SET SESSION AUTHORIZATION: another role that the session's
// own is a member of.
func (s *Session) setRole(name string) error {
	cat := s.catalog()
	own := cat.RoleNamed(s.auth)
	if name == "none" || name == "default" || name == "" {
		name = s.auth
	}
	r := cat.RoleNamed(name)
	if r == nil {
		return sqlstate.Errorf(sqlstate.UndefinedObject, "role \"%s\" does not exist", name)
	}
	if own == nil || !own.Super && own.OID != r.OID {
		member := false
		for _, m := range own.MemberOf {
			member = member || m == r.OID
		}
		if !member {
			return sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied to set role \"%s\"", name)
		}
	}
	s.user, s.userAt = r, nil
	s.set.assign("is_superuser", onOff(r.Super))
	s.set.assign("role", name)
	s.changed("is_superuser")
	return nil
}

func (s *Session) resetAll() error {
	var names []string
	for n := range s.set.values {
		k := settingByName[n]
		if k != nil && k.readOnly || strings.HasPrefix(n, "transaction_") {
			continue
		}
		if v := s.set.resetTo(n); v != s.set.values[n] {
			s.set.put(n, v, s.touched, false)
			names = append(names, n)
		}
	}
	_ = s.setRole("none")
	s.changed(names...)
	return nil
}

func showColumns(name string) []pgwire.Column {
	if name == "all" {
		return []pgwire.Column{{Name: "name", T: types.Text}, {Name: "setting", T: types.Text}, {Name: "description", T: types.Text}}
	}
	return []pgwire.Column{{Name: shown(canonical(name)), T: types.Text}}
}

func (s *Session) showVar(name string, q *portal, out pgwire.Results) error {
	s.touch()
	var rows [][]string
	if name == "all" {
		for _, k := range s.set.all() {
			v, err := s.set.show(k.name)
			if err != nil {
				return err
			}
			rows = append(rows, []string{shown(k.name), v, k.short})
		}
	} else {
		v, err := s.set.show(name)
		if err != nil {
			return err
		}
		rows = [][]string{{v}}
	}
	return sendText(out, q, rows)
}

// sendText sends rows of text columns.
func sendText(out pgwire.Results, q *portal, rows [][]string) error {
	if err := out.RowDescription(q.cols, q.formats); err != nil {
		return err
	}
	ts := make([]types.T, len(q.cols))
	for i := range ts {
		ts[i] = types.Text
	}
	b := vec.NewBatch(ts)
	flush := func() error {
		err := out.Batch(b)
		b.Reset()
		return err
	}
	for _, r := range rows {
		for i, v := range r {
			b.Cols[i].AppendString(v)
		}
		if b.N++; b.N == vec.Size {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// executeNamed is EXECUTE name (arguments).
func (s *Session) executeNamed(ctx context.Context, q *portal, u *plan.Session, maxRows int, out pgwire.Results) (bool, error) {
	p, params, err := s.executed(u)
	if err != nil {
		return false, err
	}
	if p.empty {
		return false, out.EmptyQuery()
	}
	inner := &portal{stmt: p, cols: s.columnsOf(p), formats: q.formats, params: params}
	suspended, err := s.run(ctx, inner, maxRows, out)
	if suspended {
		// A suspended EXECUTE goes on as the portal's own query.
		q.exec, inner.exec = inner.exec, nil
	}
	inner.close()
	return suspended, err
}

// executed is the statement that an EXECUTE names, planned, and its arguments.
func (s *Session) executed(u *plan.Session) (*prepared, []types.Datum, error) {
	p, err := s.stmtNamed(u.Name)
	if err != nil || p.empty {
		return p, nil, err
	}
	s.open(s.block || s.implicit)
	if _, err := s.plannedFor(p); err != nil {
		return nil, nil, err
	}
	if len(u.Params) != len(p.oids) {
		return nil, nil, sqlstate.Errorf(sqlstate.SyntaxError, "wrong number of parameters for prepared statement \"%s\"", u.Name).
			WithDetail("Expected %d parameters but got %d.", len(p.oids), len(u.Params))
	}
	var params []types.Datum
	for i, d := range u.Params {
		t := p.plan.Params[i]
		if d.Valid && !u.ParamTs[i].Same(t) {
			// The statement is another than when EXECUTE was bound: read the text.
			text := string(types.AppendText(nil, u.ParamTs[i], d, s.Env()))
			if d, err = types.ParseText(t, text, s.Env()); err != nil {
				return nil, nil, err
			}
		}
		params = append(params, d)
	}
	return p, params, nil
}

func (s *Session) fetchNamed(ctx context.Context, q *portal, u *plan.Session, out pgwire.Results) (bool, error) {
	c := s.portals[u.Name]
	if c == nil {
		return false, sqlstate.Errorf(sqlstate.InvalidCursorName, "cursor \"%s\" does not exist", u.Name)
	}
	if c.cursor == nil {
		return false, sqlstate.Unsupported("FETCH from a portal of the extended protocol")
	}
	emit := func(b *vec.Batch) error { return nil }
	tag := "MOVE"
	if u.Kind == plan.FetchCursor {
		tag = "FETCH"
		if err := out.RowDescription(c.cols, q.formats); err != nil {
			return false, err
		}
		emit = out.Batch
	}
	n, err := s.fetch(ctx, c, u, emit)
	if err != nil {
		return false, err
	}
	return false, out.CommandComplete(fmt.Sprintf("%s %d", tag, n))
}
