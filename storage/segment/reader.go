package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// Reader is an open segment. It is safe for concurrent use; each goroutine takes
// column readers of its own. It holds the footer in memory and reads the rest as
// it is wanted.
type Reader struct {
	name    string
	f       File
	mapped  []byte // nil when the file has no map
	size    int64
	foot    *footer
	csnBase int64
	lax     bool // fuzzing: wrong checksums of sections do not matter
	byID    map[int32]int
	// verified has a bit for each block of each column whose checksum was right.
	verified []atomic.Uint64
	// parsed has a bit for each block of the map that was parsed without an error.
	parsed []atomic.Uint64

	cache   *HeapCache // nil for none
	number  uint64     // in the cache
	scanned []atomic.Uint64

	mu     sync.Mutex
	dicts  []weak.Pointer[vec.Dictionary] // by column
	index  atomic.Pointer[keyIndex]
	filter atomic.Pointer[KeyFilter]
	points atomic.Pointer[[]points] // by key column, then the commits: see Ints
}

// Open reads the footer of a segment of this size. The reader owns f from then
// on. name is for messages.
func Open(f File, size int64) (*Reader, error) { return OpenNamed("", f, size) }

// OpenNamed is Open with the file's name for messages.
func OpenNamed(name string, f File, size int64) (*Reader, error) {
	r := &Reader{name: name, f: f, size: size}
	if size < headBytes+tailBytes {
		return nil, r.corrupt(0, "file too short", nil)
	}
	var head [headBytes]byte
	var tail [tailBytes]byte
	if err := r.readAt(head[:], 0); err != nil {
		return nil, err
	}
	if err := r.readAt(tail[:], size-tailBytes); err != nil {
		return nil, err
	}
	if string(head[:7]) != magic || string(tail[16:23]) != magic {
		return nil, r.corrupt(0, "not a segment", nil)
	}
	if head[7] < 1 || head[7] > formatVersion || tail[23] != head[7] {
		return nil, r.corrupt(7, fmt.Sprintf("format version %d is not known", tail[23]), nil)
	}
	n := binary.LittleEndian.Uint64(tail[:])
	if n > uint64(size-headBytes-tailBytes) {
		return nil, r.corrupt(size-tailBytes, "footer length", nil)
	}
	at := size - tailBytes - int64(n)
	b := make([]byte, n)
	if err := r.readAt(b, at); err != nil {
		return nil, err
	}
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(tail[8:]) {
		return nil, r.corrupt(at, "footer checksum", nil)
	}
	foot, err := parseFooter(b, at, head[7])
	if err != nil {
		return nil, r.corrupt(at, "footer", err)
	}
	r.foot = foot
	if m, ok := f.(mapper); ok {
		if b, err := m.Map(); err == nil && int64(len(b)) >= size {
			r.mapped = b[:size:size]
		}
	}
	r.byID = make(map[int32]int, len(foot.columns))
	for i := range foot.columns {
		r.byID[foot.columns[i].ID] = i
	}
	r.verified = make([]atomic.Uint64, (len(foot.columns)*blocksMax+63)/64)
	r.parsed = make([]atomic.Uint64, len(r.verified))
	r.dicts = make([]weak.Pointer[vec.Dictionary], len(foot.columns))
	return r, nil
}

const blocksMax = RowsMax / vec.BlockRows

func (r *Reader) corrupt(off int64, what string, err error) error {
	return &CorruptError{File: r.name, Offset: off, What: what, Err: err}
}

func (r *Reader) readAt(b []byte, off int64) error {
	if n, err := r.f.ReadAt(b, off); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			return r.corrupt(off, "file ends early", io.ErrUnexpectedEOF)
		}
		// The disk, not the bytes: a later read may work.
		return fmt.Errorf("%w: %w", sqlstate.Errorf(sqlstate.IOError, "could not read segment %s at offset %d: %v", r.name, off, err), err)
	}
	return nil
}

// Close closes the file. Nothing that came from the reader may be used then.
func (r *Reader) Close() error {
	if r.cache != nil {
		r.cache.forget(r.number)
	}
	return r.f.Close()
}

// Name is the file's name, for messages.
func (r *Reader) Name() string { return r.name }

// Rows is the number of rows, Blocks that of blocks.
func (r *Reader) Rows() int { return r.foot.rows }

// Blocks is the number of blocks.
func (r *Reader) Blocks() int { return blocks(r.foot.rows) }

// BlockRows is the number of rows in block b.
func (r *Reader) BlockRows(b int) int { return blockRows(r.foot.rows, b) }

// Vectors is the number of vectors.
func (r *Reader) Vectors() int { return (r.foot.rows + vec.Size - 1) / vec.Size }

// VectorRows is the number of rows in vector vi.
func (r *Reader) VectorRows(vi int) int { return min(vec.Size, r.foot.rows-vi*vec.Size) }

// Size is the file's size in bytes.
func (r *Reader) Size() int64 { return r.size }

// Sort is what the rows are sorted by, Key the key columns.
func (r *Reader) Sort() []SortColumn { return r.foot.sort }

// Key lists the key columns.
func (r *Reader) Key() []int32 { return r.foot.key }

// SortedByKey says whether the rows ascend by key, so that a key is found by
// binary search and there need be no index.
func (r *Reader) SortedByKey() bool { return sortedBy(r.foot.sort, r.foot.key) }

// Columns lists the columns, CSNColumn last.
func (r *Reader) Columns() []Column {
	cs := make([]Column, len(r.foot.columns))
	for i := range cs {
		cs[i] = r.foot.columns[i].Column
	}
	return cs
}

// Meta sums up the segment, with commits made absolute.
func (r *Reader) Meta() Meta {
	m := metaOf(r.foot, r.size)
	if r.foot.relativeCSN {
		m.CSNMin += r.csnBase
		m.CSNMax += r.csnBase
	}
	return m
}

// RelativeCSN says whether the commits in the file are relative.
func (r *Reader) RelativeCSN() bool { return r.foot.relativeCSN }

// SetCSNBase gives the base of relative commits, before the reader is shared.
func (r *Reader) SetCSNBase(base int64) { r.csnBase = base }

// verifiedBit is the bit of a block in verified.
func verifiedBit(col, block int) (word int, bit uint64) {
	i := col*blocksMax + block
	return i >> 6, 1 << (i & 63)
}

// section gives the bytes of a section: of the map, or read into buf or memory
// of its own. check asks for its checksum, which always reads the file, since a
// fault in a map kills a query and a failed read does not.
func (r *Reader) section(s section, check bool, what string) (b []byte, err error) {
	if r.mapped == nil {
		b = make([]byte, s.len)
		if err := r.readAt(b, s.off); err != nil {
			return nil, err
		}
		if check && crc32.Checksum(b, castagnoli) != s.crc && !r.lax {
			return nil, r.corrupt(s.off, what+" checksum", nil)
		}
		return b, nil
	}
	if check {
		if err := r.checkSection(s, what); err != nil {
			return nil, err
		}
	}
	return r.mapped[s.off : s.off+int64(s.len) : s.off+int64(s.len)], nil
}

var checkBufs = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// checkSection reads a section piece by piece and compares its checksum.
func (r *Reader) checkSection(s section, what string) error {
	p := checkBufs.Get().(*[]byte)
	defer checkBufs.Put(p)
	crc, off, left := uint32(0), s.off, s.len
	for left > 0 {
		b := (*p)[:min(left, len(*p))]
		if err := r.readAt(b, off); err != nil {
			return err
		}
		crc = crc32.Update(crc, castagnoli, b)
		off, left = off+int64(len(b)), left-len(b)
	}
	if crc != s.crc && !r.lax {
		return r.corrupt(s.off, what+" checksum", nil)
	}
	return nil
}

// block gives the bytes of a block of a column, checked when they are first
// touched.
func (r *Reader) block(col, block int) ([]byte, error) {
	s := r.foot.columns[col].blocks[block]
	if s.len == 0 {
		return nil, r.corrupt(s.off, fmt.Sprintf("column %d has no block %d", r.foot.columns[col].ID, block), nil)
	}
	w, bit := verifiedBit(col, block)
	fresh := r.verified[w].Load()&bit == 0
	b, err := r.section(s, fresh, "block")
	if err == nil && fresh {
		r.verified[w].Or(bit)
	}
	return b, err
}

// wasParsed says whether a block of the map needs no checks of its tables any more.
func (r *Reader) wasParsed(col, block int) bool {
	w, bit := verifiedBit(col, block)
	return r.parsed[w].Load()&bit != 0
}

func (r *Reader) setParsed(col, block int) {
	if w, bit := verifiedBit(col, block); r.mapped != nil {
		r.parsed[w].Or(bit)
	}
}

// dictionary gives the segment-wide dictionary of a column, decoded while
// someone uses it.
func (r *Reader) dictionary(col int, s *encoding.Scratch) (*vec.Dictionary, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if d := r.dicts[col].Value(); d != nil {
		return d, nil
	}
	c := &r.foot.columns[col]
	if c.dict.len == 0 {
		return nil, r.corrupt(0, fmt.Sprintf("column %d has no dictionary", c.ID), nil)
	}
	b, err := r.section(c.dict, true, "dictionary")
	if err != nil {
		return nil, err
	}
	d, err := encoding.ParseDictionary(b, c.dictN, c.T, s)
	if err != nil {
		return nil, r.corrupt(c.dict.off, "dictionary", err)
	}
	r.dicts[col] = weak.Make(d)
	return d, nil
}

// Verify reads and checks every byte of the segment that has a checksum.
func (r *Reader) Verify() error {
	for col := range r.foot.columns {
		c := &r.foot.columns[col]
		for b, s := range c.blocks {
			if err := r.checkSection(s, "block"); err != nil {
				return err
			}
			w, bit := verifiedBit(col, b)
			r.verified[w].Or(bit)
		}
		if c.dict.len > 0 {
			if err := r.checkSection(c.dict, "dictionary"); err != nil {
				return err
			}
		}
	}
	for _, s := range []section{r.foot.index, r.foot.filter, r.foot.sample} {
		if s.len > 0 {
			if err := r.checkSection(s, "section"); err != nil {
				return err
			}
		}
	}
	return nil
}

// HasKeyIndex says whether Lookup works.
func (r *Reader) HasKeyIndex() bool { return r.foot.index.len > 0 }

// keyIndex is the parsed index.
func (r *Reader) keyIndex() (*keyIndex, error) {
	x := r.index.Load()
	if x == nil {
		if !r.HasKeyIndex() {
			return nil, r.corrupt(0, "segment has no key index", nil)
		}
		b, err := r.section(r.foot.index, true, "key index")
		if err != nil {
			return nil, err
		}
		var bad string
		if x, bad = parseKeyIndex(b, r.foot.rows); bad != "" {
			return nil, r.corrupt(r.foot.index.off, bad, nil)
		}
		r.index.Store(x)
	}
	return x, nil
}

// Lookup calls emit for every row whose key may be one of those with these
// hashes (KeyHashes); i is the position in hashes. The caller compares the keys.
func (r *Reader) Lookup(hashes []uint32, emit func(i int, row uint32)) error {
	x, err := r.keyIndex()
	if err != nil {
		return err
	}
	if !x.lookup(hashes, emit) {
		return r.corrupt(r.foot.index.off, "key index", nil)
	}
	return nil
}

// IndexedHashes calls emit for the hash of every key, ascending, with its row: to
// build filters over several segments, or to merge indexes.
func (r *Reader) IndexedHashes(emit func(hash, row uint32)) error {
	x, err := r.keyIndex()
	if err != nil {
		return err
	}
	if !x.each(emit) {
		return r.corrupt(r.foot.index.off, "key index", nil)
	}
	return nil
}

// Sample is a batch of up to SampleRows rows from all over the segment, and the
// columns' ids. Columns of very long strings are missing.
func (r *Reader) Sample() (*vec.Batch, []int32, error) {
	s := r.foot.sample
	if s.len < 8 {
		return r.sampleData()
	}
	b, err := r.section(s, true, "sample")
	if err != nil {
		return nil, nil, err
	}
	n := binary.LittleEndian.Uint64(b)
	if n > uint64(len(b)-8)/8 || n > uint64(len(r.foot.columns)) {
		return nil, nil, r.corrupt(s.off, "sample", nil)
	}
	head, body := b[8:8+8*n], b[8+8*n:]
	out := &vec.Batch{N: r.foot.sampleRows}
	var ids []int32
	var blk encoding.Block
	scratch := new(encoding.Scratch)
	for i := range n {
		id, size := int32(binary.LittleEndian.Uint32(head[8*i:])), uint64(binary.LittleEndian.Uint32(head[8*i+4:]))
		c, ok := r.byID[id]
		if !ok || size > uint64(len(body)) {
			return nil, nil, r.corrupt(s.off, "sample", nil)
		}
		v := new(vec.Vec)
		err := blk.Parse(body[:size], r.foot.columns[c].T, out.N)
		if err == nil {
			err = blk.Vector(0, v, scratch)
		}
		if err != nil {
			return nil, nil, r.corrupt(s.off, "sample", err)
		}
		// The map may go before the sample does.
		own := vec.New(v.T, 0)
		own.Copy(v, nil, v.N)
		out.Cols = append(out.Cols, own)
		ids = append(ids, id)
		body = body[size:]
	}
	return out, ids, nil
}

// sampleData takes the sample of a small segment from its columns.
func (r *Reader) sampleData() (*vec.Batch, []int32, error) {
	k := min(r.Rows(), SampleRows)
	out := &vec.Batch{N: k}
	var ids []int32
	var v vec.Vec
	s := new(encoding.Scratch)
	var sel []uint16
	for i := range r.foot.columns {
		c := &r.foot.columns[i]
		if c.ID == CSNColumn {
			continue
		}
		cr, _ := r.ColumnOn(c.ID, s)
		own := vec.New(c.T, 0)
		bytes := 0
		for vi, next := 0, 0; vi < r.Vectors() && next < k; vi++ {
			if err := cr.Vector(vi, &v); err != nil {
				return nil, nil, err
			}
			sel = sel[:0]
			for ; next < k; next++ {
				row := next*r.Rows()/k - vi*vec.Size
				if row >= v.N {
					break
				}
				sel = append(sel, uint16(row))
				if c.T.Layout == types.LayoutView {
					bytes += int(v.Source().Views[v.Index(row)].Len)
				}
			}
			own.Copy(&v, sel, len(sel))
		}
		if bytes <= sampleBytesMax {
			out.Cols = append(out.Cols, own)
			ids = append(ids, c.ID)
		}
	}
	return out, ids, nil
}

// Guard runs f, turning a fault in a mapped file into an error.
func (r *Reader) Guard(f func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if p := recover(); p != nil {
			fault, ok := p.(interface{ Addr() uintptr })
			if !ok {
				panic(p)
			}
			err = sqlstate.Errorf(sqlstate.IOError, "could not read segment %s: fault at address %#x", r.name, fault.Addr())
		}
	}()
	return f()
}

// typeOf is a column's type in the file.
func (r *Reader) typeOf(col int) types.T { return r.foot.columns[col].T }
