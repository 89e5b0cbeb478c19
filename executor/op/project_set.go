package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage/vec"
)

// ProjectSet calls set-returning functions for each input row, in lockstep, and
// yields the input's columns beside theirs. It streams: a set may be longer than
// memory.
type ProjectSet struct {
	In    Operator
	Calls []SetCall
	// Ordinality adds a column that numbers the rows of each input row.
	Ordinality bool
	// Outer yields a row of nulls for an input row without results.
	Outer bool
	Size  int // rows of a batch

	in    *vec.Batch
	rows  []uint16 // of in
	at    int      // the next of rows
	open  bool     // rows[at-1] has more
	count int64    // results of rows[at-1] so far
	from  []uint16 // the input row of each row yielded
	left  []*vec.Vec
	right []*vec.Vec // all calls' columns, then the ordinality
	out   vec.Batch
}

// SetCall is a set-returning call; see eval.SRF.
type SetCall interface {
	Columns() []types.T
	Begin(b *vec.Batch) error
	Row(i int) error
	Next(out []*vec.Vec, max int) (int, error)
}

// Single is an expression called as if it returned a set: of one row.
type Single struct {
	Expr *eval.Program
	v    *vec.Vec
	row  int
}

// Columns implements SetCall.
func (s *Single) Columns() []types.T { return []types.T{s.Expr.Type(0)} }

// Begin implements SetCall.
func (s *Single) Begin(b *vec.Batch) (err error) {
	s.v, err = s.Expr.Eval(b)
	return err
}

// Row implements SetCall.
func (s *Single) Row(i int) error {
	s.row = i
	return nil
}

// Next implements SetCall.
func (s *Single) Next(out []*vec.Vec, max int) (int, error) {
	if s.row < 0 || max == 0 {
		return 0, nil
	}
	out[0].AppendDatum(s.v.Datum(s.row))
	s.row = -1
	return 1, nil
}

// Next implements Operator.
func (o *ProjectSet) Next() (*vec.Batch, error) {
	if o.in == nil || o.at >= len(o.rows) && !o.open {
		b, err := o.In.Next()
		if b == nil || err != nil {
			return nil, err
		}
		o.in, o.at, o.open = b, 0, false
		o.rows = rowsOf(b)
		if len(o.rows) == 0 {
			o.in = nil
			return empty(&o.out), nil
		}
		for _, c := range o.Calls {
			if err := c.Begin(b); err != nil {
				return nil, err
			}
		}
	}
	o.start()
	for len(o.from) < o.Size && (o.open || o.at < len(o.rows)) {
		if !o.open {
			row := int(o.rows[o.at])
			o.at++
			o.open, o.count = true, 0
			for _, c := range o.Calls {
				if err := c.Row(row); err != nil {
					return nil, err
				}
			}
		}
		if err := o.fill(); err != nil {
			return nil, err
		}
	}
	n := len(o.from)
	if n == 0 {
		return empty(&o.out), nil
	}
	o.out.Cols = o.out.Cols[:0]
	for i, c := range o.in.Cols {
		if len(o.left) <= i {
			o.left = append(o.left, &vec.Vec{})
		}
		gatherVec(o.left[i], c, o.from)
		o.out.Cols = append(o.out.Cols, o.left[i])
	}
	o.out.Cols = append(o.out.Cols, o.right...)
	o.out.N, o.out.Sel = n, nil
	return &o.out, nil
}

// start empties the output.
func (o *ProjectSet) start() {
	o.from = o.from[:0]
	if o.right == nil {
		for _, c := range o.Calls {
			for _, t := range c.Columns() {
				o.right = append(o.right, vec.New(t, o.Size))
			}
		}
		if o.Ordinality {
			o.right = append(o.right, vec.New(types.Int8, o.Size))
		}
	}
	for _, v := range o.right {
		v.Recycle(v.T)
	}
}

// fill adds what there is room for of the present input row's results.
func (o *ProjectSet) fill() error {
	room, base := o.Size-len(o.from), len(o.from)
	most, k := 0, 0
	for _, c := range o.Calls {
		w := len(c.Columns())
		n, err := c.Next(o.right[k:k+w], room)
		if err != nil {
			return err
		}
		most = max(most, n)
		k += w
	}
	if most < room {
		o.open = false
	}
	if most == 0 && o.count == 0 && o.Outer {
		for _, v := range o.right {
			v.AppendNull()
		}
		o.from = append(o.from, o.rows[o.at-1])
		return nil
	}
	for _, v := range o.right[:k] {
		for v.N < base+most { // a shorter set
			v.AppendNull()
		}
	}
	for range most {
		o.from = append(o.from, o.rows[o.at-1])
		o.count++
		if o.Ordinality {
			o.right[k].AppendDatum(types.NewInt(o.count))
		}
	}
	return nil
}

// Close implements Operator.
func (o *ProjectSet) Close() { o.In.Close() }
