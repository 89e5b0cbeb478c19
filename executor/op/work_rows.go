package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// WorkRows are the rows of a round of a recursion: in memory, or in a file when that is
// short. Those in the file come first. One goroutine appends; then they are read.
type WorkRows struct {
	run  *Run
	ts   []types.T
	rows *Rows
	file *mem.File
	n    int
}

// NewWorkRows makes an empty store of rows of these types.
func NewWorkRows(run *Run, ts []types.T, acct *mem.Account) *WorkRows {
	return &WorkRows{run: run, ts: ts, rows: NewRows(ts, acct)}
}

// Append copies the rows of b.
func (w *WorkRows) Append(b *vec.Batch) error {
	err := w.rows.Append(b)
	if w.run.spillsFor(err) && w.rows.N > 0 {
		if err = w.spill(); err == nil {
			err = w.rows.Append(b)
		}
	} else if err == nil && (w.run.ForceSpill && w.rows.N >= forcedRun || w.run.CanSpill() && w.rows.yields()) {
		err = w.spill()
	}
	if err == nil {
		w.n += b.Rows()
	}
	return err
}

func (w *WorkRows) spill() error {
	if w.file == nil {
		f, err := w.run.Spill.Create()
		if err != nil {
			return err
		}
		w.file = f
	}
	err := eachBatch(w.rows, func(b *vec.Batch) error {
		if err := w.run.Interrupted(); err != nil {
			return err
		}
		return w.file.Append(func(dst []byte) []byte { return vec.AppendSerial(dst, b) })
	})
	w.rows.Free()
	return err
}

// finish ends appending.
func (w *WorkRows) finish() error {
	if w.file == nil {
		return nil
	}
	return w.file.Finish()
}

// reset empties the store for other rows.
func (w *WorkRows) reset() {
	w.rows.Reset()
	w.drop()
}

func (w *WorkRows) drop() {
	_ = w.file.Close()
	w.file, w.n = nil, 0
}

func (w *WorkRows) free() {
	w.rows.Free()
	w.drop()
}

// WorkTable yields the rows of a round, again after each Reset.
type WorkTable struct {
	work *WorkRows
	r    *partReader
	read bool // what is in the file
	at   int
	out  vec.Batch
}

// Reset makes work what is yielded.
func (o *WorkTable) Reset(work *WorkRows) {
	o.Close()
	o.work, o.read, o.at = work, false, 0
}

// Next implements Operator.
func (o *WorkTable) Next() (*vec.Batch, error) {
	if o.work == nil {
		return nil, nil
	}
	if !o.read && o.work.file != nil {
		if o.r == nil {
			r, err := o.work.file.NewReader()
			if err != nil {
				return nil, err
			}
			o.r = newPartReader(r, o.work.ts)
		}
		b, err := o.r.next()
		if b != nil || err != nil {
			return b, err
		}
		o.Close()
	}
	o.read = true
	rows := o.work.rows
	if o.at >= rows.N {
		return nil, nil
	}
	for len(o.out.Cols) < len(rows.T) {
		o.out.Cols = append(o.out.Cols, &vec.Vec{})
	}
	n := min(vec.Size, rows.N-o.at)
	for c, v := range o.out.Cols {
		rows.View(c, o.at, n, v)
	}
	o.out.N, o.out.Sel = n, nil
	o.at += n
	return &o.out, nil
}

// Close implements Operator.
func (o *WorkTable) Close() {
	o.r.close()
	o.r = nil
}
