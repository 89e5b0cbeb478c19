package segment

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// section is a checksummed run of bytes of the file.
type section struct {
	off int64
	len int
	crc uint32
}

// columnFooter is what the footer says of a column.
type columnFooter struct {
	Column
	blocks []section
	zones  []Zone
	zone   Zone
	sketch *Sketch
	dict   section // of the segment's dictionary; len 0 for none
	dictN  int
}

// footer describes a segment. Columns end with CSNColumn.
type footer struct {
	rows        int
	relativeCSN bool
	sort        []SortColumn
	key         []int32
	columns     []columnFooter
	index       section // key index
	filter      section // key filter
	sample      section
	sampleRows  int
}

func (e *encoder) section(s section) {
	e.uint(uint64(s.off))
	e.uint(uint64(s.len))
	e.u32(s.crc)
}

// section reads one that must lie within size bytes, after the head.
func (d *decoder) section(size int64) section {
	off, n, crc := d.uint(), d.uint(), d.u32()
	if n == 0 {
		return section{}
	}
	if off < headBytes || off > uint64(size) || n > uint64(size)-off || n > blockBytesMax {
		d.fail("section")
		return section{}
	}
	return section{int64(off), int(n), crc}
}

func (f *footer) append(b []byte) []byte {
	e := &encoder{b}
	e.uint(uint64(f.rows))
	e.bool(f.relativeCSN)
	e.uint(uint64(len(f.sort)))
	for _, s := range f.sort {
		e.int(int64(s.ID))
		e.bool(s.Desc)
	}
	e.uint(uint64(len(f.key)))
	for _, id := range f.key {
		e.int(int64(id))
	}
	e.section(f.index)
	e.section(f.filter)
	e.section(f.sample)
	e.uint(uint64(f.sampleRows))
	e.uint(uint64(len(f.columns)))
	for i := range f.columns {
		c := &f.columns[i]
		e.int(int64(c.ID))
		e.uint(uint64(c.T.OID))
		e.int(int64(c.T.Mod))
		e.byte(byte(c.T.Layout))
		e.int(int64(c.T.Scale))
		e.section(c.dict)
		e.uint(uint64(c.dictN))
		e.section(section{}) // room for a bitmap index
		e.zone(c.T, &c.zone)
		c.sketch.append(e)
		for b := range c.blocks {
			e.section(c.blocks[b])
			e.zone(c.T, &c.zones[b])
		}
	}
	return e.b
}

// parseFooter reads the footer of a file of this version.
func parseFooter(b []byte, size int64, version byte) (*footer, error) {
	d := &decoder{b: b}
	f := new(footer)
	rows := d.uint()
	if rows == 0 || rows > RowsMax {
		d.fail("row count")
	}
	f.rows = int(rows)
	f.relativeCSN = d.bool()
	for range d.count(2) {
		f.sort = append(f.sort, SortColumn{int32(d.int()), d.bool()})
	}
	for range d.count(1) {
		f.key = append(f.key, int32(d.int()))
	}
	f.index = d.section(size)
	if version > 1 {
		f.filter = d.section(size)
	}
	f.sample = d.section(size)
	f.sampleRows = int(min(d.uint(), SampleRows+1))
	if f.sampleRows > SampleRows {
		d.fail("sample")
	}
	for range d.count(20) {
		var c columnFooter
		c.ID = int32(d.int())
		c.T = types.T{OID: uint32(d.uint()), Mod: int32(d.int()), Layout: types.Layout(d.byte()), Scale: int16(d.int())}
		if !knownType(c.T) {
			d.fail("type")
		}
		for i := range f.columns {
			if f.columns[i].ID == c.ID {
				d.fail("column id")
			}
		}
		c.dict, c.dictN = d.section(size), int(min(d.uint(), vec.SegmentRows+1))
		if c.dictN > vec.SegmentRows {
			d.fail("dictionary")
		}
		d.section(size) // room for a bitmap index
		c.zone = d.zone(c.T, f.rows)
		c.sketch = d.sketch()
		for b := range blocks(f.rows) {
			if d.err != nil {
				break
			}
			c.blocks = append(c.blocks, d.section(size))
			c.zones = append(c.zones, d.zone(c.T, blockRows(f.rows, b)))
		}
		if d.err != nil {
			return nil, d.err
		}
		f.columns = append(f.columns, c)
	}
	if d.err == nil && len(d.b) != 0 {
		d.fail("end")
	}
	if n := len(f.columns); d.err == nil && (n == 0 || f.columns[n-1].ID != CSNColumn || f.columns[n-1].T != types.Int8) {
		d.fail("commits")
	}
	if d.err != nil {
		return nil, d.err
	}
	return f, nil
}

// knownType says whether a type's layout is one that values of it can have.
func knownType(t types.T) bool {
	if t.OID == types.NumericOID {
		return t.Layout == types.LayoutI64 || t.Layout == types.LayoutI128 || t.Layout == types.LayoutView
	}
	return t.Layout == types.Of(t.OID, t.Mod).Layout
}
