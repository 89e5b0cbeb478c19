package column

import (
	"bufio"
	"context"
	"sync/atomic"

	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/segment"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// segmentBytesMax ends a segment of very wide rows before it is full.
const segmentBytesMax = 512 << 20

// segWriter writes rows into as many segment files as they need.
type segWriter struct {
	files    blob.Dir
	nextFile func() string
	schema   segment.Schema
	opts     segment.Options
	rowsMax  int
	settled  bool // what the files' infos say
	written  *atomic.Int64

	w      *segment.Writer
	name   string
	file   blob.Writer
	buf    *bufio.Writer
	infos  []SegmentInfo
	starts []uint32 // number of the first row of each file
	rows   int      // in all
}

// newSegWriter makes a writer of rows with the schema's columns.
func (t *Tablet) newSegWriter(sch *schema, sort []segment.SortColumn, codec encoding.Codec) *segWriter {
	s := segment.Schema{Sort: sort}
	for i, ty := range sch.cols {
		s.Columns = append(s.Columns, segment.Column{ID: sch.ids[i], T: ty})
	}
	for _, k := range sch.keys {
		s.Key = append(s.Key, sch.ids[k])
	}
	o := segment.Options{Codec: codec}
	if sch.rowID >= 0 {
		o.KeyIndex = -1 // row ids are found by zone maps
	}
	w := &segWriter{files: t.cfg.Files, nextFile: t.cfg.NextFile, schema: s, opts: o, rowsMax: t.cfg.Limits.SegmentRows}
	if t.cfg.Written != nil {
		w.written = &t.cfg.Written.Flush
		if t.cfg.own {
			w.written = &t.cfg.Written.Side
		}
	}
	return w
}

// pace has the writer call f between pieces of its work.
func (w *segWriter) pace(ctx context.Context, f func(context.Context) error) {
	if f != nil {
		w.opts.Pace = func() error { return f(ctx) }
	}
}

// append adds the rows of b with their commits; it starts and ends files as needed.
func (w *segWriter) append(b *vec.Batch, csns []uint64) error {
	for from, n := 0, b.N; from < n; {
		if w.w != nil && (w.w.Rows() >= w.rowsMax || w.w.Bytes() >= segmentBytesMax) {
			if err := w.end(true); err != nil {
				return err
			}
		}
		if w.w == nil {
			if err := w.begin(); err != nil {
				return err
			}
		}
		k := min(n-from, w.rowsMax-w.w.Rows())
		part := b
		if k < n {
			part = &vec.Batch{Cols: b.Cols, N: b.N, Sel: make([]uint16, k)}
			for i := range part.Sel {
				part.Sel[i] = uint16(from + i)
			}
		}
		if err := w.w.Append(part, csns[from:from+k]); err != nil {
			return err
		}
		from += k
		w.rows += k
	}
	return nil
}

func (w *segWriter) begin() error {
	w.name = w.nextFile() + SegmentSuffix
	f, err := w.files.Create(w.name + blob.TempSuffix)
	if err != nil {
		return err
	}
	w.file, w.buf = f, bufio.NewWriterSize(f, 256<<10)
	w.w = segment.NewWriter(w.buf, w.schema, w.opts)
	w.starts = append(w.starts, uint32(w.rows))
	return nil
}

// end finishes the open file: written, synced and under its name.
func (w *segWriter) end(full bool) error {
	meta, err := w.w.Finish()
	if err == nil {
		err = w.buf.Flush()
	}
	if err == nil {
		err = w.file.Sync()
	}
	if cerr := w.file.Close(); err == nil {
		err = cerr
	}
	w.w, w.file, w.buf = nil, nil, nil
	if err == nil {
		err = w.files.Rename(w.name+blob.TempSuffix, w.name)
	}
	if err != nil {
		_ = w.files.Remove(w.name + blob.TempSuffix)
		return err
	}
	if w.written != nil {
		w.written.Add(meta.Bytes)
	}
	full = full || meta.Rows >= w.rowsMax
	w.infos = append(w.infos, SegmentInfo{File: w.name, Size: meta.Bytes, Rows: meta.Rows, Settled: w.settled, Full: full})
	return nil
}

// finish ends the last file and syncs the directory.
func (w *segWriter) finish() error {
	if w.w != nil {
		if err := w.end(false); err != nil {
			return err
		}
	}
	if len(w.infos) == 0 {
		return nil
	}
	return w.files.Sync()
}

// abort removes what was written.
func (w *segWriter) abort() {
	if w.file != nil {
		w.file.Close()
		_ = w.files.Remove(w.name + blob.TempSuffix)
	}
	for _, i := range w.infos {
		_ = w.files.Remove(i.File)
	}
}

// place says in which file row n of all is, and where.
func (w *segWriter) place(n uint32) (file int, row uint32) {
	for file = len(w.starts) - 1; w.starts[file] > n; file-- {
	}
	return file, n - w.starts[file]
}
