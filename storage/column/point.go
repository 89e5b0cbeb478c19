package column

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// Point looks up rows of one tablet by their full key, one at a time, in memory that is
// kept. Unlike a Snapshot it pins nothing between look-ups. It is for one goroutine at
// a time.
type Point struct {
	t     *Tablet
	snap  Snapshot // says how columns are found; never one of its own
	cols  []int
	part  part
	keys  keySet
	place [1]place
	sel   [1]uint16
}

// Point makes a reader of columns (ordinals of table, or hidden).
func (t *Tablet) Point(table *catalog.Table, cols []int) (*Point, error) {
	p := &Point{t: t, cols: cols}
	p.snap.t, p.snap.table = t, table
	return p, p.snap.checkSpec(&catalog.ScanSpec{Cols: cols})
}

// Get appends the row of the one key as a snapshot at a CSN sees it, if there is one.
// The caller has published at that CSN before and after, so that nothing has been
// dropped meanwhile that a snapshot there sees; if not, the result says nothing.
func (p *Point) Get(at storage.CSN, keys, out *vec.Batch) error {
	v := p.t.pinAt(at)
	defer p.t.unpin(v)
	p.keys.set(keys.Cols, 1)
	p.place[0] = place{}
	defer p.forget()
	l := p.t.newLookup(v, at, everyMemtable)
	err := l.find(&p.keys, p.place[:])
	l.free()
	pl := &p.place[0]
	if err != nil || !pl.found() {
		return err
	}
	p.snap.v, p.snap.at = v, at
	p.part.mem, p.part.seg, p.part.at, p.part.rows = pl.mem, pl.seg, at, pl.row+1
	size := uint32(vec.Size)
	if pl.seg != nil {
		size = vec.BlockRows
	}
	base := pl.row / size * size
	p.sel[0] = uint16(pl.row - base)
	r := readers.Get().(*Reader)
	r.reset(&p.snap, p.cols)
	err = r.rows(&p.part, base, p.sel[:], out)
	r.free()
	return err
}

// forget lets go of what belongs to the version.
func (p *Point) forget() {
	p.snap.v, p.part.mem, p.part.seg = nil, nil, nil
	p.place[0] = place{}
	p.keys.cols = nil
}
