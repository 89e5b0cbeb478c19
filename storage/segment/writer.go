package segment

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
	"slices"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// A string column keeps one dictionary for the whole segment while it stays
// below these bounds; its blocks' codes wait, packed, until the end, when they
// are put in the order of the strings. A block with many new strings leaves it.
const (
	segmentDictMax      = 1 << 16
	segmentDictBytesMax = 2 << 20
)

// Writer writes a segment. Rows arrive in the order they are kept in. It buffers
// one block of rows, and of columns with a segment-wide dictionary the codes.
type Writer struct {
	w      io.Writer
	off    int64
	schema Schema
	o      Options
	cols   []*columnWriter // the schema's columns, then CSNColumn
	key    []*columnWriter
	hashes []uint32 // of all keys, for index and filter
	index  bool
	filter bool
	rows   int // in blocks that are written
	n      int // in the block that fills
	bytes  int // of strings in it
	s      *encoding.Scratch
	buf    []byte
	wide   []uint64
	sel    []uint16
	err    error

	// What keepCodes works with: the codes of a block, which of them it has, and short
	// strings that came lately.
	codes  []uint64
	used   []uint32
	stamp  []uint8 // by code, 1 for those in used
	lately [512]lateString

	samples []*vec.Vec // per column, of all blocks
	sampled []int      // rows of each block in samples
}

type columnWriter struct {
	columnFooter
	v      *vec.Vec // rows of the block that fills
	isKey  bool
	sketch Sketch
	bytes  int64
	// segment-wide dictionary
	strs    *encoding.Strings // nil when the column does without
	pending []pendingBlock
}

// pendingBlock has the codes of a block in order of arrival, packed.
type pendingBlock struct {
	block  int
	nulls  *vec.Vec // N and Valid only
	width  uint
	packed []uint32
}

// NewWriter starts a segment on w.
func NewWriter(w io.Writer, schema Schema, o Options) *Writer {
	sw := &Writer{w: w, schema: schema, o: o, s: encoding.NewEncodeScratch()}
	for _, c := range slices.Concat(schema.Columns, []Column{{CSNColumn, types.Int8}}) {
		cw := &columnWriter{columnFooter: columnFooter{Column: c}, v: vec.New(c.T, 0),
			isKey: slices.Contains(schema.Key, c.ID)}
		if c.T.Layout == types.LayoutView && !cw.isKey {
			cw.strs = new(encoding.Strings)
		}
		sw.cols = append(sw.cols, cw)
		sw.samples = append(sw.samples, vec.New(c.T, 0))
	}
	for _, id := range schema.Key {
		i := slices.IndexFunc(sw.cols, func(c *columnWriter) bool { return c.ID == id })
		if i < 0 {
			sw.err = sqlstate.Errorf(sqlstate.InternalError, "key column %d is not in the segment", id)
			return sw
		}
		sw.key = append(sw.key, sw.cols[i])
	}
	sw.index = len(schema.Key) > 0 && o.KeyIndex >= 0 && (o.KeyIndex > 0 || !sortedBy(schema.Sort, schema.Key))
	sw.filter = len(schema.Key) > 0 && o.KeyIndex >= 0
	head := binary.LittleEndian.AppendUint64(nil, 0)
	copy(head, magic)
	head[7] = formatVersion
	sw.write(head)
	return sw
}

func (w *Writer) write(b []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(b)
	w.off += int64(n)
	w.err = err
}

// Rows is the number of rows appended so far.
func (w *Writer) Rows() int { return w.rows + w.n }

// Bytes is what the segment takes so far: bytes written, and strings that wait
// to be. Callers end a segment before it grows beyond what they want in a file.
func (w *Writer) Bytes() int64 { return w.off + int64(w.bytes) }

// Append adds the selected rows of b, whose columns are those of the schema, with
// the commit of each. A segment holds at most RowsMax rows.
func (w *Writer) Append(b *vec.Batch, csns []uint64) error {
	rows := b.Rows()
	if len(csns) != rows || len(b.Cols) != len(w.cols)-1 {
		return sqlstate.Errorf(sqlstate.InternalError, "batch of %d columns and %d rows with %d commits", len(b.Cols), rows, len(csns))
	}
	if w.Rows()+rows > RowsMax {
		return sqlstate.Errorf(sqlstate.InternalError, "segment of more than %d rows", RowsMax)
	}
	for from := 0; from < rows && w.err == nil; {
		n := min(rows-from, vec.BlockRows-w.n)
		w.append(b, from, n, csns[from:from+n])
		from += n
		if w.n == vec.BlockRows {
			w.flush()
		}
	}
	return w.err
}

// append adds n selected rows from number from on to the block.
func (w *Writer) append(b *vec.Batch, from, n int, csns []uint64) {
	sel := b.Sel
	switch {
	case sel != nil:
		sel = sel[from : from+n]
	case from > 0:
		w.sel = slices.Grow(w.sel[:0], n)[:n]
		for i := range w.sel {
			w.sel[i] = uint16(from + i)
		}
		sel = w.sel
	}
	for i, c := range b.Cols {
		cw := w.cols[i]
		at := cw.v.N
		if w.o.Lent && c.T.Layout == types.LayoutView {
			cw.v.CopyLent(c, sel, n)
		} else {
			cw.v.Copy(c, sel, n)
		}
		if cw.v.T.Layout == types.LayoutView {
			for _, x := range cw.v.Views[at:cw.v.N] {
				w.bytes += int(x.Len)
			}
		}
	}
	csn := w.cols[len(w.cols)-1].v
	csn.Grow(csn.N + n)
	for i, c := range csns {
		csn.I64[csn.N+i] = int64(c)
	}
	csn.N += n
	w.n += n
	if w.bytes > blockBytesMax && w.err == nil {
		w.err = sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "%d rows of a column segment hold more than %d bytes", w.n, blockBytesMax)
	}
}

// flush encodes and writes the block.
func (w *Writer) flush() {
	if w.err != nil || w.n == 0 {
		return
	}
	block := w.rows / vec.BlockRows
	w.wide = slices.Grow(w.wide[:0], w.n)[:w.n]
	w.sampleRows()
	for _, c := range w.cols {
		if !w.pace() {
			return
		}
		kernel.HashVec(w.wide, c.v, nil)
		c.blocks = append(c.blocks, section{})
		kept := c.strs != nil && w.keepCodes(c, block)
		var z Zone
		if kept && textual(c.T) {
			z = w.zoneOfCodes(c)
		} else {
			z = zoneOf(c.v)
			w.sketch(c, &z)
		}
		c.zones = append(c.zones, z)
		c.zone.merge(c.T, &z)
		if kept {
			continue
		}
		o := encoding.Options{Codec: w.o.Codec, Points: c.isKey}
		w.buf = encoding.Encode(w.buf[:0], c.v, o, w.s)
		w.writeBlock(c, block)
	}
	if w.index || w.filter {
		at := len(w.hashes)
		w.hashes = slices.Grow(w.hashes, w.n)[:at+w.n]
		vs := make([]*vec.Vec, len(w.key))
		for i, c := range w.key {
			vs[i] = c.v
		}
		KeyHashes(w.hashes[at:], vs, nil, w.wide)
	}
	for _, c := range w.cols {
		c.v.Recycle(c.T)
	}
	w.rows += w.n
	w.n, w.bytes = 0, 0
}

// pace calls the options' Pace, and is false when that ends the writing.
func (w *Writer) pace() bool {
	if w.o.Pace != nil && w.err == nil {
		w.err = w.o.Pace()
	}
	return w.err == nil
}

// sketch notes the block's values, whose hashes are in w.wide, and how many are distinct
// in it.
func (w *Writer) sketch(c *columnWriter, z *Zone) {
	var s Sketch
	if z.Nulls == 0 {
		s.Add(w.wide)
	} else { // nulls do not count
		for i := range w.wide {
			if !c.v.IsNull(i) {
				s.Add(w.wide[i : i+1])
			}
		}
	}
	z.Distinct = s.Estimate()
	c.sketch.Merge(&s)
}

// writeBlock writes w.buf as a block of c.
func (w *Writer) writeBlock(c *columnWriter, block int) {
	if len(w.buf) > blockBytesMax && w.err == nil {
		w.err = sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "a block of a column segment holds more than %d bytes", blockBytesMax)
	}
	c.blocks[block] = w.section(w.buf)
	c.bytes += int64(len(w.buf))
}

// section writes b at the next multiple of 8.
func (w *Writer) section(b []byte) section {
	if pad := align8(w.off) - w.off; pad > 0 {
		w.write(make([]byte, pad))
	}
	s := section{w.off, len(b), crc32.Checksum(b, castagnoli)}
	w.write(b)
	return s
}

// keepCodes adds the block's strings to the segment's dictionary and keeps the
// codes. It says false when the block is better encoded by itself.
func (w *Writer) keepCodes(c *columnWriter, block int) bool {
	had := c.strs.Len()
	if had == 0 && w.n > 4*vec.Size {
		// Hopeless columns are not tried: more than half of a sample distinct.
		if encoding.SampleDistinct(c.v, c.strs) > 0.5 {
			c.strs = nil
			return false
		}
		c.strs.Truncate(0)
	}
	codes := slices.Grow(w.codes[:0], w.n)[:w.n]
	w.codes = codes
	w.used = w.used[:0]
	// Short strings that came lately are known by their views.
	clear(w.lately[:])
	for i := range codes {
		if c.v.IsNull(i) {
			codes[i] = 0
			continue
		}
		view := c.v.Views[i]
		at := &w.lately[w.wide[i]>>8%uint64(len(w.lately))]
		if at.is && at.view == view {
			codes[i] = uint64(at.code)
			continue
		}
		code := c.strs.Add(c.v.Bytes(i), w.wide[i])
		codes[i] = uint64(code)
		w.use(code)
		if view.Len <= vec.InlineMax {
			*at = lateString{view, code, true}
		}
		if c.strs.Len()-had > w.n/4+16 || c.strs.Len() > segmentDictMax || c.strs.Bytes() > segmentDictBytesMax {
			for _, code := range w.used {
				w.stamp[code] = 0
			}
			c.strs.Truncate(had)
			if had == 0 {
				c.strs = nil
			}
			return false
		}
	}
	for _, code := range w.used {
		w.stamp[code] = 0
	}
	p := pendingBlock{block: block, nulls: &vec.Vec{N: w.n}}
	if c.v.Valid != nil {
		p.nulls.Valid = slices.Clone(c.v.Valid[:vec.Words(w.n)])
	}
	p.width = uint(bits.Len(uint(max(c.strs.Len()-1, 0))))
	p.packed = make([]uint32, kernel.PackedWords(w.n, p.width))
	for at := 0; at < w.n; at += kernel.GroupSize {
		g := at / kernel.GroupSize * 16 * int(p.width)
		kernel.PackGroup(p.packed[g:g+16*int(p.width)], codes[at:min(at+kernel.GroupSize, w.n)], p.width)
	}
	c.pending = append(c.pending, p)
	return true
}

// lateString is a string of at most vec.InlineMax bytes and its code.
type lateString struct {
	view vec.View
	code uint32
	is   bool
}

// use notes a code of the block that fills.
func (w *Writer) use(code uint32) {
	if int(code) >= len(w.stamp) {
		w.stamp = append(w.stamp, make([]uint8, max(int(code)+1-len(w.stamp), 256))...)
	}
	if w.stamp[code] == 0 {
		w.stamp[code] = 1
		w.used = append(w.used, code)
	}
}

// textual says whether a type's values are in the order of their bytes and have the
// hashes of those, so that what is known of a dictionary's strings is known of rows.
func textual(t types.T) bool { return t.OID == types.TextOID || t.OID == types.VarcharOID }

// zoneOfCodes is zoneOf and sketch for a block whose codes were just kept: each of its
// strings is looked at once.
func (w *Writer) zoneOfCodes(c *columnWriter) Zone {
	z := Zone{Rows: w.n, MinExact: true, MaxExact: true}
	if c.v.Valid != nil {
		z.Nulls = w.n - vec.Count(c.v.Valid, w.n)
	}
	var s Sketch
	if z.Nulls < w.n {
		lo, hi := c.strs.At(int(w.used[0])), c.strs.At(int(w.used[0]))
		for _, code := range w.used {
			b := c.strs.At(int(code))
			if bytes.Compare(b, lo) < 0 {
				lo = b
			}
			if bytes.Compare(b, hi) > 0 {
				hi = b
			}
			s.add(c.strs.Hash(int(code)))
		}
		z.Min, z.Max = types.NewString(string(lo)), types.NewString(string(hi))
		z.cut(c.T)
	}
	z.Distinct = s.Estimate()
	c.sketch.Merge(&s)
	return z
}

// writeCodes writes the dictionary and the blocks that wait for it.
func (w *Writer) writeCodes(c *columnWriter) {
	if len(c.pending) == 0 {
		return
	}
	if c.strs.Len() == 0 { // nothing but nulls
		c.strs.Add(nil, 0)
	}
	order, ranks := c.strs.Sorted()
	if c.strs.Len() > 1 || len(c.pending) > 1 {
		w.buf = c.strs.AppendHeap(w.buf[:0], order, encoding.NoCodec, w.s)
		c.dict, c.dictN = w.section(w.buf), len(order)
		c.bytes += int64(len(w.buf))
	}
	var group [kernel.GroupSize]int64
	codes := make([]int64, 0, vec.BlockRows)
	for _, p := range c.pending {
		n := p.nulls.N
		codes = codes[:0]
		for at := 0; at < n; at += kernel.GroupSize {
			g := at / kernel.GroupSize * 16 * int(p.width)
			kernel.UnpackI64(&group, p.packed[g:g+16*int(p.width)], p.width, 0)
			for _, x := range group[:min(kernel.GroupSize, n-at)] {
				codes = append(codes, int64(ranks[x]))
			}
		}
		if c.dictN == 0 {
			w.buf = encoding.EncodeConstString(w.buf[:0], p.nulls, c.strs.At(0))
		} else {
			w.buf = encoding.EncodeCodes(w.buf[:0], p.nulls, codes, c.dictN, w.s)
		}
		w.writeBlock(c, p.block)
	}
	c.pending = nil
}

// sampleRows takes up to SampleRows rows of the block at even distances.
func (w *Writer) sampleRows() {
	k := min(w.n, SampleRows)
	if len(w.sampled) == 0 && w.n <= sampleFromData {
		return // the only block, and small
	}
	sel := make([]uint16, k)
	// A stride that is not a power of two, from a start that varies by block.
	start := uint64(len(w.sampled)) * 7919
	for i := range sel {
		sel[i] = uint16((uint64(i)*uint64(w.n) + start%uint64(max(w.n/k, 1))*uint64(k)) / uint64(k))
	}
	for i, c := range w.cols {
		w.samples[i].Copy(c.v, sel, k)
	}
	w.sampled = append(w.sampled, k)
}

// sampleFromData is the number of rows up to which a segment has no sample: it
// is taken from the columns when asked for.
const sampleFromData = 4 * vec.Size

// sampleBytesMax bounds what a column may add to the sample.
const sampleBytesMax = 1 << 20

// writeSample writes SampleRows rows, each block's share of them: number of
// columns u32, then for each its id i32 and its bytes u32, then the columns as
// blocks. Columns of very long strings are left out.
func (w *Writer) writeSample() (section, int) {
	total := 0
	for _, k := range w.sampled {
		total += k
	}
	rows := min(total, SampleRows)
	sel := make([]uint16, rows) // fewer than 65,536 rows in all samples
	for i := range sel {
		sel[i] = uint16(i * total / rows)
	}
	var head, body []byte
	cols := 0
	for i, c := range w.cols {
		if c.ID == CSNColumn {
			continue
		}
		v := vec.New(c.T, 0)
		v.Copy(w.samples[i], sel, rows)
		bytes := 0
		if c.T.Layout == types.LayoutView {
			for _, x := range v.Views[:v.N] {
				bytes += int(x.Len)
			}
		}
		if bytes > sampleBytesMax {
			continue
		}
		at := len(body)
		body = encoding.Encode(body, v, encoding.Options{Codec: w.o.Codec}, w.s)
		head = binary.LittleEndian.AppendUint32(head, uint32(c.ID))
		head = binary.LittleEndian.AppendUint32(head, uint32(len(body)-at))
		cols++
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(cols))
	return w.section(slices.Concat(b, head, body)), rows
}

// Finish writes what is left and the footer. The caller syncs and closes the
// file. A segment has at least one row.
func (w *Writer) Finish() (Meta, error) {
	if w.err == nil && w.Rows() == 0 {
		w.err = sqlstate.Errorf(sqlstate.InternalError, "segment without rows")
	}
	w.flush()
	if w.err != nil {
		return Meta{}, w.err
	}
	f := footer{rows: w.rows, relativeCSN: w.o.RelativeCSN, sort: w.schema.Sort, key: w.schema.Key}
	for _, c := range w.cols {
		if !w.pace() {
			return Meta{}, w.err
		}
		w.writeCodes(c)
	}
	if w.index {
		f.index = w.section(buildKeyIndex(w.hashes))
	}
	if w.filter && w.rows >= filterRowsMin {
		if pad := -w.off & (filterBlockBytes - 1); pad > 0 { // a block is in one line of the processor's cache
			w.write(make([]byte, pad))
		}
		f.filter = w.section(buildFilter(w.hashes))
	}
	if w.rows > sampleFromData {
		f.sample, f.sampleRows = w.writeSample()
	}
	for _, c := range w.cols {
		c.zone.Distinct = min(c.sketch.Estimate(), float64(c.zone.Rows-c.zone.Nulls))
		c.columnFooter.sketch = &c.sketch
		f.columns = append(f.columns, c.columnFooter)
	}
	if pad := align8(w.off) - w.off; pad > 0 {
		w.write(make([]byte, pad))
	}
	b := f.append(nil)
	n := len(b)
	crc := crc32.Checksum(b, castagnoli)
	b = binary.LittleEndian.AppendUint64(b, uint64(n))
	b = binary.LittleEndian.AppendUint32(b, crc)
	b = append(b, 0, 0, 0, 0)
	b = append(b, magic...)
	b = append(b, formatVersion)
	w.write(b)
	if w.err != nil {
		return Meta{}, w.err
	}
	return metaOf(&f, w.off), nil
}

func metaOf(f *footer, size int64) Meta {
	m := Meta{Rows: f.rows, Bytes: size}
	for i := range f.columns {
		c := &f.columns[i]
		cm := ColumnMeta{Column: c.Column, Zone: c.zone, Sketch: c.sketch, Bytes: int64(c.dict.len)}
		for _, b := range c.blocks {
			cm.Bytes += int64(b.len)
		}
		if c.ID == CSNColumn {
			m.CSNMin, m.CSNMax = c.zone.Min.I, c.zone.Max.I
		}
		m.Columns = append(m.Columns, cm)
	}
	return m
}
