// Package session is one client's side of SQL: its settings, its transaction, its
// prepared statements, portals and cursors, and the dispatch of statements to the
// planner, the executor, DDL and COPY. The protocol (server/pgwire) and other
// front ends call it; it knows none of them.
//
// A session is used by one goroutine at a time, but for Cancel.
package session

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/foreign/syscat"
)

// Engine is what all sessions share.
type Engine struct {
	Store  storage.Store
	Pool   *sched.Pool
	Memory *mem.Account // the server's; a query's account is a child of it
	Spill  *mem.Spill
	Log    *slog.Logger
	// System serves pg_catalog, information_schema and hologres.
	System *syscat.Source
	// Started is when the server did, µs since 2000.
	Started int64
	// CancelBackend ends the query of another session, and with terminate the session.
	CancelBackend func(pid int32, terminate bool) bool
	// Verifier makes a SCRAM verifier of a password.
	Verifier func(string) (string, error)

	mu       sync.Mutex
	sessions map[int32]*Session
	// Queries counts statements run, by kind of outcome; for metrics.
	Queries, Errors atomic.Int64
}

// View, Activity and the rest are what sessions show to system relations.
type (
	Activity     = syscat.Activity
	SettingInfo  = syscat.SettingInfo
	PreparedInfo = syscat.PreparedInfo
)

// Session implements pgwire.Session.
type Session struct {
	eng    *Engine
	client pgwire.Client
	pid    int32
	user   *catalog.Role
	auth   string // session_authorization
	db     string
	began  time.Time

	set *settings
	env *types.Env // of the settings, see Env

	txn      storage.Txn // nil outside a transaction
	block    bool        // inside BEGIN … COMMIT
	failed   bool        // the block has failed
	implicit bool        // a multi-statement string's transaction
	txnStart int64       // µs since 2000
	stmtTime int64
	marks    []savepoint

	stmts   map[string]*prepared
	portals map[string]*portal
	results pgwire.Results // of the running call, for notices

	mu     sync.Mutex // guards what Activity and Cancel read
	cancel context.CancelCauseFunc
	act    Activity
}

type savepoint struct {
	name string
	mark int
}

// Open starts the session of a client that has proved to be start.User.
func (e *Engine) Open(ctx context.Context, start pgwire.Startup, client pgwire.Client) (pgwire.Session, error) {
	cat := e.Store.Catalog()
	role := cat.RoleNamed(start.User)
	if role == nil {
		return nil, sqlstate.Errorf(sqlstate.InvalidAuthorizationSpecification, "role \"%s\" does not exist", start.User)
	}
	if !role.Login {
		return nil, sqlstate.Errorf(sqlstate.InvalidAuthorizationSpecification, "role \"%s\" is not permitted to log in", start.User)
	}
	if cat.DatabaseNamed(start.Database) == nil {
		return nil, sqlstate.Errorf(sqlstate.InvalidCatalogName, "database \"%s\" does not exist", start.Database)
	}
	if start.Replication != "" && start.Replication != "false" && start.Replication != "off" && start.Replication != "no" && start.Replication != "0" {
		return nil, sqlstate.Unsupported("the replication protocol")
	}
	s := &Session{eng: e, client: client, pid: start.PID, user: role, auth: role.Name, db: start.Database,
		began: time.Now(), set: newSettings(), stmts: map[string]*prepared{}, portals: map[string]*portal{}}
	s.set.values["session_authorization"] = role.Name
	s.set.values["is_superuser"] = onOff(role.Super)
	for k, v := range role.Config {
		if err := s.set.set(k, v, false, false); err == nil {
			s.set.reset[canonical(k)] = s.set.text(k)
		}
	}
	for _, p := range start.Params {
		if strings.HasPrefix(p.Name, "_pq_.") {
			continue
		}
		if err := s.set.set(p.Name, p.Value, false, false); err != nil {
			return nil, err
		}
		s.set.reset[canonical(p.Name)] = s.set.text(p.Name)
	}
	for _, k := range settingList {
		if k.report {
			client.ParameterStatus(shown(k.name), s.set.text(k.name))
		}
	}
	s.act = Activity{PID: s.pid, User: role.Name, Database: s.db, State: "idle", BackendStart: micros(s.began), StateChange: micros(s.began)}
	if start.Remote != nil {
		s.act.ClientAddr = start.Remote.String()
	}
	e.mu.Lock()
	if e.sessions == nil {
		e.sessions = map[int32]*Session{}
	}
	e.sessions[s.pid] = s
	e.mu.Unlock()
	return s, nil
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

// epoch2000 is PostgreSQL's epoch in Unix microseconds.
const epoch2000 = 946684800_000_000

func micros(t time.Time) int64 { return t.UnixMicro() - epoch2000 }

// Env implements pgwire.Session.
func (s *Session) Env() *types.Env {
	if s.env == nil {
		s.env = s.set.typesEnv()
		s.env.Names = s.eng.System.Names(s)
	}
	return s.env
}

// IdleLimit implements pgwire.Idler.
func (s *Session) IdleLimit() (time.Duration, *sqlstate.Error) {
	name := "idle_session_timeout"
	reason := sqlstate.Errorf("57P05", "terminating connection due to idle-session timeout")
	if s.block {
		name, reason = "idle_in_transaction_session_timeout", sqlstate.Errorf("25P03", "terminating connection due to idle-in-transaction timeout")
	}
	return time.Duration(s.set.int(name)) * time.Millisecond, reason
}

// TxStatus implements pgwire.Session.
func (s *Session) TxStatus() byte {
	switch {
	case s.block && s.failed:
		return 'E'
	case s.block:
		return 'T'
	}
	return 'I'
}

// Cancel implements pgwire.Session.
func (s *Session) Cancel() {
	s.mu.Lock()
	c := s.cancel
	s.mu.Unlock()
	if c != nil {
		c(errCanceled)
	}
}

var errCanceled = sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to user request")

// Close implements pgwire.Session.
func (s *Session) Close() error {
	s.closePortals(true)
	if s.txn != nil {
		s.txn.Rollback()
		s.txn = nil
	}
	s.eng.mu.Lock()
	if s.eng.sessions[s.pid] == s {
		delete(s.eng.sessions, s.pid)
	}
	s.eng.mu.Unlock()
	return nil
}

// begin marks the start of a statement or message: its context ends with Cancel and
// at statement_timeout. The returned function must be called at its end.
func (s *Session) begin(ctx context.Context, query string) (context.Context, func(error)) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() bool { return true }
	if ms := s.set.int("statement_timeout"); ms > 0 {
		t := time.AfterFunc(time.Duration(ms)*time.Millisecond, func() {
			cancel(sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to statement timeout"))
		})
		stop = t.Stop
	}
	now := micros(time.Now())
	s.stmtTime = now
	s.mu.Lock()
	s.cancel = cancel
	if query != "" {
		s.act.Query, s.act.QueryStart = query, now
	}
	s.act.State, s.act.StateChange = "active", now
	s.mu.Unlock()
	s.eng.Queries.Add(1)
	return ctx, func(err error) {
		stop()
		s.mu.Lock()
		s.cancel = nil
		switch {
		case s.block && s.failed:
			s.act.State = "idle in transaction (aborted)"
		case s.block:
			s.act.State = "idle in transaction"
		default:
			s.act.State, s.act.XactStart = "idle", 0
		}
		s.mu.Unlock()
		cancel(nil)
		if err != nil {
			s.eng.Errors.Add(1)
		}
	}
}

// settled turns the error of a done context into its cause, which says why.
func settled(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	c := sqlstate.CodeOf(err)
	if c != sqlstate.InternalError && c != sqlstate.QueryCanceled {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		if sqlstate.CodeOf(cause) == sqlstate.InternalError {
			return errCanceled
		}
		return cause
	}
	return err
}

// changed tells the client of settings it follows and drops what depends on them.
func (s *Session) changed(names ...string) {
	s.env = nil
	for _, n := range names {
		n = canonical(n)
		if k := settingByName[n]; k != nil && k.report {
			s.client.ParameterStatus(shown(n), s.set.text(n))
		}
		if n == "application_name" {
			s.mu.Lock()
			s.act.Application = s.set.text(n)
			s.mu.Unlock()
		}
	}
}

func (s *Session) notice(n *sqlstate.Error) {
	levels := map[string]int{"debug5": 0, "debug4": 0, "debug3": 0, "debug2": 0, "debug1": 0, "log": 1, "notice": 2, "warning": 3, "error": 4}
	level := 2
	if strings.HasPrefix(string(n.Code), "01") || strings.HasPrefix(string(n.Code), "25") {
		level = 3
	}
	if level < levels[s.set.text("client_min_messages")] {
		return
	}
	_ = s.client.Notice(n)
}

// searchPath lists the schemas to look in, pg_catalog first unless named.
func (s *Session) searchPath() []string {
	var out []string
	for _, p := range splitList(s.set.text("search_path")) {
		if p == "$user" {
			p = s.user.Name
			if s.catalog().SchemaNamed(p) == nil {
				continue
			}
		}
		out = append(out, p)
	}
	return out
}

// splitList splits a list of identifiers as SET takes them.
func splitList(v string) []string {
	var out []string
	for len(v) > 0 {
		v = strings.TrimLeft(v, " \t\n,")
		if v == "" {
			break
		}
		if v[0] == '"' {
			var b strings.Builder
			i := 1
			for ; i < len(v); i++ {
				if v[i] == '"' {
					if i+1 < len(v) && v[i+1] == '"' {
						i++
					} else {
						break
					}
				}
				b.WriteByte(v[i])
			}
			out = append(out, b.String())
			v = v[min(i+1, len(v)):]
			continue
		}
		i := strings.IndexByte(v, ',')
		if i < 0 {
			i = len(v)
		}
		out = append(out, strings.ToLower(strings.TrimSpace(v[:i])))
		v = v[i:]
	}
	return out
}

func (s *Session) catalog() *catalog.Version {
	if s.txn != nil {
		return s.txn.Catalog()
	}
	return s.eng.Store.Catalog()
}

// evalSession is what functions may ask; it must not change while a query runs.
func (s *Session) evalSession() *eval.Session {
	path := s.searchPath()
	schema := ""
	for _, p := range path {
		if s.catalog().SchemaNamed(p) != nil {
			schema = p
			break
		}
	}
	env := *s.Env()
	env.Now = s.txnStart
	return &eval.Session{Types: &env, Now: s.txnStart, StatementTime: s.stmtTime, Clock: func() int64 { return micros(time.Now()) },
		User: s.user.Name, SessionUser: s.auth, Database: s.db, Schema: schema, SearchPath: path, PID: s.pid,
		Version: versionText, Provider: s.eng.System.Functions(s)}
}
