package op

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Collect is the sink that keeps all rows of a shared CTE, in memory, or in files
// when that is short: a lane's rows in the order in which they came, those in its
// file before those in memory. With one lane the order is kept.
type Collect struct {
	Rows  *Rows
	run   *Run
	acct  *mem.Account
	mu    sync.Mutex
	rest  []*Rows
	files []*mem.File
}

// NewCollect makes an empty sink.
func NewCollect(run *Run, name string, ts []types.T) *Collect {
	acct := run.Account.Child(name, 0)
	return &Collect{Rows: NewRows(ts, acct), run: run, acct: acct}
}

// Lane implements Sink.
func (s *Collect) Lane(l *Lane) (LaneSink, error) {
	return &collectLane{s: s, rows: NewRows(s.Rows.T, s.acct)}, nil
}

// Finish implements Sink.
func (s *Collect) Finish() ([]func() error, error) {
	for _, r := range s.rest {
		if s.Rows.N == 0 {
			s.Rows.Free()
			*s.Rows = *r
			continue
		}
		err := s.Rows.Absorb(r)
		if s.maySpill(err) {
			// Lanes are several: there is no order to keep.
			l := collectLane{s: s, rows: r}
			if err = l.spill(); err == nil {
				err = l.file.Finish()
			}
		}
		if err != nil {
			return nil, err
		}
	}
	s.rest = nil
	for _, f := range s.files {
		if err := f.Finish(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *Collect) maySpill(err error) bool {
	return err != nil && s.run.CanSpill() && sqlstate.CodeOf(err) == sqlstate.OutOfMemory
}

// Close implements Sink.
func (s *Collect) Close() {
	for _, f := range s.files {
		_ = f.Close()
	}
	s.acct.Close()
}

type collectLane struct {
	s    *Collect
	rows *Rows
	file *mem.File
}

func (l *collectLane) Add(b *vec.Batch) (Flow, error) {
	err := l.rows.Append(b)
	if l.s.maySpill(err) && l.rows.N > 0 {
		if err = l.spill(); err == nil {
			err = l.rows.Append(b)
		}
	} else if err == nil && (l.s.run.ForceSpill && l.rows.N >= forcedRun || l.s.run.CanSpill() && l.rows.yields()) {
		err = l.spill()
	}
	return Continue, err
}

// spill appends the lane's rows to its file.
func (l *collectLane) spill() error {
	if l.file == nil {
		f, err := l.s.run.Spill.Create()
		if err != nil {
			return err
		}
		l.file = f
		l.s.mu.Lock()
		l.s.files = append(l.s.files, f)
		l.s.mu.Unlock()
	}
	err := eachBatch(l.rows, func(b *vec.Batch) error {
		if err := l.s.run.Interrupted(); err != nil {
			return err
		}
		return l.file.Append(func(dst []byte) []byte { return vec.AppendSerial(dst, b) })
	})
	l.rows.Free()
	return err
}

func (l *collectLane) Combine() error {
	l.s.mu.Lock()
	l.s.rest = append(l.s.rest, l.rows)
	l.s.mu.Unlock()
	return nil
}

// CollectSource yields a finished Collect's rows, to one of its readers: lanes take
// files, and then chunks of the rows in memory.
type CollectSource struct {
	S    *Collect
	rows RowsSource
	next atomic.Int64
}

// Morsels is the number of files and chunks.
func (s *CollectSource) Morsels() int {
	s.rows.Rows = s.S.Rows
	return len(s.S.files) + s.rows.Morsels()
}

// Lane makes the operator of one lane.
func (s *CollectSource) Lane() Operator {
	return &collectSourceLane{s: s, rows: s.rows.Lane()}
}

type collectSourceLane struct {
	s    *CollectSource
	rows Operator
	r    *partReader
}

// Next implements Operator.
func (o *collectSourceLane) Next() (*vec.Batch, error) {
	for {
		if o.r == nil {
			files := o.s.S.files
			k := int(o.s.next.Add(1)) - 1
			if k >= len(files) {
				return o.rows.Next()
			}
			r, err := files[k].NewReader()
			if err != nil {
				return nil, err
			}
			o.r = newPartReader(r, o.s.S.Rows.T)
		}
		b, err := o.r.next()
		if b != nil || err != nil {
			return b, err
		}
		o.r.close()
		o.r = nil
	}
}

// Close implements Operator.
func (o *collectSourceLane) Close() {
	o.r.close()
	o.r = nil
	o.rows.Close()
}
