package op

import (
	"container/heap"

	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// run is a sorted run of rows in a spill file.
type run struct {
	file *mem.File
	r    *mem.Reader
	b    *vec.Batch // as decoded
	rows *Rows      // the same, to compare
	at   int
	no   int
}

// spillPiece is how many rows are sorted into one run: sorting needs memory itself,
// just when there is none.
const spillPiece = 1 << 18

// spill sorts the lane's rows, writes them as runs and forgets them.
func (l *sortLane) spill() error {
	srt := newSorter(l.rows, l.s.keys)
	for from := 0; from < l.rows.N; from += spillPiece {
		if err := l.spillRun(srt, from, min(from+spillPiece, l.rows.N)); err != nil {
			return err
		}
	}
	l.rows.Free()
	return nil
}

func (l *sortLane) spillRun(srt *sorter, from, to int) error {
	s := l.s
	f, err := s.run.Spill.Create()
	if err != nil {
		return err
	}
	rn := &run{file: f}
	s.mu.Lock()
	rn.no = len(s.spills)
	s.spills = append(s.spills, rn)
	s.mu.Unlock()
	idx, err := srt.sort(from, to, nil, s.run)
	if err != nil {
		return err
	}
	defer idx.Free()
	b := &vec.Batch{Cols: make([]*vec.Vec, len(s.ts))}
	for i := range b.Cols {
		b.Cols[i] = &vec.Vec{}
	}
	all := idx.Slice(to - from)
	for at := 0; at < len(all); at += vec.Size {
		part := all[at:min(at+vec.Size, len(all))]
		for c, v := range b.Cols {
			l.rows.Gather(c, part, v)
		}
		b.N = len(part)
		if err := f.Append(func(dst []byte) []byte { return vec.AppendSerial(dst, b) }); err != nil {
			return err
		}
		if err := s.run.Interrupted(); err != nil {
			return err
		}
	}
	return f.Finish()
}

func (r *run) close() {
	if r.r != nil {
		_ = r.r.Close()
	}
	_ = r.file.Close()
}

// load reads the run's next batch; false at its end.
func (r *run) load(s *Sort) (bool, error) {
	if r.r == nil {
		var err error
		if r.r, err = r.file.NewReader(); err != nil {
			return false, err
		}
		r.b = vec.NewBatch(s.ts)
		r.rows = NewRows(s.ts, nil)
	}
	frame, err := r.r.Next()
	if frame == nil || err != nil {
		return false, err
	}
	if err := r.b.DecodeSerial(frame); err != nil {
		return false, err
	}
	r.rows.Reset()
	r.at = 0
	return true, r.rows.Append(r.b)
}

// mergeMax is how many runs are merged at a time.
const mergeMax = 64

// merge reads runs and what is left in memory in order.
func (s *Sort) merge() (Operator, error) {
	// What is in memory becomes a run like the others.
	l := &sortLane{s: s, rows: s.rows}
	for _, o := range s.order {
		if o != nil {
			o.Free()
		}
	}
	if s.rows.N > 0 {
		if err := l.spill(); err != nil {
			return nil, err
		}
	}
	for len(s.spills) > mergeMax {
		if err := s.mergeSome(); err != nil {
			return nil, err
		}
	}
	return s.merger(s.spills)
}

func (s *Sort) merger(runs []*run) (*mergeOutput, error) {
	o := &mergeOutput{s: s, out: vec.NewBatch(s.ts)}
	for _, r := range runs {
		ok, err := r.load(s)
		if err != nil {
			return nil, err
		}
		if ok {
			o.runs = append(o.runs, r)
		}
	}
	heap.Init(o)
	return o, nil
}

// mergeSome makes one run of the first mergeMax.
func (s *Sort) mergeSome() error {
	m, err := s.merger(s.spills[:mergeMax])
	if err != nil {
		return err
	}
	f, err := s.run.Spill.Create()
	if err != nil {
		return err
	}
	rn := &run{file: f, no: s.spills[0].no}
	for {
		b, err := m.Next()
		if err == nil {
			err = s.run.Interrupted()
		}
		if err != nil {
			_ = f.Close()
			return err
		}
		if b == nil {
			break
		}
		if err := f.Append(func(dst []byte) []byte { return vec.AppendSerial(dst, b) }); err != nil {
			return err
		}
	}
	for _, r := range s.spills[:mergeMax] {
		r.close()
	}
	s.spills = append([]*run{rn}, s.spills[mergeMax:]...)
	return f.Finish()
}

// mergeOutput merges runs; it is a heap of them.
type mergeOutput struct {
	s    *Sort
	runs []*run
	out  *vec.Batch
	sel  []uint16
}

func (o *mergeOutput) Len() int { return len(o.runs) }
func (o *mergeOutput) Less(i, j int) bool {
	a, b := o.runs[i], o.runs[j]
	if c := compareRows(o.s.keys, a.rows, a.at, b.rows, b.at); c != 0 {
		return c < 0
	}
	return a.no < b.no
}
func (o *mergeOutput) Swap(i, j int) { o.runs[i], o.runs[j] = o.runs[j], o.runs[i] }
func (o *mergeOutput) Push(any)      {}
func (o *mergeOutput) Pop() any {
	o.runs = o.runs[:len(o.runs)-1]
	return nil
}

// Next implements Operator.
func (o *mergeOutput) Next() (*vec.Batch, error) {
	for _, c := range o.out.Cols {
		c.Recycle(c.T)
	}
	o.out.N, o.out.Sel = 0, nil
	for o.out.N < vec.Size && len(o.runs) > 0 {
		// Take rows of the first run as long as it stays first.
		r := o.runs[0]
		o.sel = o.sel[:0]
		again := true
		for again && o.out.N+len(o.sel) < vec.Size {
			o.sel = append(o.sel, uint16(r.at))
			if r.at++; r.at >= r.rows.N {
				break
			}
			again = !(len(o.runs) > 1 && o.Less(1, 0) || len(o.runs) > 2 && o.Less(2, 0))
		}
		for c, v := range o.out.Cols {
			v.Copy(r.b.Cols[c], o.sel, 0)
		}
		o.out.N += len(o.sel)
		if r.at >= r.rows.N {
			ok, err := r.load(o.s)
			if err != nil {
				return nil, err
			}
			if !ok {
				heap.Pop(o)
				continue
			}
		}
		heap.Fix(o, 0)
	}
	if o.out.N == 0 {
		return nil, nil
	}
	return o.out, nil
}

// Close implements Operator.
func (o *mergeOutput) Close() {}
