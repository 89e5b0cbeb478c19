package session

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/stats"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner"
	"github.com/millrace/millrace/planner/bind"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// prepared is a parsed and planned statement. Its plan is made anew when the
// catalog, the search path or the data's bounds have changed what it rests on.
type prepared struct {
	name, sql string
	stmt      *parser.Stmt // nil: empty query
	declared  []uint32     // parameter types the client gave
	oids      []uint32     // parameter types as resolved
	made      int64
	cols      []pgwire.Column

	plan    *plan.Statement
	version uint64 // of the catalog
	path    string
	off     string
	direct  *direct // nil when the plan needs a pipeline
}

// plannedFor gives a plan of p that holds now.
func (s *Session) plannedFor(p *prepared) (*plan.Statement, error) {
	cat := s.catalog()
	path, off := s.set.text("search_path"), s.set.text("millrace.passes_off")
	if p.plan != nil && !p.plan.NoCache && p.path == path && p.off == off && (p.version == cat.Number || stillValid(cat, p.plan)) {
		p.version = cat.Number
		return p.plan, nil
	}
	st, err := s.plan(p, false)
	if err != nil {
		return nil, err
	}
	if p.plan != nil && !sameColumns(p.plan.Columns, st.Columns) && p.name != "" {
		return nil, sqlstate.Errorf(sqlstate.FeatureNotSupported, "cached plan must not change result type")
	}
	p.plan, p.version, p.path, p.off = st, cat.Number, path, off
	p.cols = wireColumns(st.Columns)
	p.direct = newDirect(st)
	p.oids = p.oids[:0]
	for _, t := range st.Params {
		p.oids = append(p.oids, t.OID)
	}
	return st, nil
}

// stillValid: every relation the plan uses is as it was bound.
func stillValid(cat *catalog.Version, st *plan.Statement) bool {
	if st.Utility != nil {
		return false
	}
	for _, o := range st.Objects {
		if t := cat.Table(o.Table); o.Table >= catalog.FirstUserOID && (t == nil || t.SchemaVersion != o.SchemaVersion) {
			return false
		}
	}
	return true
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
	cat := s.catalog()
	ev := s.evalSession()
	env := &bind.Env{
		Catalog: cat, System: s.eng.System.Table, SearchPath: s.searchPath(), Database: s.db, User: s.user.Name,
		ParamTypes: p.declared, Text: p.sql, Types: ev.Types, Settings: s.set.values,
		Stats: func(oid uint32) *stats.Table {
			if declaredBounds {
				return &stats.Table{}
			}
			return s.eng.Store.Stats(oid)
		},
		Fold: func(e expr.Expr) (expr.Expr, error) { return eval.Fold(e, &eval.Env{Session: ev}) },
	}
	st, err := bind.Bind(*p.stmt, env)
	if err != nil {
		return nil, err
	}
	off := map[string]bool{}
	for _, n := range splitList(s.set.text("millrace.passes_off")) {
		off[n] = true
	}
	err = planner.Optimize(st, &planner.Env{
		Stats:     func(t *catalog.Table) *stats.Table { return s.eng.Store.Stats(t.OID) },
		Fold:      func(e expr.Expr) expr.Expr { return folded(e, ev) },
		Sample:    sampler(ev),
		PassesOff: off,
	})
	return st, err
}

// folded evaluates an expression without columns or parameters; one that fails stays,
// to fail when it runs.
func folded(e expr.Expr, ev *eval.Session) expr.Expr {
	f, err := eval.Fold(e, &eval.Env{Session: ev})
	if err != nil {
		return e
	}
	return f
}

// sampler runs predicates over a table's sample.
func sampler(ev *eval.Session) stats.Sampler {
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
		f, err := eval.CompileFilter(pred, &eval.Env{Session: ev})
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
	p, err := s.prepare(name, sql, slices.Clone(oids))
	if err != nil {
		return s.fail(err)
	}
	s.stmts[name] = p
	return nil
}

// fail marks a block failed by an error outside Execute.
func (s *Session) fail(err error) error {
	if s.block {
		s.failed = true
	} else if s.txn != nil {
		s.rollback()
	}
	return err
}

// prepare parses one statement and plans it as far as its kind wants it.
func (s *Session) prepare(name, sql string, oids []uint32) (*prepared, error) {
	p := &prepared{name: name, sql: sql, declared: oids, made: micros(time.Now())}
	stmts, err := parser.Parse(sql)
	if err != nil {
		return nil, err
	}
	if len(stmts) > 1 {
		return nil, sqlstate.Errorf(sqlstate.SyntaxError, "cannot insert multiple commands into a prepared statement")
	}
	if len(stmts) == 0 {
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
	if p.stmt == nil {
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
