// Package wire tests the protocol from outside: scripts of raw messages and a
// real driver against server/pgwire, with a small working session behind it, so
// that what fails here is the protocol and not the engine.
//
// The fake session understands statements separated by semicolons:
//
//	rows N          N rows (n int4, t text); every seventh t is null
//	echo            one row of one text column per bound parameter
//	error CODE TEXT an error at position 7 with detail and hint
//	notice TEXT     a notice and a warning
//	set NAME VALUE  reports a parameter
//	begin, commit, rollback
//	sleep           waits until it is cancelled
//	spin MS         takes its time
//	idle MS         bounds the silence that follows
//	panic           panics
//	copyin          counts the bytes and messages of COPY FROM
//	copyin N        stops after N bytes with an error
//	copyout N       N rows of COPY TO
package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
)

// Fake makes fake sessions and counts those that are open.
type Fake struct {
	Sessions atomic.Int64
	Later    atomic.Int64 // Syncs that were left for later
	// Hold leaves all Syncs in the loop for later, until Land.
	Hold atomic.Bool
	mu   sync.Mutex
	left []func() // what they wait for
	// Started is the start-up of the last session.
	Started atomic.Pointer[pgwire.Startup]
	// Sleeping gets a value when a sleep begins.
	Sleeping chan struct{}
}

// NewFake makes a maker of fake sessions.
func NewFake() *Fake { return &Fake{Sleeping: make(chan struct{}, 64)} }

// Open implements pgwire.Sessions.
func (f *Fake) Open(_ context.Context, st pgwire.Startup, client pgwire.Client) (pgwire.Session, error) {
	if st.Database == "missing" {
		return nil, sqlstate.Errorf(sqlstate.InvalidCatalogName, "database \"%s\" does not exist", st.Database)
	}
	f.Sessions.Add(1)
	f.Started.Store(&st)
	client.ParameterStatus("server_version", "16.10 (fake)")
	client.ParameterStatus("client_encoding", "UTF8")
	client.ParameterStatus("standard_conforming_strings", "on")
	return &fakeSession{fake: f, tx: 'I', stmts: map[string]*fakeStmt{}, portals: map[string]*fakePortal{}}, nil
}

type fakeStmt struct {
	sql    string
	params []uint32
	cols   []pgwire.Column
}

type fakePortal struct {
	stmt    *fakeStmt
	params  [][]byte
	formats []int16
	at      int // rows given
}

type fakeSession struct {
	fake    *Fake
	tx      byte
	stmts   map[string]*fakeStmt
	portals map[string]*fakePortal
	batch   *vec.Batch
	idle    time.Duration
	prompt  bool
	done    func()        // of Prompt
	onDisk  chan struct{} // of the Sync that was left for later
}

// Prompt implements pgwire.Prompter.
func (s *fakeSession) Prompt(on bool, done func()) { s.prompt, s.done = on, done }

// WriteOut implements pgwire.Prompter.
func (s *fakeSession) WriteOut(here bool) {
	f := s.fake
	switch {
	case f.Hold.Load():
	case here:
		f.Land()
	default:
		go func() {
			time.Sleep(time.Duration(rand.IntN(1000)) * time.Microsecond)
			f.Land()
		}()
	}
}

// Land ends the wait of the Syncs that were left, and says how many these were.
func (f *Fake) Land() int {
	f.mu.Lock()
	left := f.left
	f.left = nil
	f.mu.Unlock()
	for _, l := range left {
		l()
	}
	return len(left)
}

// Sync implements pgwire.Session. In the loop some of them are left for later.
func (s *fakeSession) Sync(context.Context) error {
	switch {
	case s.onDisk != nil && s.prompt:
		select {
		case <-s.onDisk:
		default:
			panic("Sync comes again before the commit is on disk")
		}
	case s.onDisk != nil:
		s.WriteOut(true)
		<-s.onDisk
	case s.prompt && (rand.IntN(3) == 0 || s.fake.Hold.Load()):
		onDisk, done := make(chan struct{}), s.done
		s.onDisk = onDisk
		s.fake.Later.Add(1)
		s.fake.mu.Lock()
		s.fake.left = append(s.fake.left, func() {
			close(onDisk)
			done()
		})
		s.fake.mu.Unlock()
		return pgwire.ErrLater
	}
	s.onDisk = nil
	return nil
}

// waits says that a statement is none for the server's loop.
func (s *fakeSession) waits(sql string) bool {
	verb, arg, _ := strings.Cut(sql, " ")
	switch verb {
	case "rows":
		n, _ := strconv.Atoi(arg)
		return s.prompt && n > 1000
	case "echo", "error", "notice", "panic", "spin":
		return false
	}
	return s.prompt
}

var rowCols = []pgwire.Column{{Name: "n", T: types.Int4, TableOID: 1, Attr: 1}, {Name: "t", T: types.Text}}

const rowsPerBatch = 100

func (s *fakeSession) Simple(ctx context.Context, sql string, out pgwire.Results) error {
	if strings.Trim(sql, "; \n") == "" {
		return out.EmptyQuery()
	}
	if s.waits(sql) || s.prompt && strings.Contains(sql, ";") {
		return pgwire.ErrNotPrompt
	}
	for _, q := range strings.Split(sql, ";") {
		if q = strings.TrimSpace(q); q == "" {
			continue
		}
		p := &fakePortal{stmt: &fakeStmt{sql: q, cols: colsOf(q, 0)}}
		if _, err := s.run(ctx, p, 0, out); err != nil {
			s.fail()
			return err
		}
	}
	return nil
}

func (s *fakeSession) fail() {
	if s.tx == 'T' {
		s.tx = 'E'
	}
}

func colsOf(sql string, params int) []pgwire.Column {
	verb, _, _ := strings.Cut(sql, " ")
	switch verb {
	case "rows":
		return rowCols
	case "echo":
		cols := []pgwire.Column{}
		for i := range params {
			cols = append(cols, pgwire.Column{Name: "p" + strconv.Itoa(i+1), T: types.Text})
		}
		return cols
	}
	return nil
}

func (s *fakeSession) run(ctx context.Context, p *fakePortal, maxRows int, out pgwire.Results) (bool, error) {
	verb, arg, _ := strings.Cut(p.stmt.sql, " ")
	if s.tx == 'E' && verb != "rollback" {
		return false, sqlstate.Errorf(sqlstate.InFailedSQLTransaction, "current transaction is aborted, commands ignored until end of transaction block")
	}
	n, _ := strconv.Atoi(arg)
	switch verb {
	case "rows":
		return s.rows(p, n, maxRows, out)
	case "echo":
		if err := out.RowDescription(p.stmt.cols, p.formats); err != nil {
			return false, err
		}
		b := &vec.Batch{N: 1}
		for _, v := range p.params {
			c := vec.New(types.Text, 1)
			if v == nil {
				c.AppendNull()
			} else {
				c.AppendString(string(v))
			}
			b.Cols = append(b.Cols, c)
		}
		if err := out.Batch(b); err != nil {
			return false, err
		}
		return false, out.CommandComplete("SELECT 1")
	case "error":
		code, text, _ := strings.Cut(arg, " ")
		return false, sqlstate.Errorf(sqlstate.Code(code), "%s", text).WithDetail("some detail").WithHint("some hint").At(7)
	case "notice":
		_ = out.Notice(sqlstate.Errorf(sqlstate.SuccessfulCompletion, "%s", arg))
		_ = out.Notice(sqlstate.Errorf(sqlstate.Warning, "%s", arg))
	case "set":
		k, v, _ := strings.Cut(arg, " ")
		out.ParameterStatus(k, v)
	case "begin":
		s.tx = 'T'
	case "commit", "rollback":
		s.tx = 'I'
	case "sleep":
		s.fake.Sleeping <- struct{}{}
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("sleeping: %w", ctx.Err())
		case <-time.After(30 * time.Second):
			return false, errors.New("nobody cancelled")
		}
	case "spin":
		time.Sleep(time.Duration(n) * time.Millisecond)
	case "idle":
		s.idle = time.Duration(n) * time.Millisecond
	case "panic":
		panic("the fake was told to")
	case "copyin":
		return false, s.copyIn(n, out)
	case "copyout":
		sink, err := out.CopyOut(0, 2)
		if err != nil {
			return false, err
		}
		for i := range n {
			if _, err := fmt.Fprintf(sink, "%d\trow %d\n", i, i); err != nil {
				return false, err
			}
		}
		if err := sink.Close(); err != nil {
			return false, err
		}
		return false, out.CommandComplete("COPY " + arg)
	default:
		return false, sqlstate.Errorf(sqlstate.SyntaxError, "syntax error at or near \"%s\"", verb).At(1)
	}
	return false, out.CommandComplete(strings.ToUpper(verb))
}

func (s *fakeSession) copyIn(stop int, out pgwire.Results) error {
	src, err := out.CopyIn(0, 2)
	if err != nil {
		return err
	}
	total, sum := 0, 0
	for {
		p, err := src.Next()
		if err == io.EOF {
			return out.CommandComplete(fmt.Sprintf("COPY %d/%d", total, sum))
		}
		if err != nil {
			return err
		}
		total += len(p)
		for _, b := range p {
			sum += int(b)
		}
		if stop > 0 && total >= stop {
			return sqlstate.Errorf(sqlstate.BadCopyFileFormat, "enough")
		}
	}
}

func (s *fakeSession) rows(p *fakePortal, n, maxRows int, out pgwire.Results) (bool, error) {
	if err := out.RowDescription(p.stmt.cols, p.formats); err != nil {
		return false, err
	}
	if s.batch == nil {
		s.batch = vec.NewBatch([]types.T{types.Int4, types.Text})
	}
	given := 0
	for p.at < n {
		if maxRows > 0 && given == maxRows {
			return true, nil
		}
		k := min(n-p.at, rowsPerBatch)
		if maxRows > 0 {
			k = min(k, maxRows-given)
		}
		b := s.batch
		b.Reset()
		for i := p.at; i < p.at+k; i++ {
			b.Cols[0].AppendDatum(types.NewInt(int64(i)))
			if i%7 == 6 {
				b.Cols[1].AppendNull()
			} else {
				b.Cols[1].AppendString("row")
			}
		}
		b.N = k
		if err := out.Batch(b); err != nil {
			return false, err
		}
		p.at += k
		given += k
	}
	if given == 1 {
		return false, out.CommandComplete("SELECT 1")
	}
	return false, out.CommandComplete("SELECT " + strconv.Itoa(given))
}

func (s *fakeSession) Parse(_ context.Context, name, sql string, oids []uint32) error {
	if strings.HasPrefix(sql, "bad") {
		s.fail()
		return sqlstate.Errorf(sqlstate.SyntaxError, "syntax error at or near \"bad\"").At(1)
	}
	if name != "" && s.stmts[name] != nil {
		s.fail()
		return sqlstate.Errorf(sqlstate.DuplicatePreparedStatement, "prepared statement \"%s\" already exists", name)
	}
	st := &fakeStmt{sql: sql}
	params := len(oids)
	for params < strings.Count(sql, "$") {
		params++
	}
	st.params = append(oids, make([]uint32, params-len(oids))...)
	for i := range st.params {
		if st.params[i] == 0 {
			st.params[i] = types.TextOID
		}
	}
	st.cols = colsOf(sql, params)
	s.stmts[name] = st
	return nil
}

func (s *fakeSession) Bind(_ context.Context, portal, stmt string, _ []int16, params [][]byte, resultFormats []int16) error {
	st := s.stmts[stmt]
	if st == nil {
		s.fail()
		return sqlstate.Errorf(sqlstate.InvalidSQLStatementName, "prepared statement \"%s\" does not exist", stmt)
	}
	p := s.portals[portal]
	if p == nil {
		p = &fakePortal{}
		s.portals[portal] = p
	}
	p.stmt, p.formats, p.at, p.params = st, resultFormats, 0, p.params[:0]
	for _, v := range params {
		if v != nil {
			v = append([]byte{}, v...)
		}
		p.params = append(p.params, v)
	}
	return nil
}

func (s *fakeSession) DescribeStatement(_ context.Context, name string) ([]uint32, []pgwire.Column, error) {
	st := s.stmts[name]
	if st == nil {
		s.fail()
		return nil, nil, sqlstate.Errorf(sqlstate.InvalidSQLStatementName, "prepared statement \"%s\" does not exist", name)
	}
	return st.params, st.cols, nil
}

func (s *fakeSession) DescribePortal(_ context.Context, name string) ([]pgwire.Column, []int16, error) {
	p := s.portals[name]
	if p == nil {
		s.fail()
		return nil, nil, sqlstate.Errorf(sqlstate.InvalidCursorName, "portal \"%s\" does not exist", name)
	}
	return p.stmt.cols, p.formats, nil
}

func (s *fakeSession) Execute(ctx context.Context, portal string, maxRows int, out pgwire.Results) (bool, error) {
	p := s.portals[portal]
	if p == nil {
		s.fail()
		return false, sqlstate.Errorf(sqlstate.InvalidCursorName, "portal \"%s\" does not exist", portal)
	}
	if p.stmt.sql == "" {
		return false, out.EmptyQuery()
	}
	if s.waits(p.stmt.sql) {
		return false, pgwire.ErrNotPrompt
	}
	suspended, err := s.run(ctx, p, maxRows, out)
	if err != nil {
		s.fail()
	}
	return suspended, err
}

func (s *fakeSession) CloseStatement(name string) error { delete(s.stmts, name); return nil }
func (s *fakeSession) ClosePortal(name string) error    { delete(s.portals, name); return nil }
func (s *fakeSession) Env() *types.Env                  { return types.DefaultEnv }
func (s *fakeSession) IdleLimit() (time.Duration, *sqlstate.Error) {
	return s.idle, sqlstate.Errorf("57P05", "terminating connection due to idle-session timeout")
}
func (s *fakeSession) TxStatus() byte { return s.tx }
func (s *fakeSession) Close() error   { s.fake.Sessions.Add(-1); return nil }
