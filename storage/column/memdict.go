package column

import (
	"sync"
	"sync/atomic"

	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

// memDictMax bounds the strings of a memtable's dictionary.
const memDictMax = 256

// memDict is the dictionary of one string column of a memtable, so that scans see
// codes there as they do in files. Readers make it, a vector of rows at a time, when
// they first meet it: writers pay nothing for it. It grows by copies that begin
// with what was there, so codes of earlier vectors hold in later dictionaries.
type memDict struct {
	cur  atomic.Pointer[vec.Dictionary]
	full atomic.Bool // too many strings: vectors without codes stay so

	mu     sync.Mutex
	short  map[vec.View]uint32 // strings that lie in their views
	long   map[string]uint32
	values *vec.Vec // of cur and beyond
}

// vectorCodes are the codes of one vector's rows, 0 under nulls.
type vectorCodes [vec.Size]uint32

// encode makes dst, a window on the whole of vector vi of a chunk's column, one of
// codes, unless the column has too many strings.
func (d *memDict) encode(m *memtable, cc *chunkCol, vi int, dst *vec.Vec) {
	codes := cc.codes[vi].Load()
	if codes == nil {
		if d.full.Load() {
			return
		}
		if codes = d.add(dst); codes == nil {
			return
		}
		if cc.codes[vi].CompareAndSwap(nil, codes) {
			m.bytes.Add(4 * vec.Size)
		}
	}
	// After the codes, so that it has all of their strings.
	dst.Form, dst.Dict, dst.Codes = vec.Dict, d.cur.Load(), codes[:]
	dst.Views, dst.Bufs = nil, nil
}

// add makes the codes of a whole vector of rows, nil when there are too many
// strings.
func (d *memDict) add(v *vec.Vec) *vectorCodes {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full.Load() {
		return nil
	}
	if d.values == nil {
		d.values, d.short, d.long = vec.New(v.T, 0), map[vec.View]uint32{}, map[string]uint32{}
	}
	codes := new(vectorCodes)
	known := d.values.N
	var last vec.View
	code, some := uint32(0), false
	for i, w := range v.Views[:vec.Size] {
		if v.Valid != nil && v.IsNull(i) {
			continue
		}
		if some && w == last { // of a long string, the same bytes
			codes[i] = code
			continue
		}
		var ok bool
		if w.Len <= vec.InlineMax {
			code, ok = d.short[w]
		} else {
			code, ok = d.long[string(v.Bytes(i))]
		}
		if !ok {
			code = uint32(d.values.N)
			if code == memDictMax {
				d.full.Store(true)
				d.short, d.long, d.values = nil, nil, nil
				return nil
			}
			d.values.AppendBytes(v.Bytes(i))
			if w.Len <= vec.InlineMax {
				d.short[w] = code
			} else {
				d.long[string(v.Bytes(i))] = code
			}
		}
		codes[i], last, some = code, w, true
	}
	if d.values.N == 0 {
		return nil // nothing but nulls
	}
	if d.values.N > known {
		// A copy, since the next string goes to the end of this one.
		values := vec.New(v.T, d.values.N)
		values.Copy(d.values, nil, d.values.N)
		d.cur.Store(&vec.Dictionary{Values: values, ID: encoding.NewDictionaryID()})
	}
	return codes
}
