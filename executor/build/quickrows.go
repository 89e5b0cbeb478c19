package build

import (
	"context"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/sched"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// A Quick of several rows reads at most so many, and so many bytes of strings, since it
// keeps vectors for them: of more it says ErrLarge, and so it does for some runs after.
const (
	quickRowsMax   = 256
	quickBytesMax  = 256 << 10
	quickLargeRuns = 15
)

// quickRange reads a narrow range of a row tablet's key.
type quickRange struct {
	filter []expr.Expr // conjuncts in ordinals
	spec   catalog.ScanSpec
	large  int // for how many runs the range is taken for large
}

// RowsMax is how many rows a run gives at most.
func (d *Quick) RowsMax() int {
	if d.several() {
		return quickRowsMax
	}
	return QuickRows
}

// Reading says what a run reads.
func (d *Quick) Reading() string {
	switch {
	case d.many != nil:
		return "look-up of keys"
	case d.ranged != nil:
		return "range of the key"
	}
	return "look-up by key"
}

// several says whether it reads more than one row of a table.
func (d *Quick) several() bool { return d.ranged != nil || d.many != nil }

// buildRange has the scan read by range.
func (d *Quick) buildRange(n *plan.Scan) ([]plan.Column, error) {
	if n.Table.IsBinlog || len(n.Runtime) > 0 {
		return nil, errNotQuick
	}
	ordinal := make(map[int]int, len(n.Cols))
	for i, c := range n.Cols {
		ordinal[c.ID] = n.Ords[i]
	}
	r := &quickRange{spec: catalog.ScanSpec{Cols: slices.Clone(n.Ords), ByRow: true, Limit: -1}}
	if err := d.prepare(n.Filter...); err != nil {
		return nil, err
	}
	for _, f := range n.Filter {
		for _, f := range expr.Conjuncts(f) {
			r.filter = append(r.filter, expr.Rewrite(f, func(e expr.Expr) expr.Expr {
				if c, ok := e.(*expr.Column); ok {
					return &expr.Column{ID: ordinal[c.ID], T: c.T, Name: c.Name}
				}
				return e
			}))
		}
	}
	d.scan, d.ranged = n, r
	for _, c := range n.Cols {
		d.found.Cols = append(d.found.Cols, vec.New(c.T, 1))
	}
	// The reader applies what it can of the filter; this is all of it.
	if err := d.addFilter(expr.Conjoin(n.Filter), n.Cols); err != nil {
		return nil, err
	}
	return d.chosen(n), nil
}

// chosen adds the step that leaves the columns of a scan that are output.
func (d *Quick) chosen(n *plan.Scan) []plan.Column {
	if n.Out == nil {
		return n.Cols
	}
	cols := make([]plan.Column, len(n.Out))
	for i, k := range n.Out {
		cols[i] = n.Cols[k]
	}
	d.steps = append(d.steps, quickStep{pick: n.Out})
	return cols
}

// scanRange reads the rows of the range into d.found.
func (d *Quick) scanRange(ctx context.Context, rel storage.Relation, params []types.Datum) (err error) {
	r := d.ranged
	if r.large > 0 {
		r.large--
		return ErrLarge
	}
	defer func() {
		if err == ErrLarge {
			r.large = quickLargeRuns
		}
	}()
	b := &builder{env: &Env{Eval: &eval.Env{Params: params}}}
	r.spec.Filter = r.spec.Filter[:0]
	exact := true
	for _, f := range r.filter {
		f = dateBounds(b.bindConstants(f))
		if b.env.simple(f) {
			r.spec.Filter = append(r.spec.Filter, f)
		} else {
			exact = false
		}
	}
	r.spec.Limit, r.spec.First, r.spec.Last = -1, 0, d.scan.Last
	if exact {
		r.spec.First = b.first(d.scan)
		if r.spec.Limit = quickRowsMax + 1; d.scan.Limit >= 0 {
			r.spec.Limit = min(r.spec.Limit, d.scan.Limit)
		}
	}
	splits, _, err := rel.Splits(ctx, &r.spec)
	if err != nil || len(splits) == 0 {
		return err
	}
	rd, err := rel.Reader(&r.spec)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := rd.Close(); err == nil {
			err = cerr
		}
	}()
	for _, s := range splits {
		if err := rd.Open(s); err != nil {
			return err
		}
		for {
			in, err := rd.Next()
			if err != nil {
				return err
			}
			if in == nil {
				break
			}
			n := in.Rows()
			if d.found.N+n > quickRowsMax {
				return ErrLarge
			}
			for i, c := range d.found.Cols {
				c.Copy(in.Cols[i], in.Sel, in.N)
			}
			d.found.N += n
			if bytesOf(&d.found) > quickBytesMax {
				return ErrLarge
			}
			if r.spec.Limit >= 0 && int64(d.found.N) >= r.spec.Limit {
				return nil
			}
			if err := sched.Canceled(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// quickSort orders the rows that come.
type quickSort struct {
	keys  []plan.SortKey
	prog  *eval.Program // the keys' values
	limit int64
	order []uint16
	rows  vec.Batch
}

func (d *Quick) buildSort(n *plan.Sort) ([]plan.Column, error) {
	cols, err := d.build(n.Input)
	if err != nil {
		return nil, err
	}
	if !d.several() {
		return nil, errNotQuick
	}
	es := make([]expr.Expr, len(n.Keys))
	for i, k := range n.Keys {
		es[i] = k.Expr
	}
	if err := d.prepare(es...); err != nil {
		return nil, err
	}
	for i, e := range es {
		es[i] = d.withColumns(e)
	}
	p, err := eval.CompileList(es, d.env(cols))
	if err != nil {
		return nil, err
	}
	d.steps = append(d.steps, quickStep{sort: &quickSort{keys: n.Keys, prog: p, limit: n.Limit}})
	return cols, nil
}

// run orders the rows of in, whose columns from n on are parameters.
func (s *quickSort) run(in *vec.Batch, n int) (*vec.Batch, error) {
	vals, err := s.prog.EvalAll(in)
	if err != nil {
		return nil, err
	}
	s.order = s.order[:0]
	for k := range in.Rows() {
		s.order = append(s.order, uint16(in.Row(k)))
	}
	slices.SortStableFunc(s.order, func(a, b uint16) int {
		for i, k := range s.keys {
			v := vals[i]
			x, y := v.Datum(int(a)), v.Datum(int(b))
			c := 0
			switch {
			case x.Valid && y.Valid:
				if c = types.Compare(v.T, x, y); k.Desc {
					c = -c
				}
			case x.Valid != y.Valid:
				if c = 1; x.Valid == k.NullsFirst {
					break
				}
				c = -1
			}
			if c != 0 {
				return c
			}
		}
		return 0
	})
	if s.limit >= 0 && int64(len(s.order)) > s.limit {
		s.order = s.order[:s.limit]
	}
	if s.rows.Cols == nil {
		for _, c := range in.Cols[:n] {
			s.rows.Cols = append(s.rows.Cols, vec.New(c.T, len(s.order)))
		}
	}
	for i, c := range s.rows.Cols {
		c.Recycle(c.T)
		c.Copy(in.Cols[i], s.order, 0)
	}
	s.rows.N, s.rows.Sel = len(s.order), nil
	return &s.rows, nil
}

// quickLimit passes some of the rows that come.
type quickLimit struct {
	count, offset *eval.Program // nil: none
	all           []uint16
}

func (d *Quick) addLimit(n *plan.Limit) (err error) {
	l := &quickLimit{}
	for _, x := range []struct {
		e  expr.Expr
		to **eval.Program
	}{{n.Count, &l.count}, {n.Offset, &l.offset}} {
		if x.e == nil {
			continue
		}
		if err := d.prepare(x.e); err != nil {
			return err
		}
		if *x.to, err = eval.Compile(d.withColumns(x.e), d.env(nil)); err != nil {
			return err
		}
	}
	d.steps = append(d.steps, quickStep{limit: l})
	return nil
}

// run gives the rows of b that pass; ErrLarge has a pipeline tell what is wrong.
func (l *quickLimit) run(d *Quick, b, out *vec.Batch) error {
	count, offset := int64(b.Rows()), int64(0)
	d.with(&d.none, nil)
	for _, x := range []struct {
		p  *eval.Program
		to *int64
	}{{l.count, &count}, {l.offset, &offset}} {
		if x.p == nil {
			continue
		}
		v, err := x.p.Eval(&d.none)
		if err != nil {
			return err
		}
		if n := v.Datum(0); n.Valid {
			if n.I < 0 {
				return ErrLarge
			}
			*x.to = n.I
		}
	}
	from := min(offset, int64(b.Rows()))
	to := from + min(count, int64(b.Rows())-from)
	out.Cols = append(out.Cols[:0], b.Cols...)
	sel := b.Sel
	if sel == nil {
		l.all = l.all[:0]
		for k := range b.N {
			l.all = append(l.all, uint16(k))
		}
		sel = l.all
	}
	out.N, out.Sel = b.N, sel[from:to]
	return nil
}
