package build

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/executor/op"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Direct is an INSERT ... VALUES that needs no pipeline: the same expressions in
// every row, no RETURNING, and ON CONFLICT only where the proposed row wins whatever
// there is. Its parameters and literals go straight into column batches, and these
// to the transaction. It belongs to one session.
type Direct struct {
	table *catalog.Table
	op    storage.Op
	// Slots are the values that a row is made of; cells says by row and slot where
	// each comes from: parameter i (i >= 0) or consts[^i].
	slots  []types.T
	cells  []int32
	consts []types.Datum
	rows   int
	// from is the slot of each column of the table, -1 for what is computed: exprs,
	// over columns whose ids are slots.
	from  []int
	exprs []expr.Expr
	// kept are exprs with the time as a column behind the slots, nil where they depend on
	// more of the session than its time zone or make long strings; prog is made of them, in zone.
	kept []expr.Expr
	prog *eval.Program
	zone *time.Location
	now  vec.Vec
	in   vec.Batch

	plan    *plan.Insert
	checks  *op.Checks // without expressions, which are compiled for each run
	once    bool
	twice   op.Twice
	batches []*vec.Batch
}

// DirectRows are the values of one execution, by slot.
type DirectRows struct{ batches []*vec.Batch }

// ErrNotDirect is what Run gives for rows that the pipeline must see, to find the
// error that comes first; nothing is written.
var ErrNotDirect = errors.New("build: not a direct insert")

// NewDirect makes a Direct of a statement, nil for those that it is not for.
func NewDirect(st *plan.Statement) *Direct {
	n, ok := st.Root.(*plan.Insert)
	if !ok || len(n.Returning) > 0 || len(st.Assume) > 0 || n.Table.Kind != catalog.KindTable {
		return nil
	}
	v, ok := n.Input.(*plan.Values)
	if !ok || len(v.Rows) == 0 || len(v.Cols) != len(n.Table.Columns) || len(n.Row) != len(v.Cols) {
		return nil
	}
	for i := range v.Cols {
		if v.Cols[i].ID != n.Row[i].ID {
			return nil
		}
	}
	d := &Direct{table: n.Table, plan: n, rows: len(v.Rows), op: storage.OpInsert}
	if n.Conflict != nil && len(n.Table.PK) > 0 {
		if n.Conflict.DoNothing || !blind(n) {
			return nil
		}
		d.op, d.once = storage.OpUpsert, true
	}
	if !d.layOut(v) {
		return nil
	}
	clock := &expr.Column{ID: len(d.slots), T: types.Timestamptz}
	for _, e := range d.exprs {
		k, ok := eval.Clockless(e, clock)
		if !ok {
			d.kept = nil
			break
		}
		d.kept = append(d.kept, k)
	}
	return d
}

// program computes exprs over the slots and what input puts behind them.
func (d *Direct) program(env *eval.Env) (*eval.Program, error) {
	if len(d.exprs) == 0 {
		return nil, nil
	}
	if d.kept == nil || env.Session == nil || env.Session.Types == nil {
		return d.compile(env)
	}
	zone := env.Session.Types.TimeZone
	if d.prog != nil && d.zone == zone {
		return d.prog, nil
	}
	p, err := eval.CompileList(d.kept, &eval.Env{Session: &eval.Session{Types: &types.Env{TimeZone: zone}}, Reserve: quickSmall})
	if err == nil {
		d.prog, d.zone = p, zone
	}
	return p, err
}

// compile makes a program for one run.
func (d *Direct) compile(env *eval.Env) (*eval.Program, error) {
	at := map[int]int{}
	for s := range d.slots {
		at[s] = s
	}
	return eval.CompileList(d.exprs, env.WithOrdinals(at))
}

// Shed lets go of what large values have left in rows that nobody uses any more.
func (d *Direct) Shed(r *DirectRows) {
	for _, b := range r.batches {
		for _, v := range b.Cols {
			n := 0
			for _, buf := range v.Bufs {
				n += cap(buf)
			}
			if n > directBytesKeep {
				*v = *vec.New(v.T, 1)
				d.prog = nil // it may show the same memory
			}
		}
	}
}

// directBytesKeep bounds the strings of a column whose memory is kept from one execution
// to the next.
const directBytesKeep = 1 << 20

// input is a batch of slots with the time of the transaction behind them.
func (d *Direct) input(b *vec.Batch, env *eval.Env) *vec.Batch {
	if d.kept == nil || env.Session == nil {
		return b
	}
	d.now.Recycle(types.Timestamptz)
	d.now.AppendDatum(types.NewInt(env.Session.Now))
	d.now.Form, d.now.N = vec.Const, b.N
	d.in = vec.Batch{Cols: append(append(d.in.Cols[:0], b.Cols...), &d.now), N: b.N}
	return &d.in
}

// layOut finds the slots: a parameter or literal by its place in the first row's
// expressions.
func (d *Direct) layOut(v *plan.Values) bool {
	var shape []expr.Expr // of the first row, over slots
	last := -1            // parameters come in order, as their errors do
	leaf := func(e expr.Expr) (types.T, bool) {
		switch x := e.(type) {
		case *expr.Param:
			if x.N-1 <= last {
				return types.T{}, false
			}
			last = x.N - 1
			d.cells = append(d.cells, int32(last))
			return x.T, true
		case *expr.Const:
			d.cells = append(d.cells, ^int32(len(d.consts)))
			d.consts = append(d.consts, x.D)
			return x.T, true
		}
		return types.T{}, false
	}
	for r, row := range v.Rows {
		slot := 0
		ok := true
		// take replaces the leaves of an expression by columns.
		var take func(e expr.Expr) expr.Expr
		take = func(e expr.Expr) expr.Expr {
			switch e.(type) {
			case *expr.Param, *expr.Const:
				t, fits := leaf(e)
				if !fits || r > 0 && (slot >= len(d.slots) || t != d.slots[slot]) {
					ok = false
					return e
				}
				if r == 0 {
					d.slots = append(d.slots, t)
				}
				slot++
				return &expr.Column{ID: slot - 1, T: t}
			case *expr.Cast, *expr.Call:
			default:
				ok = false // CASE and the like guard what they do not run
				return e
			}
			if expr.Volatility(e) > 1 {
				ok = false
				return e
			}
			kids := e.Children()
			args := make([]expr.Expr, len(kids))
			for i, k := range kids {
				if args[i] = take(k); !ok {
					return e
				}
			}
			return e.WithChildren(args)
		}
		for c, e := range row {
			first := slot
			x := take(e)
			if !ok {
				return false
			}
			_, leaf := x.(*expr.Column)
			if t := d.table.Columns[c].T; leaf && (x.Type().Layout != t.Layout || x.Type().Scale != t.Scale) {
				return false
			}
			switch {
			case r == 0 && leaf:
				d.from = append(d.from, first)
				shape = append(shape, x)
			case r == 0:
				d.from = append(d.from, -1)
				d.exprs = append(d.exprs, x)
				shape = append(shape, x)
			case leaf && d.from[c] != first, !leaf && !expr.Equal(x, shape[c]):
				return false
			}
		}
		if slot != len(d.slots) {
			return false
		}
	}
	return true
}

// smallRows is how many rows a small insert has at most.
const smallRows = 8

// Small says that a run takes no longer than a few look-ups: few rows, and keys and
// conditions that are looked at where the rows are.
func (d *Direct) Small() bool {
	if d.rows > smallRows || len(d.table.Unique) > 0 {
		return false
	}
	for _, c := range d.plan.Checks {
		if c.Column == "" {
			return false
		}
	}
	return true
}

// Slots are the types of the values of a row, and Params how many parameters they
// take, every one of them once and in order.
func (d *Direct) Slots() []types.T { return d.slots }

// Params is the number of parameters that the rows use.
func (d *Direct) Params() int {
	n := 0
	for _, c := range d.cells {
		if c >= 0 {
			n++
		}
	}
	return n
}

// ParamMax is the highest number among the parameters that the rows use.
func (d *Direct) ParamMax() int {
	n := 0
	for _, c := range d.cells {
		n = max(n, int(c)+1)
	}
	return n
}

// Fill makes the rows of an execution, in the memory of spare (which may be nil).
// param appends parameter i, which has the type of that slot, to a column.
func (d *Direct) Fill(spare *DirectRows, param func(i, slot int, v *vec.Vec) error) (*DirectRows, error) {
	r := spare
	if r == nil {
		r = &DirectRows{}
	}
	k := len(d.slots)
	for from := 0; from < d.rows; from += vec.Size {
		n := min(vec.Size, d.rows-from)
		at := from / vec.Size
		if at == len(r.batches) {
			b := &vec.Batch{}
			for _, t := range d.slots {
				b.Cols = append(b.Cols, vec.New(t, n))
			}
			r.batches = append(r.batches, b)
		}
		b := r.batches[at]
		for s, v := range b.Cols {
			v.Recycle(d.slots[s])
		}
		for row := from; row < from+n; row++ {
			for s, c := range d.cells[row*k : row*k+k] {
				if c < 0 {
					b.Cols[s].AppendDatum(d.consts[^c])
				} else if err := param(int(c), s, b.Cols[s]); err != nil {
					return r, err
				}
			}
		}
		b.N = n
	}
	return r, nil
}

// Datums are the parameters that rows were filled with.
func (d *Direct) Datums(r *DirectRows) []types.Datum {
	out := make([]types.Datum, d.ParamMax())
	k := len(d.slots)
	for i, c := range d.cells {
		if c >= 0 {
			row := i / k
			out[c] = r.batches[row/vec.Size].Cols[i%k].Datum(row % vec.Size)
		}
	}
	return out
}

// Run inserts the rows, and returns how many.
func (d *Direct) Run(ctx context.Context, r *DirectRows, env *Env) (int64, error) {
	b := &builder{env: env}
	prog, err := d.program(env.Eval)
	if err != nil {
		return 0, err
	}
	checks := d.checks
	if checks == nil {
		if checks, err = b.checks(d.table, d.plan.Row, d.plan.Checks); err != nil {
			return 0, err
		}
		if checks == nil {
			checks = &op.Checks{Table: d.table}
		}
		if len(checks.Exprs) == 0 {
			d.checks = checks
		}
	}
	for len(d.batches) < len(r.batches) {
		d.batches = append(d.batches, &vec.Batch{Cols: make([]*vec.Vec, len(d.from))})
	}
	batches := d.batches[:len(r.batches)]
	defer func() {
		for _, x := range batches {
			for c, s := range d.from {
				if s < 0 {
					x.Cols[c] = nil // the program's, with all its memory
				}
			}
		}
	}()
	for i, in := range r.batches {
		out := batches[i]
		out.N = in.N
		var computed []*vec.Vec
		if prog != nil {
			computed, err = prog.EvalAll(d.input(in, env.Eval))
			if errors.Is(err, ErrLarge) { // whose strings are not to be kept with a program
				d.kept, d.prog = nil, nil
				if prog, err = d.compile(env.Eval); err != nil {
					return 0, err
				}
				computed, err = prog.EvalAll(d.input(in, env.Eval))
			}
			if err != nil {
				return 0, ErrNotDirect
			}
		}
		for c, s := range d.from {
			if s >= 0 {
				out.Cols[c] = in.Cols[s]
				out.Cols[c].T = d.table.Columns[c].T
				continue
			}
			out.Cols[c], computed = computed[0], computed[1:]
			if len(r.batches) > 1 { // the program's memory is used again
				v := vec.New(out.Cols[c].T, in.N)
				v.Copy(out.Cols[c], nil, in.N)
				out.Cols[c] = v
			}
		}
	}
	for _, x := range batches {
		if err := checks.Test(x); err != nil {
			if len(batches) > 1 || len(d.exprs) > 0 {
				return 0, ErrNotDirect
			}
			return 0, err
		}
	}
	if d.once && !env.KeepLast && d.twice.Any(batches, d.table.PK) {
		if env.KeepFirst {
			return 0, ErrNotDirect
		}
		return 0, op.ErrTwice()
	}
	var n int64
	for _, x := range batches {
		k, err := env.Txn.Write(ctx, &storage.Mutation{Table: d.table, Op: d.op, Rows: x})
		if err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}
