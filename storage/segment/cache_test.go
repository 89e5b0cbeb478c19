package segment

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/segment/encoding"
	"github.com/millrace/millrace/storage/vec"
)

type bytesFile struct{ *bytes.Reader }

func (bytesFile) Close() error { return nil }

// TestHeapCache scans a compressed column again and again: the strings stay the same,
// the cache fills at the second scan, keeps to its size and lets go on Close.
func TestHeapCache(t *testing.T) {
	const rows = 3 * vec.BlockRows / 2
	var file bytes.Buffer
	w := NewWriter(&file, Schema{Columns: []Column{{1, types.Text}}}, Options{Codec: encoding.S2})
	text := func(i int) string { return fmt.Sprintf("http://example.org/section/%d/page/%d", i/100, i*7919) }
	for at := 0; at < rows; at += vec.Size {
		b := vec.NewBatch([]types.T{types.Text})
		n := min(vec.Size, rows-at)
		for i := range n {
			b.Cols[0].AppendString(text(at + i))
		}
		b.N = n
		if err := w.Append(b, make([]uint64, n)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	scan := func(r *Reader) {
		t.Helper()
		c, _ := r.Column(1)
		var v vec.Vec
		for vi := range r.Vectors() {
			if err := c.Vector(vi, &v); err != nil {
				t.Fatal(err)
			}
			for i := range v.N {
				if got := v.String(i); got != text(vi*vec.Size+i) {
					t.Fatalf("row %d: %q", vi*vec.Size+i, got)
				}
			}
		}
		if err := c.Gather(1, []uint16{5, 2000}, &v); err != nil || v.String(1) != text(vec.Size+2000) {
			t.Fatal(err, v.String(1))
		}
	}
	// The first block has some 2.5 MB of strings, the second half of that.
	for _, room := range []int64{0, 16 << 20, 64 << 20} {
		cache := NewHeapCache(room)
		r, err := Open(bytesFile{bytes.NewReader(file.Bytes())}, int64(file.Len()))
		if err != nil {
			t.Fatal(err)
		}
		r.SetCache(cache)
		scan(r)
		if n := cache.Bytes(); n != 0 {
			t.Errorf("room %d: %d bytes after one scan", room, n)
		}
		scan(r)
		full := cache.Bytes()
		scan(r)
		if n := cache.Bytes(); n != full || n > room || (n > 0) != (room > 0) {
			t.Errorf("room %d: %d bytes, then %d", room, full, n)
		}
		r.Close()
		if n := cache.Bytes(); n != 0 {
			t.Errorf("room %d: %d bytes after Close", room, n)
		}
	}
}
