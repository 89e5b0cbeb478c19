package session

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner"
	"github.com/millrace/millrace/planner/bind"
	"github.com/millrace/millrace/planner/cache"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// prepared is a planned statement. Its plan is made anew when the catalog, the
// search path or the data have changed what it rests on. It is parsed only when a
// plan has to be made.
type prepared struct {
	name, sql string
	stmt      *parser.Stmt
	empty     bool     // there is no statement in the text
	whole     bool     // the text is this statement alone
	declared  []uint32 // parameter types the client gave
	oids      []uint32 // parameter types as resolved
	made      int64
	cols      []pgwire.Column

	plan   *plan.Statement
	known  *knownPlan
	direct *direct // known's insert
	// lits are the values of the plan's parameters when these are literals of the
	// text, which then has no others.
	lits []types.Datum
	cat  *catalog.Version
	path string
	off  string
	user uint32
}

// values are the parameters to run with.
func (p *prepared) values(params []types.Datum) []types.Datum {
	if p.lits != nil {
		return p.lits
	}
	return params
}

// knownPlan is what a session has made of a plan, which may be that of many
// statements.
type knownPlan struct {
	cols   []pgwire.Column
	oids   []uint32
	quick  *build.Quick // nil when the plan is not for it
	insert *direct      // likewise
	change *build.QuickChange
	// repeats: see build.Repeats.
	repeats bool
}

// knownPlansMax bounds what a session keeps of plans that none of its statements may
// have any more.
const knownPlansMax = 256

// know finds or makes what the session has of a plan.
func (s *Session) know(st *plan.Statement) *knownPlan {
	if k := s.known[st]; k != nil {
		return k
	}
	k := &knownPlan{cols: wireColumns(st.Columns)}
	for _, t := range st.Params {
		k.oids = append(k.oids, t.OID)
	}
	if st.Root != nil {
		if !st.Writes && len(st.Assume) == 0 {
			k.quick = build.NewQuick(st.Root)
		}
		k.repeats = build.Repeats(st.Root)
		k.insert, k.change = newDirect(st), build.NewQuickChange(st)
	}
	if s.known == nil || len(s.known) >= knownPlansMax {
		s.known = map[*plan.Statement]*knownPlan{}
	}
	if !st.NoCache && st.Root != nil {
		s.known[st] = k
	}
	return k
}

// plannedFor gives a plan of p that holds now.
func (s *Session) plannedFor(p *prepared) (*plan.Statement, error) {
	cat, q := s.catalog(), s.set.quick()
	if p.plan != nil && !p.plan.NoCache && p.path == s.pathKey() && p.off == q.passesOff && p.user == s.user.OID &&
		(p.cat == cat || s.stillValid(cat, p.plan)) && !s.outgrown(p.plan) {
		p.cat = cat
		return p.plan, nil
	}
	if s.prompt {
		return nil, pgwire.ErrNotPrompt
	}
	st, lits, err := s.shared(p, cat)
	if err != nil {
		return nil, err
	}
	if p.plan != nil && !sameColumns(p.plan.Columns, st.Columns) && p.name != "" {
		return nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "cached plan must not change result type")
	}
	s.adopt(p, cat, st, lits)
	return st, nil
}

// adopt makes st the plan of p.
func (s *Session) adopt(p *prepared, cat *catalog.Version, st *plan.Statement, lits []types.Datum) {
	q := s.set.quick()
	k := s.know(st)
	p.plan, p.lits, p.known, p.direct, p.cols, p.oids = st, lits, k, k.insert, k.cols, k.oids
	p.cat, p.path, p.off, p.user = cat, s.pathKey(), q.passesOff, s.user.OID
}

// sharedTextMax is the longest text whose plan is shared.
const sharedTextMax = 32 << 10

// shared takes a plan of p from the cache of all sessions, or makes one and puts it
// there. A transaction that has changed the catalog, or reads an old one, has no part
// in it.
func (s *Session) shared(p *prepared, cat *catalog.Version) (*plan.Statement, []types.Datum, error) {
	c, q := s.eng.Plans, s.set.quick()
	if c == nil || !q.cache || !p.whole || len(p.sql) > sharedTextMax || p.stmt != nil && p.stmt.Tuples > 0 || cat != s.eng.Store.Catalog() {
		st, err := s.plan(p, false)
		return st, nil, err
	}
	k := s.cacheKey(p, cat)
	if p.stmt == nil || p.plan != nil { // else fromCache has looked
		if st, lits, ok := c.Get(k, s.Env()); ok && !s.outgrown(st) {
			return st, lits, nil
		}
	}
	var slots map[int]*bind.Slot
	if len(p.declared) == 0 {
		slots = cache.Slots(p.sql)
	}
	st, used, err := s.planSlots(p, slots)
	if err != nil {
		return nil, nil, err
	}
	if !used {
		slots = nil
	}
	lits, ok := c.Put(k, st, slots, s.Env())
	if !ok && used {
		st, err = s.plan(p, false)
		return st, nil, err
	}
	return st, lits, nil
}

func (s *Session) cacheKey(p *prepared, cat *catalog.Version) cache.Key {
	q := s.set.quick()
	k := cache.Key{Text: p.sql, Database: s.db, Role: s.user.Name, SearchPath: s.pathKey(), Settings: q.planning, Version: cat.Number}
	if len(p.declared) > 0 {
		k.Params = oidsText(p.declared)
	}
	return k
}

func oidsText(oids []uint32) string {
	b := make([]byte, 0, 4*len(oids))
	for _, o := range oids {
		b = binary.LittleEndian.AppendUint32(b, o)
	}
	return string(b)
}

// planSlots plans p with literals taken out, where the plan is not one whose choice
// depends on them; used says whether there are such in the plan.
func (s *Session) planSlots(p *prepared, slots map[int]*bind.Slot) (st *plan.Statement, used bool, err error) {
	if slots != nil {
		st, err := s.bound(p, slots, false)
		for _, x := range slots {
			used = used || x.Used
		}
		if err == nil && used && plain(st.Root) {
			return st, true, s.optimize(st)
		}
		if err == nil && !used {
			return st, false, s.optimize(st)
		}
	}
	st, err = s.plan(p, false)
	return st, false, err
}

// plain says whether a plan as bound has no choices in which the values of literals
// would count: one table at most, nothing joined, grouped or sorted.
func plain(n plan.Node) bool {
	if n == nil {
		return false
	}
	switch n.(type) {
	case *plan.Scan, *plan.Values, *plan.Filter, *plan.Project, *plan.Limit, *plan.Insert, *plan.Update, *plan.Delete:
	default:
		return false
	}
	ok := true
	plan.MapExprs(n, func(e expr.Expr) expr.Expr {
		expr.Walk(e, func(e expr.Expr) bool {
			if _, sub := e.(*plan.Subquery); sub {
				ok = false
			}
			return ok
		})
		return e
	})
	for _, c := range n.Children() {
		ok = ok && plain(c)
	}
	return ok
}

// stillValid: every relation the plan uses is as it was bound, and no other has taken
// its name since.
func (s *Session) stillValid(cat *catalog.Version, st *plan.Statement) bool {
	if st.Utility != nil {
		return false
	}
	for _, o := range st.Objects {
		if o.Table < catalog.FirstUserOID {
			continue
		}
		t := cat.Table(o.Table)
		if t == nil || t.SchemaVersion != o.SchemaVersion {
			return false
		}
		for _, sch := range s.resolvePath().oids {
			if sch == t.Schema {
				break
			}
			if cat.TableNamed(sch, t.Name) != nil {
				return false
			}
		}
	}
	return true
}

// outgrown says whether tables are now so much larger or smaller than they were when
// the plan was chosen that another may be better.
func (s *Session) outgrown(st *plan.Statement) bool {
	if s.prompt && len(st.Sizes) > 0 {
		return true // none that is prompt has any, and to count rows may take a while
	}
	for _, z := range st.Sizes {
		now := s.eng.Store.Stats(z.Table).Rows
		if now > 2*z.Rows+1000 || z.Rows > 2*now+1000 {
			return true
		}
	}
	return false
}

func sameColumns(a, b []plan.Column) bool {
	return slices.EqualFunc(a, b, func(x, y plan.Column) bool { return x.T.SameSQL(y.T) && x.Name == y.Name })
}

func wireColumns(cs []plan.Column) []pgwire.Column {
	if cs == nil {
		return nil
	}
	out := make([]pgwire.Column, len(cs))
	for i, c := range cs {
		out[i] = pgwire.Column{Name: c.Name, TableOID: c.Table, Attr: c.Attr, T: c.T}
	}
	return out
}

// plan binds and optimizes. declaredBounds leaves out what statistics say of value
// ranges, for a plan that must hold whatever the data.
func (s *Session) plan(p *prepared, declaredBounds bool) (*plan.Statement, error) {
	st, err := s.bound(p, nil, declaredBounds)
	if err != nil {
		return nil, err
	}
	return st, s.optimize(st)
}

// bound parses, if that is still to be done, and binds.
func (s *Session) bound(p *prepared, slots map[int]*bind.Slot, declaredBounds bool) (*plan.Statement, error) {
	if p.stmt == nil {
		stmts, err := parser.Parse(p.sql)
		if err != nil {
			return nil, err
		}
		p.stmt = &stmts[0]
	}
	ev := s.evalSession()
	return bind.Bind(*p.stmt, &bind.Env{
		Catalog: s.catalog(), System: s.eng.System.Table, SearchPath: s.searchPath(), Temp: s.tempSchema(), Database: s.db, User: s.user.Name,
		ParamTypes: p.declared, Text: p.sql, Types: ev.Types, Settings: s.set.values, Slots: slots,
		Prepared: func(name string) ([]types.T, bool) {
			p := s.stmts[name]
			if p == nil || p.empty || p.plan == nil {
				return nil, false
			}
			return p.plan.Params, true
		},
		Stats: func(oid uint32) *stats.Table {
			if declaredBounds {
				return &stats.Table{}
			}
			return s.eng.Store.Stats(oid)
		},
		Fold:  func(e expr.Expr) (expr.Expr, error) { return eval.Fold(e, s.foldEnv(ev)) },
		Ended: s.givenUp,
	})
}

func (s *Session) optimize(st *plan.Statement) error {
	ev := s.evalSession()
	off := map[string]bool{}
	for _, n := range splitList(s.set.quick().passesOff) {
		off[n] = true
	}
	return planner.Optimize(st, &planner.Env{
		Stats: func(t *catalog.Table) *stats.Table {
			st := s.eng.Store.Stats(t.OID)
			if t.IsBinlog { // it has other values than the table
				return &stats.Table{Rows: st.Rows}
			}
			return st
		},
		Fold:      func(e expr.Expr) expr.Expr { return folded(e, s.foldEnv(ev)) },
		Sample:    sampler(s.foldEnv(ev)),
		PassesOff: off,
		Ended:     s.givenUp,
	})
}

// foldEnv is what constants are folded with: what takes long ends with the message.
func (s *Session) foldEnv(ev *eval.Session) *eval.Env {
	return &eval.Env{Session: ev, Ended: func() bool { return s.givenUp() != nil }}
}

// givenUp is the error of a message that was cancelled while its statement is planned.
func (s *Session) givenUp() error {
	if s.asks == nil || s.asks.Err() == nil {
		return nil
	}
	return sched.Canceled(s.asks)
}

// folded evaluates an expression without columns or parameters; one that fails stays,
// to fail when it runs.
func folded(e expr.Expr, env *eval.Env) expr.Expr {
	f, err := eval.Fold(e, env)
	if err != nil {
		return e
	}
	return f
}

// sampler runs predicates over a table's sample.
func sampler(env *eval.Env) stats.Sampler {
	return func(t *stats.Table, pred expr.Expr) (float64, bool) {
		if len(t.Sample) == 0 {
			return 0, false
		}
		used := map[int]bool{}
		expr.Columns(pred, used)
		width := len(t.Sample[0])
		b := &vec.Batch{Cols: make([]*vec.Vec, width)}
		ts := map[int]types.T{}
		expr.Walk(pred, func(e expr.Expr) bool {
			if c, ok := e.(*expr.Column); ok {
				ts[c.ID] = c.T
			}
			return true
		})
		n := min(len(t.Sample), vec.Size)
		for o := range used {
			if o < 0 || o >= width {
				return 0, false
			}
			v := vec.New(ts[o], n)
			for _, r := range t.Sample[:n] {
				v.AppendDatum(r[o])
			}
			b.Cols[o] = v
		}
		b.N = n
		f, err := eval.CompileFilter(pred, env)
		if err != nil {
			return 0, false
		}
		if err := f.Filter(b); err != nil {
			return 0, false
		}
		return float64(b.Rows()) / float64(n), true
	}
}

// holds checks what a plan assumes of the data against the snapshot it will read.
func holds(st *plan.Statement, snap storage.Snapshot) bool {
	for _, a := range st.Assume {
		t := snap.Catalog().Table(a.Table)
		if t == nil || a.Ordinal >= len(t.Columns) {
			return false
		}
		rel, err := snap.Relation(t)
		if err != nil {
			return false
		}
		lo, hi := rel.Bounds(a.Ordinal)
		if !lo.Valid && !hi.Valid {
			if n, _ := rel.RowCount(); n > 0 {
				return false
			}
			continue
		}
		if digits(t.Columns[a.Ordinal].T, lo) > a.Prec || digits(t.Columns[a.Ordinal].T, hi) > a.Prec {
			return false
		}
	}
	return true
}

// digits counts the decimal digits of an unscaled value.
func digits(t types.T, d types.Datum) int {
	if !d.Valid {
		return types.NumericDigitsI128 + 1
	}
	v := types.Int128{Lo: uint64(d.I), Hi: d.I >> 63}
	if t.Layout == types.LayoutI128 {
		v = d.I128()
	}
	if v.Hi != 0 && v.Hi != -1 || v.Hi == 0 && int64(v.Lo) < 0 || v.Hi == -1 && int64(v.Lo) >= 0 {
		return types.NumericDigitsI128
	}
	n, x := 0, int64(v.Lo)
	for x != 0 {
		x /= 10
		n++
	}
	return n
}

// Parse implements pgwire.Session.
func (s *Session) Parse(ctx context.Context, name, sql string, oids []uint32) (err error) {
	if name != "" && s.stmts[name] != nil {
		return s.fail(sqlstate.Errorf(sqlstate.DuplicatePreparedStatement, "prepared statement \"%s\" already exists", name))
	}
	s.touch()
	s.asks = ctx
	defer func() { s.asks = nil }()
	p, err := s.prepare(name, sql, slices.Clone(oids))
	if err != nil {
		return s.fail(err)
	}
	s.stmts[name] = p
	return nil
}

// fail marks a block failed by an error outside Execute.
func (s *Session) fail(err error) error {
	switch {
	case err == pgwire.ErrNotPrompt:
	case s.block:
		s.failBlock()
	default:
		s.rollback()
	}
	return err
}

// prepare parses one statement and plans it as far as its kind wants it.
func (s *Session) prepare(name, sql string, oids []uint32) (*prepared, error) {
	p := &prepared{name: name, sql: sql, whole: true, declared: oids, made: micros(time.Now())}
	if !(s.block && s.failed) && s.fromCache(p) {
		return p, nil
	}
	if s.prompt {
		return nil, pgwire.ErrNotPrompt
	}
	stmts, err := parser.Parse(sql)
	if err != nil {
		return nil, err
	}
	if len(stmts) > 1 {
		return nil, sqlstate.Errorf(sqlstate.SyntaxError, "cannot insert multiple commands into a prepared statement")
	}
	if len(stmts) == 0 {
		p.empty = true
		return p, nil
	}
	p.stmt = &stmts[0]
	if s.block && s.failed {
		st, err := s.plan(p, false)
		if err != nil || !allowedWhenFailed(st.Utility) {
			return nil, errFailed
		}
	}
	_, err = s.plannedFor(p)
	return p, err
}

// fromCache gives p a plan that another statement of the same text has made; false if
// there is none.
func (s *Session) fromCache(p *prepared) bool {
	c, q := s.eng.Plans, s.set.quick()
	cat := s.catalog()
	if c == nil || !q.cache || len(p.sql) > sharedTextMax || cat != s.eng.Store.Catalog() {
		return false
	}
	k := s.cacheKey(p, cat)
	st, lits, ok := c.Get(k, s.Env())
	if !ok || s.outgrown(st) {
		return false
	}
	s.adopt(p, cat, st, lits)
	return true
}

func (s *Session) stmtNamed(name string) (*prepared, error) {
	p := s.stmts[name]
	if p == nil {
		if name == "" {
			return nil, sqlstate.Errorf(sqlstate.InvalidSQLStatementName, "unnamed prepared statement does not exist")
		}
		return nil, sqlstate.Errorf(sqlstate.InvalidSQLStatementName, "prepared statement \"%s\" does not exist", name)
	}
	return p, nil
}

// DescribeStatement implements pgwire.Session.
func (s *Session) DescribeStatement(ctx context.Context, name string) ([]uint32, []pgwire.Column, error) {
	p, err := s.stmtNamed(name)
	if err != nil {
		return nil, nil, s.fail(err)
	}
	if p.empty {
		return nil, nil, nil
	}
	if s.block && s.failed && !allowedWhenFailed(p.plan.Utility) {
		return nil, nil, errFailed
	}
	if _, err := s.plannedFor(p); err != nil {
		return nil, nil, s.fail(err)
	}
	return p.oids, s.columnsOf(p), nil
}

// columnsOf is the row description of a statement, also of utility statements.
func (s *Session) columnsOf(p *prepared) []pgwire.Column {
	if p.plan == nil {
		return nil
	}
	if x, ok := p.plan.Utility.(*plan.Session); ok && x.Kind == plan.ShowVar {
		return showColumns(x.Name)
	}
	if x, ok := p.plan.Utility.(*plan.Session); ok && x.Kind == plan.FetchCursor {
		if q := s.portals[x.Name]; q != nil {
			return q.cols
		}
		return nil
	}
	if x, ok := p.plan.Utility.(*plan.Session); ok && x.Kind == plan.Execute {
		if q := s.stmts[strings.ToLower(x.Name)]; q != nil {
			return s.columnsOf(q)
		}
		if q := s.stmts[x.Name]; q != nil {
			return s.columnsOf(q)
		}
		return nil
	}
	if _, ok := p.plan.Utility.(*plan.Explain); ok {
		return explainColumns
	}
	return p.cols
}

// CloseStatement implements pgwire.Session.
func (s *Session) CloseStatement(name string) error {
	delete(s.stmts, name)
	return nil
}
