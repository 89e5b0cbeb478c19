package row

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// SetConfig is what a Set needs to write files.
type SetConfig struct {
	Files    blob.Dir
	NextFile func() string
	// Number is the set's in Sets: what its rows carry in the place of a commit.
	Number uint64
	// RunBytes is how much of it is sorted in memory at a time, TableBytes the size
	// of the files that it becomes.
	RunBytes, TableBytes int
	// Options are those of Pebble's files.
	Options sstable.WriterOptions
	// Judges says that the row tablet decides conflicts; in a hybrid table the column
	// tablet does.
	Judges bool
}

// Set is what a transaction does to one row tablet, when that is too large to stay in
// memory. Its changes go to sorted runs; Finish merges these to files that Pebble takes
// in as they are, one change a key. Used by one goroutine at a time.
type Set struct {
	cfg    SetConfig
	sch    *schema
	prefix []byte

	buf    []byte
	ops    []setOp
	runs   []*run
	merged bool
	// inserts: all of it is; decides: some of it depends on the rows that there are.
	inserts, decides bool
	tables           []TableFile
	first, last      []byte // keys
}

// TableFile is one of the files that a set became.
type TableFile struct {
	Name string
	Size int64
	Rows int // changes
}

// setOp is a change in the buffer: its key, and the value behind it if it has one.
type setOp struct {
	at, keyLen, valueLen int
	sort                 uint64 // the key's first bytes behind the prefix
	expect               storage.CSN
	flags                byte
}

// Flags of a change.
const (
	opRemoves = 1 << iota // no value
	opInserts             // the key must be absent
	opExpects             // the key's row must be of this commit
)

// ErrChanged says that a row is not the version any more that a set replaces.
var ErrChanged = errors.New("row has been replaced")

// DuplicateKeyError is an insert of a key that is there. Keys has it.
type DuplicateKeyError struct{ Keys *vec.Batch }

func (e *DuplicateKeyError) Error() string { return "duplicate key" }

// NewSet makes an empty set for a shard of a table.
func NewSet(table *catalog.Table, shard int, cfg SetConfig) *Set {
	return &Set{cfg: cfg, sch: newSchema(table), prefix: tabletPrefix(table.OID, shard), inserts: true}
}

// SetSchema takes over a definition of the table that the transaction made; chunks
// from the next on have its columns.
func (s *Set) SetSchema(table *catalog.Table) {
	if s.sch.table != table {
		s.sch = newSchema(table)
	}
}

// Add adds the changes of chunks.
func (s *Set) Add(ctx context.Context, chunks []storage.Chunk) error {
	for ci := range chunks {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		c := &chunks[ci]
		s.inserts = s.inserts && c.Op == storage.OpInsert
		for i := 0; i < c.Len(); i++ {
			s.add(c, i)
		}
		if len(s.buf) >= s.cfg.RunBytes {
			if err := s.writeRun(); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds operation i of a chunk.
func (s *Set) add(c *storage.Chunk, i int) {
	o := setOp{at: len(s.buf)}
	if c.Keys != nil {
		s.buf = s.sch.appendKey(append(s.buf, s.prefix...), c.Keys.Cols, i)
		o.keyLen, o.flags = len(s.buf)-o.at, opRemoves
		if c.OldCSN != nil && c.OldCSN[i] != 0 {
			o.flags, o.expect = o.flags|opExpects, c.OldCSN[i]
			s.decides = true
		}
	}
	if c.Rows != nil {
		n := setOp{at: len(s.buf)}
		s.buf = s.sch.appendKey(append(s.buf, s.prefix...), s.sch.pk(c.Rows), i)
		switch {
		case c.Keys == nil:
			n.keyLen = len(s.buf) - n.at
			if c.Op == storage.OpInsert {
				n.flags, s.decides = opInserts, true
			}
			o = n
		case bytes.Equal(s.buf[o.at:n.at], s.buf[n.at:]):
			s.buf = s.buf[:n.at]
			o.flags &^= opRemoves
		default: // an update that changes the key
			s.push(o)
			n.keyLen, n.flags = len(s.buf)-n.at, opInserts
			o, s.decides = n, true
		}
		from := len(s.buf)
		s.buf = s.sch.appendValue(s.buf, c.Rows.Cols, i)
		s.buf[from] = setVersion
		binary.LittleEndian.PutUint64(s.buf[from+1:], s.cfg.Number)
		o.valueLen = len(s.buf) - from
	}
	s.push(o)
}

func (s *Set) push(o setOp) {
	var b [8]byte
	copy(b[:], s.buf[o.at+len(s.prefix):o.at+o.keyLen])
	o.sort = binary.BigEndian.Uint64(b[:])
	s.ops = append(s.ops, o)
}

func (s *Set) key(o *setOp) []byte { return s.buf[o.at : o.at+o.keyLen] }

func (s *Set) value(o *setOp) []byte {
	if o.valueLen == 0 {
		return nil
	}
	return s.buf[o.at+o.keyLen : o.at+o.keyLen+o.valueLen]
}

// sorted sorts the buffer by key, and by operation where it is the same.
func (s *Set) sorted() {
	by := func(a, b setOp) int {
		if a.sort != b.sort {
			return cmp.Compare(a.sort, b.sort)
		}
		if c := bytes.Compare(s.key(&a), s.key(&b)); c != 0 {
			return c
		}
		return cmp.Compare(a.at, b.at)
	}
	if !slices.IsSortedFunc(s.ops, by) {
		slices.SortFunc(s.ops, by)
	}
}

// writeRun moves the buffer to a file.
func (s *Set) writeRun() error {
	s.sorted()
	r := &run{files: s.cfg.Files, name: s.cfg.NextFile()}
	s.runs = append(s.runs, r) // whatever comes of it, Close removes it
	w, err := r.create()
	if err != nil {
		return err
	}
	for i := range s.ops {
		o := &s.ops[i]
		if err := w.put(o.flags, o.expect, s.key(o), s.value(o)); err != nil {
			w.close()
			return err
		}
	}
	s.buf, s.ops = s.buf[:0], s.ops[:0]
	return w.close()
}

// Inserts says that the set has nothing but inserts: whether their keys are new can be
// checked when the set is finished.
func (s *Set) Inserts() bool { return s.inserts }

// Decides says that the rows that there are decide about some of it.
func (s *Set) Decides() bool { return s.cfg.Judges && s.decides }

// Finish merges the set to files. base is the state that it comes upon, which nobody
// changes until the commit, or nil where that does not matter or is empty.
func (s *Set) Finish(ctx context.Context, base *Tablet) error {
	if s.merged {
		return nil
	}
	s.merged = true
	if len(s.runs) > 0 && len(s.ops) > 0 {
		if err := s.writeRun(); err != nil {
			return err
		}
		s.buf, s.ops = nil, nil
	}
	s.sorted()
	w := tableWriter{s: s}
	err := s.merge(ctx, base, func(key, value []byte) error {
		if s.first == nil {
			s.first = bytes.Clone(key)
		}
		s.last = append(s.last[:0], key...)
		return w.put(key, value)
	})
	if cerr := w.finish(); err == nil {
		err = cerr
	}
	return err
}

// Check sees that no key of a finished set of inserts is in base, which nobody changes
// until the commit.
func (s *Set) Check(ctx context.Context, base *Tablet) error {
	if s.first == nil {
		return nil
	}
	end := append(bytes.Clone(s.last), 0)
	some, err := base.any(ctx, s.first, end)
	if err != nil || !some {
		return err
	}
	return s.merge(ctx, base, func(_, _ []byte) error { return nil })
}

// any says whether there are rows between two keys, the second excluded.
func (t *Tablet) any(ctx context.Context, from, to []byte) (bool, error) {
	src := t.sourceOf(t.cfg.DB)
	it, err := src.iter(ctx, t.prefix, from, to)
	if err != nil {
		return false, err
	}
	defer it.Close()
	return it.First(), it.Error()
}

// merge calls f with the last change of each key, in the order of the keys. Where the
// row tablet judges it looks at what each key had before.
func (s *Set) merge(ctx context.Context, base *Tablet, f func(key, value []byte) error) error {
	m, err := s.cursors()
	if err != nil {
		return err
	}
	defer m.close()
	var b *baseCursor
	if s.cfg.Judges && base != nil {
		if b, err = newBaseCursor(ctx, base, s.prefix); err != nil {
			return err
		}
		defer b.it.Close()
	}
	var key, value []byte
	for n := 0; m.on(); n++ {
		if n&1023 == 1023 {
			if err := context.Cause(ctx); err != nil {
				return err
			}
		}
		c := m.top()
		key = append(key[:0], c.key...)
		had, known := false, false // a row after the operations so far
		for first := true; m.on() && bytes.Equal(m.top().key, key); first = false {
			c := m.top()
			if s.cfg.Judges {
				if first && b != nil && c.flags&(opInserts|opExpects) != 0 {
					csn, err := b.commit(key)
					if err != nil {
						return err
					}
					had, known = csn != 0, true
					if c.flags&opExpects != 0 && csn != c.expect {
						return ErrChanged
					}
				}
				switch {
				case c.flags&opInserts != 0 && known && had:
					return s.duplicate(c.value)
				case c.flags&opExpects != 0 && !first:
					return ErrChanged
				}
				had, known = c.flags&opRemoves == 0, true
			}
			value = append(value[:0], c.value...)
			if err := m.next(); err != nil {
				return err
			}
		}
		if err := f(key, value); err != nil {
			return err
		}
	}
	return nil
}

// duplicate is the error for a row whose key is there.
func (s *Set) duplicate(value []byte) error {
	d, b := s.sch.images(1)
	if err := d.row(value, 0); err != nil {
		return err
	}
	b.N = 1
	keys := &vec.Batch{N: 1}
	for _, o := range s.sch.table.PK {
		keys.Cols = append(keys.Cols, b.Cols[o])
	}
	return &DuplicateKeyError{Keys: keys}
}

// Tables are the files that a finished set became.
func (s *Set) Tables() []TableFile { return s.tables }

// Changes is how many rows the set changes, and how many bytes they are.
func (s *Set) Changes() (rows int, bytes int64) {
	for _, t := range s.tables {
		rows += t.Rows
		bytes += t.Size
	}
	return rows, bytes
}

// Number is the set's number in Sets.
func (s *Set) Number() uint64 { return s.cfg.Number }

// Bytes is the memory that the set takes.
func (s *Set) Bytes() int64 { return int64(cap(s.buf)) + 64*int64(cap(s.ops)) }

// Committed tells that the files belong to the store now.
func (s *Set) Committed() { s.tables = nil }

// Close removes what no commit took over.
func (s *Set) Close() {
	for _, r := range s.runs {
		_ = s.cfg.Files.Remove(r.name)
	}
	for _, t := range s.tables {
		_ = s.cfg.Files.Remove(t.Name)
	}
	s.runs, s.tables, s.buf, s.ops = nil, nil, nil, nil
}

// baseCursor looks up keys, which rise, in a tablet's rows.
type baseCursor struct {
	t  *Tablet
	it *iter
	on bool
}

func newBaseCursor(ctx context.Context, t *Tablet, prefix []byte) (*baseCursor, error) {
	src := t.sourceOf(t.cfg.DB)
	it, err := src.iter(ctx, prefix, prefix, PrefixEnd(prefix))
	if err != nil {
		return nil, err
	}
	return &baseCursor{t: t, it: it, on: it.First()}, nil
}

// commit is that of a key's row, 0 for none.
func (b *baseCursor) commit(key []byte) (storage.CSN, error) {
	if b.on && bytes.Compare(b.it.Key(), key) < 0 {
		if b.on = b.it.Next(); b.on && bytes.Compare(b.it.Key(), key) < 0 {
			b.on = b.it.SeekGE(key)
		}
	}
	if !b.on {
		return 0, b.it.Error()
	}
	if !bytes.Equal(b.it.Key(), key) {
		return 0, nil
	}
	v, err := b.it.ValueAndErr()
	if err != nil {
		return 0, err
	}
	csn, err := b.t.cfg.Sets.commit(v)
	if err != nil || uint64(csn) < b.t.from.Load() {
		return 0, err
	}
	return csn, nil
}
