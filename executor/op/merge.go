package op

import (
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage/vec"
)

// Merge is the sink of MERGE: it hands the rows of each batch to the writes of the
// WHEN clauses that they fall under. Of one batch deletes come first and inserts last,
// so that a key may go and come in one statement. Like Write it has one lane.
type Merge struct {
	// Pick is the place of the clause's number, from 1, in the input.
	Pick  int
	Whens []MergeWhen
	// Order are the clauses that write, in the order of their writes.
	Order []int
	// Keys are the places of the old row's key, by which a row that was changed is
	// known.
	Keys []int
	// Changed is what other parts of the statement write to the same table, nil where
	// there are none.
	Changed *Changed

	seen *Write
	sels [][]uint16
	hit  []uint16
	at   vec.Batch
	row  vec.Batch
}

// MergeWhen is one WHEN clause: Write does it, nil for DO NOTHING. New computes the
// row to insert; nil where Write computes it or needs none.
type MergeWhen struct {
	Write *Write
	New   *eval.Program
}

// Lane implements Sink.
func (m *Merge) Lane(*Lane) (LaneSink, error) { return m, nil }

// Finish implements Sink.
func (m *Merge) Finish() ([]func() error, error) { return nil, nil }

// Combine implements LaneSink.
func (m *Merge) Combine() error { return nil }

// Close implements Sink.
func (m *Merge) Close() {
	for _, w := range m.Whens {
		if w.Write != nil {
			w.Write.Close()
		}
	}
}

// Add implements LaneSink.
func (m *Merge) Add(b *vec.Batch) (Flow, error) {
	if m.sels == nil {
		m.sels = make([][]uint16, len(m.Whens))
	}
	for i := range m.sels {
		m.sels[i] = m.sels[i][:0]
	}
	m.hit = m.hit[:0]
	pick := b.Cols[m.Pick]
	for _, r := range rowsOf(b) {
		if pick.IsNull(int(r)) {
			continue
		}
		k := int(pick.Datum(int(r)).I) - 1
		m.sels[k] = append(m.sels[k], r)
		if w := m.Whens[k]; w.Write != nil && w.New == nil {
			m.hit = append(m.hit, r)
		}
	}
	if err := m.once(b); err != nil {
		return Stop, err
	}
	for _, k := range m.Order {
		if len(m.sels[k]) == 0 {
			continue
		}
		if err := m.write(m.Whens[k], b, m.sels[k]); err != nil {
			return Stop, err
		}
	}
	return Continue, nil
}

// once sees that no row of the target is changed a second time.
func (m *Merge) once(b *vec.Batch) error {
	if len(m.hit) == 0 {
		return nil
	}
	for _, w := range m.Whens {
		if m.seen == nil && w.Write != nil && w.New == nil {
			m.seen = w.Write // keeps the keys of all
		}
	}
	m.at = vec.Batch{Cols: m.at.Cols[:0], Sel: m.hit, N: b.N}
	for _, k := range m.Keys {
		m.at.Cols = append(m.at.Cols, b.Cols[k])
	}
	first := m.seen.first
	if m.Changed != nil {
		first = func(keys []*vec.Vec, b *vec.Batch) ([]uint16, error) { return m.Changed.take(keys, b, nil) }
	}
	rows, err := first(m.at.Cols, &m.at)
	if err != nil {
		return err
	}
	if len(rows) < len(m.hit) {
		return sqlstate.Errorf(sqlstate.CardinalityViolation, "MERGE command cannot affect row a second time").
			WithHint("Ensure that not more than one source row matches any one target row.")
	}
	return nil
}

func (m *Merge) write(w MergeWhen, b *vec.Batch, sel []uint16) error {
	in := vec.Batch{Cols: b.Cols, Sel: sel, N: b.N}
	if w.New == nil {
		return w.Write.change(&in)
	}
	cols, err := w.New.EvalAll(&in)
	if err != nil {
		return err
	}
	m.row = vec.Batch{Cols: cols, Sel: sel, N: b.N}
	return w.Write.insert(&m.row)
}
