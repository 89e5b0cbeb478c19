package column

import (
	"context"
	"slices"

	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// sortedWriter writes rows of many chunks in the table's order to new files.
type sortedWriter struct {
	t       *Tablet
	sch     *schema
	sources []*rowSource // by column of the schema
	rows    []rowRef     // in file order, once sorted
	born    func(rowRef) uint64
	// ordinals says that the row id column already has what private files hold.
	ordinals bool
	pace     func(context.Context) error // nil for none
	w        *segWriter
	segs     []*segFile
}

// write sorts and writes the rows, and opens the files.
func (sw *sortedWriter) write(ctx context.Context) error {
	t := sw.t
	order := sw.order(func() bool { return ctx.Err() != nil })
	sw.w = t.newSegWriter(sw.sch, order, encoding.NoCodec)
	sw.w.opts.Lent = true // the sources outlive the writer
	sw.w.pace(ctx, sw.pace)
	b := vec.NewBatch(sw.sch.cols)
	csns := make([]uint64, vec.Size)
	for from := 0; from < len(sw.rows); from += vec.Size {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		rows := sw.rows[from:min(from+vec.Size, len(sw.rows))]
		for i, s := range sw.sources {
			s.copy(b.Cols[i], rows)
		}
		if sw.sch.rowID >= 0 && t.cfg.own && !sw.ordinals {
			// See segFile.rowID.
			ids := b.Cols[sw.sch.rowID].I64
			for k := range rows {
				ids[k] = -1 - ids[k]
			}
		}
		b.N, b.Sel = len(rows), nil
		for k, r := range rows {
			csns[k] = sw.born(r)
		}
		if err := sw.w.append(b, csns[:len(rows)]); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := sw.w.finish(); err != nil {
		return err
	}
	for _, info := range sw.w.infos {
		s, err := t.openSegment(info)
		if err != nil {
			return err
		}
		s.own = t.cfg.own
		sw.segs = append(sw.segs, s)
	}
	return nil
}

// order sorts the rows as the table wants, and says what they are sorted by: of a
// table without an order, by key when they came so.
func (sw *sortedWriter) order(stop stopped) []segment.SortColumn {
	order := sw.sch.sortOrder()
	claim := order
	if len(order) == 0 {
		claim = sw.sch.keyOrder()
	}
	cols := make([]sortCol, len(claim))
	for i, c := range claim {
		s := sw.sources[sw.sch.find(c.ID)]
		cols[i] = sortCol{t: s.t, desc: c.Desc, vecs: s.vecs}
		if slices.Contains(s.vecs, nil) {
			return nil // a column added later cannot order older rows
		}
	}
	if len(order) == 0 {
		if isSorted(sw.rows, cols, stop) {
			return claim
		}
		return nil
	}
	if len(order) == 1 && order[0].ID == rowIDColumnID && sw.t.cfg.own && !sw.ordinals {
		cols[0].desc = true // provisional ids fall as ordinals rise
	}
	sortRows(sw.rows, cols, stop)
	return order
}

func (sw *sortedWriter) abort() {
	for _, s := range sw.segs {
		s.close()
	}
	if sw.w != nil {
		sw.w.abort()
	}
}
