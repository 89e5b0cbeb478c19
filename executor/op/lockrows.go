package op

import (
	"context"

	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// LockRows is the sink of SELECT FOR UPDATE and its kin: it locks the rows that
// come, in order, up to Max of them, and keeps them as they are then. Like Write it
// has one lane, and nothing is read before all is locked.
type LockRows struct {
	Ctx  context.Context
	Txn  storage.Txn
	Lock storage.RowLock // the request but for its rows
	// Old are the places of the table's columns in the input, by ordinal; Keys and CSN
	// those of the key and the commit.
	Old, Keys []int
	CSN       int
	// Recheck decides on rows that others changed, over the table's columns; nil: all
	// are wanted.
	Recheck *eval.Program
	Max     int64
	Out     *Rows
	// Joined, when not nil, are the tables of rows that are joined, in place of Lock,
	// Keys and CSN; the rows, columns Old, go on as they are.
	Joined []LockedTable
}

// LockedTable is a table that LockRows locks as part of joined rows.
type LockedTable struct {
	Lock storage.RowLock
	Keys []int
	CSN  int
}

// Lane implements Sink.
func (s *LockRows) Lane(*Lane) (LaneSink, error) { return s, nil }

// Finish implements Sink.
func (s *LockRows) Finish() ([]func() error, error) { return nil, nil }

// Combine implements LaneSink.
func (s *LockRows) Combine() error { return nil }

// Close implements Sink.
func (s *LockRows) Close() { s.Out.Free() }

// Add implements LaneSink.
func (s *LockRows) Add(b *vec.Batch) (Flow, error) {
	rows := rowsOf(b)
	for len(rows) > 0 {
		left := s.Max - int64(s.Out.N)
		if left <= 0 {
			return Stop, nil
		}
		// Never more than may be wanted: others want rows too.
		k := min(int64(len(rows)), left)
		if err := s.add(b, rows[:k]); err != nil {
			return Stop, err
		}
		rows = rows[k:]
	}
	if int64(s.Out.N) >= s.Max {
		return Stop, nil
	}
	return Continue, nil
}

func (s *LockRows) add(b *vec.Batch, rows []uint16) error {
	in := &vec.Batch{Cols: b.Cols, Sel: rows, N: b.N}
	in = compact(in)
	if s.Joined != nil {
		return s.addJoined(in)
	}
	l := &s.Lock
	l.Keys = &vec.Batch{N: in.N}
	for _, k := range s.Keys {
		l.Keys.Cols = append(l.Keys.Cols, in.Cols[k])
	}
	l.OldCSN = in.Cols[s.CSN]
	if err := s.Txn.LockRows(s.Ctx, l); err != nil {
		return err
	}
	old := &vec.Batch{N: in.N}
	for _, k := range s.Old {
		old.Cols = append(old.Cols, in.Cols[k])
	}
	newest := make(map[int]uint16, len(l.Which))
	for i, k := range l.Which {
		newest[int(k)] = uint16(i)
	}
	wanted := map[uint16]bool{}
	if len(newest) > 0 {
		at := &vec.Batch{Cols: l.Newest.Cols, N: l.Newest.N}
		if s.Recheck != nil {
			if err := s.Recheck.Filter(at); err != nil {
				return err
			}
		}
		for _, r := range rowsOf(at) {
			wanted[r] = true
		}
	}
	// Runs of rows as they were read go together.
	var run []uint16
	flush := func() error {
		if len(run) == 0 {
			return nil
		}
		err := s.Out.AppendCols(old.Cols, run, old.N)
		run = run[:0]
		return err
	}
	for i, st := range l.State {
		switch st {
		case storage.RowLocked:
			run = append(run, uint16(i))
		case storage.RowChanged:
			n, ok := newest[i]
			if !ok || !wanted[n] {
				continue
			}
			if err := flush(); err != nil {
				return err
			}
			if err := s.Out.AppendCols(l.Newest.Cols, []uint16{n}, l.Newest.N); err != nil {
				return err
			}
		}
	}
	return flush()
}

// addJoined locks the parts of joined rows, one table after another. Rows that others
// have deleted or, with SKIP LOCKED, hold are left out.
func (s *LockRows) addJoined(in *vec.Batch) error {
	left := rowsOf(in)
	for i := range s.Joined {
		t := &s.Joined[i]
		keys := &vec.Batch{Sel: left, N: in.N}
		for _, k := range t.Keys {
			keys.Cols = append(keys.Cols, in.Cols[k])
		}
		keys.Cols = append(keys.Cols, in.Cols[t.CSN])
		keys = compact(keys)
		n := len(keys.Cols) - 1
		l := &t.Lock
		l.Keys, l.OldCSN = &vec.Batch{Cols: keys.Cols[:n], N: keys.N}, keys.Cols[n]
		if err := s.Txn.LockRows(s.Ctx, l); err != nil {
			return err
		}
		var stay []uint16
		for k, st := range l.State {
			if st == storage.RowLocked {
				stay = append(stay, left[k])
			}
		}
		if left = stay; len(left) == 0 {
			return nil
		}
	}
	cols := make([]*vec.Vec, len(s.Old))
	for i, k := range s.Old {
		cols[i] = in.Cols[k]
	}
	return s.Out.AppendCols(cols, left, in.N)
}
