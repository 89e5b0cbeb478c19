package session

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// insertTuples runs a long INSERT ... VALUES: its tuples go from the text straight
// into batches. Nothing is written before all of them are read, so that a statement
// that turns out to hold more than literals can still be planned as a whole.
func (s *Session) insertTuples(ctx context.Context, p *prepared, u *plan.Copy, out pgwire.Results) error {
	if s.set.on("transaction_read_only") {
		return sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute INSERT in a read-only transaction")
	}
	b := newTupleBuilder(u, s.Env())
	if err := parser.ScanTuples(p.sql, u.Tuples, len(u.Columns), b); err != nil {
		return err
	}
	n, err := s.insertBatches(ctx, u.Insert, b.done())
	if err != nil {
		return err
	}
	return out.CommandComplete(fmt.Sprintf("%s %d", p.plan.Tag, n))
}

// tupleBuilder collects tuples in batches.
type tupleBuilder struct {
	types   []types.T
	append  []codec.Appender
	batches []*vec.Batch
	cur     *vec.Batch
	buf     []byte
}

func newTupleBuilder(u *plan.Copy, env *types.Env) *tupleBuilder {
	b := &tupleBuilder{}
	for _, o := range u.Columns {
		t := u.Table.Columns[o].T
		b.types = append(b.types, t)
		b.append = append(b.append, codec.TextAppender(t, env))
	}
	b.cur = vec.NewBatch(b.types)
	return b
}

// done is what was collected.
func (b *tupleBuilder) done() []*vec.Batch {
	if b.cur.N > 0 {
		b.batches = append(b.batches, b.cur)
	}
	return b.batches
}

// Number takes a literal where the column's input function reads it as the
// assignment of the number would have it; all else, errors too, is for the planner.
func (b *tupleBuilder) Number(col int, text string) error {
	switch b.types[col].OID {
	case types.Int2OID, types.Int4OID, types.Int8OID:
		for i := 0; i < len(text); i++ {
			if c := text[i]; c-'0' > 9 && !(i == 0 && c == '-') {
				return parser.ErrNotPlain
			}
		}
	case types.Float8OID, types.NumericOID:
	default:
		return parser.ErrNotPlain
	}
	b.buf = append(b.buf[:0], text...)
	if b.append[col](b.cur.Cols[col], b.buf) != nil {
		return parser.ErrNotPlain
	}
	return nil
}

// String takes a literal by the column's input function.
func (b *tupleBuilder) String(col int, text string) error {
	b.buf = append(b.buf[:0], text...)
	return b.append[col](b.cur.Cols[col], b.buf)
}

// Bool takes true and false.
func (b *tupleBuilder) Bool(col int, v bool) error {
	if b.types[col].OID != types.BoolOID {
		return parser.ErrNotPlain
	}
	b.cur.Cols[col].AppendDatum(types.NewBool(v))
	return nil
}

// Null takes NULL.
func (b *tupleBuilder) Null(col int) error {
	b.cur.Cols[col].AppendNull()
	return nil
}

// Default leaves DEFAULT to the planner.
func (b *tupleBuilder) Default(int) error { return parser.ErrNotPlain }

// End ends a tuple.
func (b *tupleBuilder) End() error {
	if b.cur.N++; b.cur.N == vec.Size {
		b.batches = append(b.batches, b.cur)
		b.cur = vec.NewBatch(b.types)
	}
	return nil
}
