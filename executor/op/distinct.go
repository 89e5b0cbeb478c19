package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Distinct passes the first row of each distinct value of some columns, in order,
// on one lane. When the values do not fit in memory, the rows after those that were
// passed on are numbered and go to files, and what is found to be first there is
// sorted by number.
type Distinct struct {
	In     Operator
	run    *Run
	cols   []int
	acct   *mem.Account
	groups *Groups
	keys   []*vec.Vec
	gids   []uint32
	sel    []uint16
	rest   *distinctRest
}

// distinctRest is the rows that came when memory was short.
type distinctRest struct {
	u     *unique
	split splitter
	n     int64   // rows so far
	num   vec.Vec // their numbers
	cols  []*vec.Vec
	r     *uniqueReader // after the last row
	sort  *Sort
	lane  LaneSink
	in    Operator // the sorted rows
	out   vec.Batch
}

// NewDistinct makes the operator; cols, of types ts, are columns of the input.
func NewDistinct(run *Run, in Operator, cols []int, ts []types.T) *Distinct {
	acct := run.Account.Child("distinct", 0)
	return &Distinct{In: in, run: run, cols: cols, acct: acct, groups: NewGroups(ts, acct)}
}

// Next implements Operator.
func (o *Distinct) Next() (*vec.Batch, error) {
	if o.rest != nil && o.rest.r != nil {
		return o.rest.next()
	}
	b, err := o.In.Next()
	if err != nil {
		return nil, err
	}
	if b == nil {
		if o.rest == nil {
			return nil, nil
		}
		return o.rest.begin()
	}
	n := b.Rows()
	if n == 0 {
		return b, nil
	}
	o.keys = o.keys[:0]
	for _, c := range o.cols {
		o.keys = append(o.keys, b.Cols[c])
	}
	if o.rest == nil {
		if !o.run.scarce(o.acct, o.groups.N) {
			o.gids = grown(o.gids, n)
			err := o.groups.Find(o.keys, b.Sel, b.N, o.gids)
			if err == nil {
				o.sel = o.groups.FreshRows(b.Sel, o.sel)
				b.Sel = o.sel
				return b, nil
			}
			if !o.run.spillsFor(err) {
				return nil, err
			}
		}
		if err := o.spill(b); err != nil {
			return nil, err
		}
	}
	return empty(&o.rest.out), o.rest.add(b)
}

// spill leaves the table for files.
func (o *Distinct) spill(b *vec.Batch) error {
	ts := append(typesOfBatch(b), types.Int8)
	s := &distinctRest{u: newUnique(o.run, o.acct, ts, o.cols)}
	o.rest = s
	if err := s.u.pass(&s.split, o.groups, 0); err != nil {
		return err
	}
	o.groups.Free()
	s.sort = NewSort(o.run, ts, []SortCol{{Col: len(ts) - 1}}, -1)
	var err error
	s.lane, err = s.sort.Lane(nil)
	return err
}

// add takes the rows of a batch.
func (s *distinctRest) add(b *vec.Batch) error {
	v := &s.num
	v.Reset(types.Int8)
	v.Grow(b.N)
	v.N = b.N
	for _, r := range rowsOf(b) {
		v.I64[r] = s.n
		s.n++
	}
	s.cols = append(append(s.cols[:0], b.Cols...), v)
	return s.u.add(&s.split, s.cols, b.Sel, b.N)
}

// begin goes from writing to reading.
func (s *distinctRest) begin() (*vec.Batch, error) {
	s.r = &uniqueReader{u: s.u}
	return empty(&s.out), s.u.finish()
}

func (s *distinctRest) next() (*vec.Batch, error) {
	if s.in == nil {
		b, err := s.r.next()
		if err != nil {
			return nil, err
		}
		if b != nil {
			if b.Rows() > 0 {
				_, err = s.lane.Add(b)
			}
			return empty(&s.out), err
		}
		if err := s.lane.Combine(); err != nil {
			return nil, err
		}
		for {
			tasks, err := s.sort.Finish()
			if err != nil {
				return nil, err
			}
			if len(tasks) == 0 {
				break
			}
			for _, f := range tasks {
				if err := f(); err != nil {
					return nil, err
				}
			}
		}
		if s.in, err = s.sort.Output(); err != nil {
			return nil, err
		}
		return empty(&s.out), nil
	}
	b, err := s.in.Next()
	if b == nil || err != nil {
		return nil, err
	}
	s.out.Cols, s.out.N, s.out.Sel = b.Cols[:len(b.Cols)-1], b.N, b.Sel
	return &s.out, nil
}

// Close implements Operator.
func (o *Distinct) Close() {
	o.In.Close()
	if s := o.rest; s != nil {
		if s.r != nil {
			s.r.close()
		}
		if s.in != nil {
			s.in.Close()
		}
		if s.sort != nil {
			s.sort.Close()
		}
		s.u.close()
		s.sort, s.in = nil, nil
	}
	o.acct.Close()
}
