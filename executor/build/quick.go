package build

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// QuickRows is how many rows a plan has at most that NewQuick takes.
const QuickRows = 16

// quickBytesKeep bounds the result that a Quick keeps.
const quickBytesKeep = 16 << 10

// quickBufKeep bounds the memory that it keeps of its rows, or of the strings of a parameter.
const quickBufKeep = 64 << 10

// ErrLarge is of a Quick whose strings take more than it may hold without an account:
// the plan is to be run like any other.
var ErrLarge = errors.New("build: strings of a quick plan are large")

// quickSmall is asked for what is beyond the memory that an expression has for nothing.
func quickSmall(int64) error { return ErrLarge }

// Quick is a small plan made ready once, to be run again and again on its caller's
// goroutine: a few rows of expressions, or a look-up by primary key, under filters
// and projections. It has no pipeline, no job and no account, and its programs and
// vectors are made once. Parameters are columns to it, so that the same programs
// serve all their values.
//
// A Quick is for one goroutine at a time.
type Quick struct {
	scan  *plan.Scan // nil: the rows are those of values
	key   *key
	keyAt []*eval.Program
	found vec.Batch // the looked-up row
	point storage.Point
	asked bool // whether there is a point
	by    *byUnique
	idx   []uint16

	ranged *quickRange // nil: a look-up
	many   *quickKeys  // nil: of one key

	values [][]*eval.Program
	none   vec.Batch // one row of the parameters alone
	made   vec.Batch // the rows of values

	// Programs know a parameter by its place behind the columns of their input.
	params []quickParam
	steps  []quickStep
	// constant is the result of a plan without parameters and tables, once known.
	constant *vec.Batch
}

// quickParam is a parameter's vector, a constant for all rows.
type quickParam struct {
	n   int // $n
	t   types.T
	vec vec.Vec
}

// quickStep is a filter, a choice of columns, an order, a limit, or a projection.
type quickStep struct {
	filter bool
	sort   *quickSort
	limit  *quickLimit
	prog   *eval.Program
	pick   []int
	in     vec.Batch // the columns that come, then the parameters
	out    vec.Batch
}

// NewQuick makes a plan ready, or returns nil when it is not small and simple
// enough, or has expressions that depend on the session or the time.
func NewQuick(root plan.Node) *Quick {
	d := &Quick{}
	if _, err := d.build(root); err != nil {
		return nil
	}
	return d
}

// errNotQuick says that a plan is for Start.
var errNotQuick = &notQuick{}

type notQuick struct{}

func (*notQuick) Error() string { return "build: not a quick plan" }

// Table is the table that a run reads, nil for none.
func (d *Quick) Table() *catalog.Table {
	if d.scan == nil {
		return nil
	}
	return d.scan.Table
}

// build adds the steps of n and of what is below it, and returns n's columns.
func (d *Quick) build(n plan.Node) ([]plan.Column, error) {
	switch n := n.(type) {
	case *plan.Values:
		return d.buildValues(n)
	case *plan.Scan:
		switch {
		case n.Table.Kind != catalog.KindTable:
			return nil, errNotQuick
		case n.KeyIn != nil:
			return d.buildKeys(n)
		case n.ByRow:
			return d.buildRange(n)
		}
		return d.buildLookup(n)
	case *plan.Sort:
		return d.buildSort(n)
	case *plan.Filter:
		cols, err := d.build(n.Input)
		if err != nil {
			return nil, err
		}
		return cols, d.addFilter(n.Pred, cols)
	case *plan.Project:
		cols, err := d.build(n.Input)
		if err != nil {
			return nil, err
		}
		return d.addProject(n.Exprs, cols)
	case *plan.Limit:
		cols, err := d.build(n.Input)
		if err != nil {
			return nil, err
		}
		if d.several() && !n.WithTies {
			return cols, d.addLimit(n)
		}
		// No more rows than it lets pass anyway.
		c, ok := n.Count.(*expr.Const)
		if !ok || !c.D.Valid || c.D.I < 1 || n.Offset != nil || n.WithTies || d.scan == nil && int64(len(d.values)) > c.D.I {
			return nil, errNotQuick
		}
		return cols, nil
	}
	return nil, errNotQuick
}

func (d *Quick) buildValues(n *plan.Values) ([]plan.Column, error) {
	if len(n.Rows) > QuickRows {
		return nil, errNotQuick
	}
	d.values = make([][]*eval.Program, len(n.Rows))
	for _, row := range n.Rows {
		if err := d.prepare(row...); err != nil {
			return nil, err
		}
	}
	for i, row := range n.Rows {
		for _, e := range row {
			p, err := eval.Compile(d.withColumns(e), d.env(nil))
			if err != nil {
				return nil, err
			}
			d.values[i] = append(d.values[i], p)
		}
	}
	for _, c := range n.Cols {
		d.made.Cols = append(d.made.Cols, vec.New(c.T, len(n.Rows)))
	}
	return n.Cols, nil
}

func (d *Quick) buildLookup(n *plan.Scan) ([]plan.Column, error) {
	if n.Key == nil || n.Table.Kind != catalog.KindTable {
		return nil, errNotQuick
	}
	d.scan, d.key = n, newKey(n.Table, keyOrdinals(n))
	if err := d.prepare(n.Key...); err != nil {
		return nil, err
	}
	for _, e := range n.Key {
		p, err := eval.Compile(d.withColumns(e), d.env(nil))
		if err != nil {
			return nil, err
		}
		d.keyAt = append(d.keyAt, p)
	}
	for _, c := range n.Cols {
		d.found.Cols = append(d.found.Cols, vec.New(c.T, 1))
	}
	if rest := beyondKey(n); rest != nil {
		if err := d.addFilter(rest, n.Cols); err != nil {
			return nil, err
		}
	}
	return d.chosen(n), nil
}

// beyondKey is what a look-up's filter asks for besides the key: its conjuncts but for
// those that Key was made of.
func beyondKey(n *plan.Scan) expr.Expr {
	var rest []expr.Expr
	for _, f := range n.Filter {
		for _, f := range expr.Conjuncts(f) {
			ofKey := false
			if call, ok := f.(*expr.Call); ok && call.Op == "=" && len(call.Args) == 2 {
				for k, o := range keyOrdinals(n) {
					for i, a := range call.Args {
						c, ok := a.(*expr.Column)
						at := -1
						if ok {
							at = position(n.Cols, c.ID)
						}
						ofKey = ofKey || at >= 0 && n.Ords[at] == o && call.Args[1-i] == n.Key[k]
					}
				}
			}
			if !ofKey {
				rest = append(rest, f)
			}
		}
	}
	return expr.Conjoin(rest)
}

func (d *Quick) addFilter(pred expr.Expr, cols []plan.Column) error {
	if pred == nil {
		return nil
	}
	if err := d.prepare(pred); err != nil {
		return err
	}
	p, err := eval.CompileFilter(d.withColumns(pred), d.env(cols))
	if err != nil {
		return err
	}
	d.steps = append(d.steps, quickStep{filter: true, prog: p})
	return nil
}

func (d *Quick) addProject(ps []plan.Projection, in []plan.Column) ([]plan.Column, error) {
	cols := make([]plan.Column, len(ps))
	es := make([]expr.Expr, len(ps))
	for i, p := range ps {
		cols[i], es[i] = p.Col, p.Expr
	}
	if err := d.prepare(es...); err != nil {
		return nil, err
	}
	for i, e := range es {
		es[i] = d.withColumns(e)
	}
	p, err := eval.CompileList(es, d.env(in))
	if err != nil {
		return nil, err
	}
	d.steps = append(d.steps, quickStep{prog: p})
	return cols, nil
}

// prepare checks expressions and gives their parameters vectors.
func (d *Quick) prepare(es ...expr.Expr) error {
	ok := true
	for _, e := range es {
		expr.Walk(e, func(e expr.Expr) bool {
			if p, is := e.(*expr.Param); is {
				for i := range d.params {
					if d.params[i].n == p.N {
						ok = ok && d.params[i].t.Same(p.T)
						return true
					}
				}
				d.params = append(d.params, quickParam{n: p.N, t: p.T})
			}
			return ok
		})
		ok = ok && eval.Timeless(d.withColumns(e))
	}
	if !ok {
		return errNotQuick
	}
	return nil
}

// paramColumn is the column id that stands for $n.
func paramColumn(n int) int { return -1<<30 - n }

// withColumns replaces parameters by columns.
func (d *Quick) withColumns(e expr.Expr) expr.Expr {
	return expr.Rewrite(e, func(e expr.Expr) expr.Expr {
		if p, ok := e.(*expr.Param); ok {
			return &expr.Column{ID: paramColumn(p.N), T: p.T}
		}
		return e
	})
}

// env finds columns, and the parameters behind them.
func (d *Quick) env(cols []plan.Column) *eval.Env {
	m := make(map[int]int, len(cols)+len(d.params))
	for i, c := range cols {
		if _, dup := m[c.ID]; !dup {
			m[c.ID] = i
		}
	}
	for i := range d.params {
		m[paramColumn(d.params[i].n)] = len(cols) + i
	}
	return (&eval.Env{Reserve: quickSmall}).WithOrdinals(m)
}

// Points says whether RunPoint may give the rows.
func (d *Quick) Points(s storage.Store) bool {
	if !d.asked && d.scan != nil && d.scan.Unique == nil && !d.several() {
		d.asked = true
		if ps, ok := s.(storage.PointStore); ok {
			d.point = ps.Point(d.scan.Table, d.scan.Ords)
		}
	}
	return d.point != nil
}

// Reads says whether Run can read a snapshot.
func (d *Quick) Reads(snap storage.Snapshot) bool { return d.scan == nil || knows(snap, d.scan.Unique) }

// RunPoint is Run on what is published now, for a plan that holds in the catalog cat;
// ok is false when a snapshot is needed after all.
func (d *Quick) RunPoint(cat *catalog.Version, params []types.Datum) (out *vec.Batch, ok bool, err error) {
	defer sched.Recover(&err)
	if err := d.bind(params); err != nil {
		return nil, true, err
	}
	some, err := d.seek()
	if some && err == nil {
		if ok, err = d.point.Get(cat, &d.key.batch, &d.found); !ok {
			return nil, false, nil
		}
	}
	if err != nil {
		return nil, true, err
	}
	out, err = d.finish(&d.found)
	return out, true, err
}

// RunIn is Run in a transaction whose statements see what is published and its own
// writes; ok is false when a snapshot is needed after all. Call it where Points says so.
func (d *Quick) RunIn(x storage.PointTxn, cat *catalog.Version, params []types.Datum) (out *vec.Batch, ok bool, err error) {
	_, ok, behind := x.ReadsPublished(d.scan.Table.OID)
	if !ok || behind {
		return nil, false, nil
	}
	defer sched.Recover(&err)
	if err := d.bind(params); err != nil {
		return nil, true, err
	}
	some, err := d.seek()
	if some && err == nil {
		switch x.OwnRow(d.scan.Table, d.scan.Ords, &d.key.batch, &d.found) {
		case storage.OwnAsk:
			return nil, false, nil
		case storage.NotOwn:
			if ok, err = d.point.Get(cat, &d.key.batch, &d.found); !ok {
				return nil, false, nil
			}
		}
	}
	if err != nil {
		return nil, true, err
	}
	out, err = d.finish(&d.found)
	return out, true, err
}

// Run gives the rows, lent until the next call. snap is the snapshot to read, when
// there is a table.
func (d *Quick) Run(ctx context.Context, snap storage.Snapshot, params []types.Datum) (out *vec.Batch, err error) {
	if d.constant != nil {
		return d.constant, nil
	}
	defer sched.Recover(&err)
	if err := d.bind(params); err != nil {
		return nil, err
	}
	var b *vec.Batch
	if d.scan != nil {
		b, err = d.lookup(ctx, snap, params)
	} else {
		b, err = d.rows()
	}
	if err != nil {
		return nil, err
	}
	return d.finish(b)
}

// finish runs the steps over rows that were found or made.
func (d *Quick) finish(b *vec.Batch) (_ *vec.Batch, err error) {
	for i := 0; i < len(d.steps) && err == nil; i++ {
		b, err = d.steps[i].run(d, b)
	}
	if err != nil {
		return nil, err
	}
	if d.scan == nil && len(d.params) == 0 && bytesOf(b) <= quickBytesKeep {
		d.constant = &vec.Batch{Cols: b.Cols, Sel: b.Sel, N: b.N}
	}
	return b, nil
}

// Shed lets go of what large values have left, when nobody uses the rows any more: a
// Quick lives as long as its session.
func (d *Quick) Shed() {
	if d.several() {
		shedRows(&d.found)
	}
	for _, c := range d.found.Cols {
		shed(c)
	}
	for _, c := range d.made.Cols {
		shed(c)
	}
	for i := range d.params {
		shed(&d.params[i].vec)
	}
	if d.by != nil {
		for _, c := range d.by.pk.Cols {
			shed(c)
		}
	}
	if d.key != nil {
		for _, c := range d.key.batch.Cols {
			shed(c)
		}
	}
	if d.many != nil {
		d.many.shed()
	}
	for i := range d.steps {
		if s := d.steps[i].sort; s != nil {
			shedRows(&s.rows)
		}
	}
}

// shedRows lets go of the memory of rows where all together they were large.
func shedRows(b *vec.Batch) {
	if 16*b.N*len(b.Cols)+bytesOf(b) <= quickBufKeep {
		return
	}
	for _, c := range b.Cols {
		*c = *vec.New(c.T, 1)
	}
	b.N, b.Sel = 0, nil
}

func shed(v *vec.Vec) {
	n := 0
	for _, b := range v.Bufs {
		n += cap(b)
	}
	if n > quickBufKeep {
		*v = *vec.New(v.T, 1)
	}
}

// bind sets the parameters' vectors.
func (d *Quick) bind(params []types.Datum) error {
	for i := range d.params {
		p := &d.params[i]
		if p.n < 1 || p.n > len(params) {
			return sqlstate.Errorf(sqlstate.UndefinedParameter, "there is no parameter $%d", p.n)
		}
		p.vec.Recycle(p.t)
		p.vec.AppendDatum(params[p.n-1])
		p.vec.Form = vec.Const
	}
	return nil
}

// with adds the parameters to the columns of b.
func (d *Quick) with(in, b *vec.Batch) {
	in.Cols = in.Cols[:0]
	in.N, in.Sel = 1, nil
	if b != nil {
		in.Cols = append(in.Cols, b.Cols...)
		in.N, in.Sel = b.N, b.Sel
	}
	for i := range d.params {
		d.params[i].vec.N = in.N
		in.Cols = append(in.Cols, &d.params[i].vec)
	}
}

// clear forgets the rows that were found.
func (d *Quick) clear() {
	d.found.N, d.found.Sel = 0, nil
	for i, c := range d.found.Cols {
		c.Recycle(d.scan.Cols[i].T)
	}
}

// seek computes the key; false when no row can have it.
func (d *Quick) seek() (bool, error) {
	d.clear()
	d.with(&d.none, nil)
	for i, p := range d.keyAt {
		v, err := p.Eval(&d.none)
		if err != nil {
			return false, err
		}
		if !d.key.put(i, v.Datum(0)) {
			return false, nil
		}
	}
	return true, nil
}

// lookup reads the row of the key, if there is one.
func (d *Quick) lookup(ctx context.Context, snap storage.Snapshot, params []types.Datum) (*vec.Batch, error) {
	rel, err := snap.Relation(d.scan.Table)
	if err != nil {
		return nil, err
	}
	if d.scan.Unique != nil && d.by == nil {
		d.by = newByUnique(d.scan)
	}
	old := debug.SetPanicOnFault(true)
	defer debug.SetPanicOnFault(old)
	if d.ranged != nil {
		d.clear()
		return &d.found, d.scanRange(ctx, rel, params)
	}
	if d.many != nil {
		d.clear()
		return &d.found, d.lookupMany(ctx, snap, rel)
	}
	if ok, err := d.seek(); !ok || err != nil {
		return &d.found, err
	}
	keys := &d.key.batch
	if d.by != nil {
		if keys, err = d.by.keys(ctx, snap, keys); err != nil || keys.N == 0 {
			return &d.found, err
		}
	}
	d.idx, err = rel.Get(ctx, keys, d.scan.Ords, &d.found, d.idx[:0])
	return &d.found, err
}

// rows computes the rows of values.
func (d *Quick) rows() (*vec.Batch, error) {
	for _, c := range d.made.Cols {
		c.Recycle(c.T)
	}
	d.with(&d.none, nil)
	for _, row := range d.values {
		for c, p := range row {
			v, err := p.Eval(&d.none)
			if err != nil {
				return nil, err
			}
			d.made.Cols[c].Copy(v, nil, 1)
		}
	}
	d.made.N, d.made.Sel = len(d.values), nil
	return &d.made, nil
}

func (s *quickStep) run(d *Quick, b *vec.Batch) (*vec.Batch, error) {
	if b.Rows() == 0 && (s.filter || s.sort != nil) {
		return b, nil
	}
	s.out.N, s.out.Sel = b.N, b.Sel
	s.out.Cols = s.out.Cols[:0]
	if s.pick != nil {
		for _, i := range s.pick {
			s.out.Cols = append(s.out.Cols, b.Cols[i])
		}
		return &s.out, nil
	}
	if s.limit != nil {
		return &s.out, s.limit.run(d, b, &s.out)
	}
	d.with(&s.in, b)
	if s.sort != nil {
		return s.sort.run(&s.in, len(b.Cols))
	}
	if s.filter {
		if err := s.prog.Filter(&s.in); err != nil {
			return nil, err
		}
		s.out.Sel = s.in.Sel
		s.out.Cols = append(s.out.Cols, b.Cols...)
		return &s.out, nil
	}
	if b.Rows() == 0 {
		return b, nil // nobody looks at the columns of no rows
	}
	cols, err := s.prog.EvalAll(&s.in)
	if err != nil {
		return nil, err
	}
	s.out.Cols = append(s.out.Cols, cols...)
	return &s.out, nil
}

// bytesOf is about how much memory a result's strings hold.
func bytesOf(b *vec.Batch) int {
	n := 0
	for _, c := range b.Cols {
		for _, buf := range c.Source().Bufs {
			n += cap(buf)
		}
	}
	return n
}
