// Package session is one client's side of SQL: its settings, its transaction, its
// prepared statements, portals and cursors, and the dispatch of statements to the
// planner, the executor, DDL and COPY. The protocol (server/pgwire) and other
// front ends call it; it knows none of them.
//
// A session is used by one goroutine at a time. What it runs ends with the context
// that it is given.
package session

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/binlog"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/executor/sequence"
	"github.com/millrace/millrace/planner/cache"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/admission"
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
	// Gate admits large queries; nil: all at once.
	Gate *admission.Gate
	Log  *slog.Logger
	// System serves pg_catalog, information_schema and hologres.
	System *syscat.Source
	// Started is when the server did, µs since 2000.
	Started int64
	// CancelBackend ends the query of another session, and with terminate the session.
	CancelBackend func(pid int32, terminate bool) bool
	// Verifier makes a SCRAM verifier of a password.
	Verifier func(string) (string, error)
	// Seal and Unseal keep secrets in the catalog.
	Seal   func(map[string]string) ([]byte, error)
	Unseal func([]byte) (map[string]string, error)
	// Defined is called when a transaction that defined things has committed.
	Defined func()
	// Subscription tells how a subscription is doing; nil for one not known yet.
	Subscription func(oid uint32) *syscat.SubscriptionInfo

	mu       sync.Mutex
	sessions map[int32]*Session
	mailbox  mailbox
	advisory advisory
	// exports are the snapshots that transactions have exported, by identifier.
	exports map[string]*export
	// Queries counts statements run, by kind of outcome; for metrics.
	Queries, Errors atomic.Int64
	// Plans are shared by all sessions; nil keeps none.
	Plans *cache.Cache
	// Sequences has the values of sequences.
	Sequences *sequence.Values
	// Slots are the slots of binlogs.
	Slots *binlog.Slots
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

	txn      storage.Txn // nil outside a transaction, and as long as nothing needs it
	touched  bool        // a transaction has begun, with or without txn
	lastCSN  storage.CSN // of the newest asynchronous commit
	block    bool        // inside BEGIN … COMMIT
	failed   bool        // the block has failed
	implicit bool        // a multi-statement string's transaction
	defines  bool        // the transaction has defined things
	wrote    bool        // a statement of the transaction wrote
	txnStart int64       // µs since 2000
	stmtTime int64
	marks    []savepoint
	queried  bool // a statement of the block has read
	seqs     sequences
	temps    temps
	notes    notes
	// advisory and advisoryWaits are under the lock of the engine's table of that name.
	advisory      []advisoryHold
	advisoryWaits []*advisoryWait
	warnings      []*sqlstate.Error // of functions, for the end of the statement
	// listening says that the session listens to a channel.
	listening bool
	exported  []string // what the transaction has exported

	stmts   map[string]*prepared
	portals map[string]*portal
	spare   *portal // one to use again
	known   map[*plan.Statement]*knownPlan
	held    heldTag
	// prompt and onDisk are what Prompt set; begun says that txn is being committed
	// without the session.
	prompt bool
	onDisk func()
	begun  bool
	// unlocked lets the running statement by itself change rows without locking them.
	unlocked bool
	path     resolvedPath
	userAt   *catalog.Version // where user was looked up
	unbound  func()           // ends the time limit of the running call
	asks     context.Context  // of the running call, for planning to look up; nil: none

	mu  sync.Mutex // guards what Activity reads
	act Activity
}

// resolvedPath is the search path as lists, and what it was made of.
type resolvedPath struct {
	cat     *catalog.Version
	text    string
	user    string
	schemas []string
	oids    []uint32
	first   string // the first that exists
	temp    string // the schema of the session's temporary relations, if it exists
}

type savepoint struct {
	name string
	mark int
	// notes and listens count what the transaction had to say by then.
	notes, listens int
	advisory       int // locks that the transaction had
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
	s.set.assign("session_authorization", role.Name)
	s.set.assign("is_superuser", onOff(role.Super))
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
	n := 0
	for _, o := range e.sessions {
		if o.auth == s.auth {
			n++
		}
	}
	full := role.ConnLimit >= 0 && !role.Super && n > role.ConnLimit
	if full {
		delete(e.sessions, s.pid)
	}
	e.mu.Unlock()
	if full {
		return nil, sqlstate.Errorf(sqlstate.TooManyConnections, "too many connections for role \"%s\"", role.Name)
	}
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
	if s.block {
		return s.set.quick().idleInTxn, errIdleInTxn
	}
	return s.set.quick().idleSession, errIdle
}

var (
	errIdle      = sqlstate.Errorf("57P05", "terminating connection due to idle-session timeout")
	errIdleInTxn = sqlstate.Errorf("25P03", "terminating connection due to idle-in-transaction timeout")
)

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

var errCanceled = sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to user request")

// Close implements pgwire.Session.
func (s *Session) Close() error {
	s.closePortals(true)
	s.unexport()
	s.deafen()
	s.eng.advisory.release(s, func(advisoryHold) bool { return true })
	if s.txn != nil {
		s.txn.Rollback()
		s.txn = nil
	}
	s.dropTemps()
	s.eng.mu.Lock()
	if s.eng.sessions[s.pid] == s {
		delete(s.eng.sessions, s.pid)
	}
	s.eng.mu.Unlock()
	return nil
}

// begin marks the start of a statement or message: its context ends at
// statement_timeout. finish must be called at its end.
func (s *Session) begin(ctx context.Context, query string) context.Context {
	if limit := s.set.quick().statementTimeout; limit > 0 {
		bounded, cancel := context.WithCancelCause(ctx)
		t := time.AfterFunc(limit, func() {
			cancel(sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to statement timeout"))
		})
		ctx, s.unbound = bounded, func() {
			t.Stop()
			cancel(nil)
		}
	}
	s.asks = ctx
	s.refreshUser()
	now := micros(time.Now())
	s.stmtTime = now
	s.mu.Lock()
	if query != "" {
		s.act.Query, s.act.QueryStart = query, now
	}
	s.act.State, s.act.StateChange = "active", now
	s.mu.Unlock()
	s.eng.Queries.Add(1)
	return ctx
}

func (s *Session) finish(err error) {
	s.asks = nil
	if len(s.warnings) > 0 && err != pgwire.ErrLater { // else with the answer
		for _, w := range s.warnings {
			s.notice(w)
		}
		s.warnings = nil
	}
	if s.unbound != nil {
		s.unbound()
		s.unbound = nil
	}
	s.mu.Lock()
	switch {
	case s.block && s.failed:
		s.act.State = "idle in transaction (aborted)"
	case s.block:
		s.act.State = "idle in transaction"
	default:
		s.act.State, s.act.XactStart = "idle", 0
	}
	s.mu.Unlock()
	switch err {
	case nil:
	case pgwire.ErrNotPrompt:
		s.eng.Queries.Add(-1) // it is run again
	case pgwire.ErrLater:
	default:
		s.eng.Errors.Add(1)
	}
}

// settled turns the error of a done context into its cause, which says why.
func settled(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || err == pgwire.ErrLater {
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
func (s *Session) searchPath() []string { return s.resolvePath().schemas }

func (s *Session) resolvePath() *resolvedPath {
	cat, text := s.catalog(), s.pathKey()
	p := &s.path
	if p.cat == cat && p.text == text && p.user == s.user.Name {
		return p
	}
	*p = resolvedPath{cat: cat, text: text, user: s.user.Name}
	if s.temps.schema != "" && cat.SchemaNamed(s.temps.schema) != nil {
		p.temp = s.temps.schema
	}
	for _, n := range splitList(s.set.quick().searchPath) {
		user := n == "$user"
		if user {
			n = s.user.Name
		}
		if n == "pg_temp" {
			n = s.tempSchema()
		}
		if catalog.IsTempSchema(n) && n != s.tempSchema() && !s.user.Super {
			continue // that of another session, which its user may not use
		}
		sch := cat.SchemaNamed(n)
		if sch != nil {
			p.oids = append(p.oids, sch.OID)
			if p.first == "" {
				p.first = n
			}
		} else if user {
			continue
		}
		p.schemas = append(p.schemas, n)
	}
	return p
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

// typesNow is Env with the transaction's time, for words such as 'tomorrow'.
func (s *Session) typesNow() *types.Env {
	env := *s.Env()
	env.Now = s.txnStart
	return &env
}

// evalSession is what functions may ask; it must not change while a query runs.
func (s *Session) evalSession() *eval.Session {
	path := s.resolvePath()
	return &eval.Session{Types: s.typesNow(), Now: s.txnStart, StatementTime: s.stmtTime, Clock: func() int64 { return micros(time.Now()) },
		User: s.user.Name, SessionUser: s.auth, Database: s.db, Schema: path.first, SearchPath: path.schemas, TempSchema: path.temp, PID: s.pid,
		Version: versionText, Provider: s.eng.System.Functions(s)}
}
