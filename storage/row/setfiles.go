package row

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
)

// run is a file of sorted changes, which lives no longer than its transaction: flags,
// the expected commit where there is one (8 bytes), the lengths of key and value
// (uvarints), key and value.
type run struct {
	files blob.Dir
	name  string
}

const (
	runWriteBuffer = 256 << 10
	// All cursors of a merge together have about this much buffer.
	runReadBuffers = 8 << 20
)

type runWriter struct {
	w   blob.Writer
	buf []byte
}

func (r *run) create() (*runWriter, error) {
	w, err := r.files.Create(r.name)
	if err != nil {
		return nil, err
	}
	return &runWriter{w: w, buf: make([]byte, 0, runWriteBuffer)}, nil
}

func (w *runWriter) put(flags byte, expect storage.CSN, key, value []byte) error {
	w.buf = append(w.buf, flags)
	if flags&opExpects != 0 {
		w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(expect))
	}
	w.buf = binary.AppendUvarint(w.buf, uint64(len(key)))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(value)))
	w.buf = append(append(w.buf, key...), value...)
	if len(w.buf) < runWriteBuffer {
		return nil
	}
	return w.flush()
}

func (w *runWriter) flush() error {
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

func (w *runWriter) close() error {
	err := w.flush()
	if cerr := w.w.Close(); err == nil {
		err = cerr
	}
	return err
}

// cursor stands on a change of a run, or of the set's buffer.
type cursor struct {
	order      int // of the runs: later ones overrule
	key, value []byte
	expect     storage.CSN
	flags      byte

	s *Set // the buffer
	i int

	f   blob.File
	off int64
	buf []byte // read ahead; key and value lie in it
	at  int
}

// next goes on to the next change; more is false at the end.
func (c *cursor) next() (more bool, err error) {
	if c.s != nil {
		if c.i == len(c.s.ops) {
			return false, nil
		}
		o := &c.s.ops[c.i]
		c.i++
		c.key, c.value, c.flags, c.expect = c.s.key(o), c.s.value(o), o.flags, o.expect
		return true, nil
	}
	const header = 1 + 8 + 2*binary.MaxVarintLen64
	if err := c.need(header); err != nil {
		return false, err
	}
	b := c.buf[c.at:]
	if len(b) == 0 {
		return false, nil
	}
	n := 1
	if c.flags = b[0]; c.flags&opExpects != 0 {
		if len(b) < 9 {
			return false, io.ErrUnexpectedEOF
		}
		c.expect = storage.CSN(binary.LittleEndian.Uint64(b[1:]))
		n = 9
	}
	k, kn := binary.Uvarint(b[n:])
	v, vn := binary.Uvarint(b[n+max(kn, 0):])
	if kn <= 0 || vn <= 0 {
		return false, io.ErrUnexpectedEOF
	}
	c.at += n + kn + vn
	size := int(k + v)
	if err := c.need(size); err != nil {
		return false, err
	}
	if len(c.buf)-c.at < size {
		return false, io.ErrUnexpectedEOF
	}
	c.key, c.value = c.buf[c.at:c.at+int(k)], c.buf[c.at+int(k):c.at+size]
	c.at += size
	return true, nil
}

// need reads until n bytes are there, or the file is at its end.
func (c *cursor) need(n int) error {
	have := len(c.buf) - c.at
	if have >= n || c.off == c.f.Size() {
		return nil
	}
	copy(c.buf, c.buf[c.at:])
	c.buf, c.at = c.buf[:have], 0
	if n > cap(c.buf) {
		c.buf = append(make([]byte, 0, 2*n), c.buf...)
	}
	to := c.buf[have:min(int64(cap(c.buf)), int64(have)+c.f.Size()-c.off)]
	k, err := c.f.ReadAt(to, c.off)
	if k < len(to) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	c.off += int64(k)
	c.buf = c.buf[:have+k]
	return nil
}

// merger is a heap of cursors: the least key on top, of one key the earliest run.
type merger struct {
	heap []*cursor
	all  []*cursor
}

// cursors opens the runs, or takes the buffer where there are none.
func (s *Set) cursors() (*merger, error) {
	m := &merger{}
	if len(s.runs) == 0 {
		m.all = []*cursor{{s: s}}
	}
	for i, r := range s.runs {
		f, err := r.files.Open(r.name)
		if err != nil {
			m.close()
			return nil, err
		}
		size := min(max(runReadBuffers/len(s.runs), 16<<10), 256<<10)
		m.all = append(m.all, &cursor{order: i, f: f, buf: make([]byte, 0, size)})
	}
	for _, c := range m.all {
		more, err := c.next()
		if err != nil {
			m.close()
			return nil, err
		}
		if more {
			m.heap = append(m.heap, c)
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.down(i)
	}
	return m, nil
}

func (m *merger) on() bool     { return len(m.heap) > 0 }
func (m *merger) top() *cursor { return m.heap[0] }

// next takes the change on top away.
func (m *merger) next() error {
	more, err := m.heap[0].next()
	if err != nil {
		return err
	}
	if !more {
		n := len(m.heap) - 1
		m.heap[0] = m.heap[n]
		m.heap = m.heap[:n]
	}
	m.down(0)
	return nil
}

func (m *merger) less(a, b *cursor) bool {
	if c := bytes.Compare(a.key, b.key); c != 0 {
		return c < 0
	}
	return a.order < b.order
}

func (m *merger) down(i int) {
	for {
		k := 2*i + 1
		if k >= len(m.heap) {
			return
		}
		if k+1 < len(m.heap) && m.less(m.heap[k+1], m.heap[k]) {
			k++
		}
		if !m.less(m.heap[k], m.heap[i]) {
			return
		}
		m.heap[i], m.heap[k] = m.heap[k], m.heap[i]
		i = k
	}
}

func (m *merger) close() {
	for _, c := range m.all {
		if c.f != nil {
			_ = c.f.Close()
		}
	}
}

// tableWriter writes a set's files.
type tableWriter struct {
	s    *Set
	w    *sstable.Writer
	out  *writable
	rows int
}

// put adds a change; without a value it removes the key.
func (t *tableWriter) put(key, value []byte) error {
	if t.w == nil {
		name := t.s.cfg.NextFile()
		f, err := t.s.cfg.Files.Create(name)
		if err != nil {
			return err
		}
		t.s.tables = append(t.s.tables, TableFile{Name: name})
		t.out, t.rows = &writable{w: f, buf: make([]byte, 0, runWriteBuffer)}, 0
		t.w = sstable.NewWriter(t.out, t.s.cfg.Options)
	}
	t.rows++
	var err error
	if len(value) > 0 {
		err = t.w.Set(key, value)
	} else {
		err = t.w.Delete(key)
	}
	if err == nil && t.out.size >= int64(t.s.cfg.TableBytes) {
		err = t.finish()
	}
	return err
}

// finish ends the present file, which is synced then.
func (t *tableWriter) finish() error {
	if t.w == nil {
		return nil
	}
	err := t.w.Close()
	last := &t.s.tables[len(t.s.tables)-1]
	last.Size, last.Rows = t.out.size, t.rows
	t.w = nil
	return err
}

// writable is a file as the writer of tables takes it.
type writable struct {
	w    blob.Writer
	buf  []byte
	size int64
}

// Write implements objstorage.Writable.
func (w *writable) Write(b []byte) error {
	w.size += int64(len(b))
	if len(w.buf)+len(b) > cap(w.buf) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	if len(b) >= cap(w.buf) {
		_, err := w.w.Write(b)
		return err
	}
	w.buf = append(w.buf, b...)
	return nil
}

func (w *writable) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// Finish implements objstorage.Writable.
func (w *writable) Finish() error {
	err := w.flush()
	if err == nil {
		err = w.w.Sync()
	}
	if cerr := w.w.Close(); err == nil {
		err = cerr
	}
	return err
}

// Abort implements objstorage.Writable.
func (w *writable) Abort() { _ = w.w.Close() }
