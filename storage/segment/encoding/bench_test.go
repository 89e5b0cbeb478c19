package encoding

import (
	"testing"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// BenchmarkVector decodes 32 vectors of one block; ns/op divided by 65,536 is
// the time a row.
func BenchmarkVector(b *testing.B) {
	enc, dec := NewEncodeScratch(), new(Scratch)
	for _, c := range []struct {
		name  string
		t     types.T
		shape string
		o     Options
	}{
		{"frame13/i64", types.Int8, "wide13", Options{}}, {"frame13/i32", types.Int4, "wide13", Options{}},
		{"delta/i64", types.Int8, "rising", Options{}}, {"runs/i64", types.Int8, "runs", Options{}},
		{"dict/i64", types.Int8, "few", Options{}}, {"decimal/f64", types.Float8, "wide13", Options{}},
		{"heap/text", types.Text, "wide40", Options{}}, {"heap/text-s2", types.Text, "wide40", Options{Codec: S2}},
		{"heap/text-zstd", types.Text, "wide40", Options{Codec: Zstd}}, {"dict/text", types.Text, "few", Options{}},
	} {
		v := fill(c.t, c.shape, vec.BlockRows, 0, 1)
		data := Encode(nil, v, c.o, enc)
		b.Run(c.name, func(b *testing.B) {
			var blk Block
			if err := blk.Parse(data, c.t, v.N); err != nil {
				b.Fatal(err)
			}
			var dst vec.Vec
			b.ReportAllocs()
			for b.Loop() {
				for vi := range 32 {
					if err := blk.Vector(vi, &dst, dec); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(v.N), "ns/row")
		})
	}
}

// BenchmarkFilter runs a comparison over 32 packed vectors.
func BenchmarkFilter(b *testing.B) {
	enc, dec := NewEncodeScratch(), new(Scratch)
	for _, c := range []struct {
		name  string
		t     types.T
		shape string
		d     types.Datum
	}{
		{"frame13/i64", types.Int8, "wide13", types.NewInt(4000)}, {"dict/text", types.Text, "few", types.NewString("5")},
		{"heap/text", types.Text, "wide40", types.NewString("5")},
	} {
		v := fill(c.t, c.shape, vec.BlockRows, 0, 1)
		data := Encode(nil, v, Options{}, enc)
		b.Run(c.name, func(b *testing.B) {
			var blk Block
			if err := blk.Parse(data, c.t, v.N); err != nil {
				b.Fatal(err)
			}
			p := ComparePred(c.t, kernel.GT, c.d)
			var sel [32]uint64
			b.ReportAllocs()
			for b.Loop() {
				for vi := range 32 {
					kernel.Ones(sel[:], vec.Size)
					if err := blk.Filter(vi, p, sel[:], dec); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(v.N), "ns/row")
		})
	}
}
