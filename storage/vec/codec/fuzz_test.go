package codec

import (
	"testing"

	"github.com/millrace/millrace/catalog/types"
)

// FuzzCopy: however the input is cut into chunks, the rows or the error are the
// same; and rows that were read are written and read back.
func FuzzCopy(f *testing.F) {
	for _, s := range []string{"1\ta\t2020-01-01\n", "1,\"a\nb\"\"\",\n\\.\n", "a,b,c\r\n1,x,\r\n", "1\ta\\\nb\\x41\\101\t\\N\r", "\\.", "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff",
		"1,'a\\'b',\n", "1\t\\.\n", "1\ta\\.\n", "1,\"x\n", "\n", "\r\n\n"} {
		for k := uint8(0); k < 8; k++ {
			f.Add(k, uint8(3), s)
		}
	}
	f.Fuzz(func(t *testing.T, k, chunk uint8, in string) {
		o := DefaultCopyOptions(CopyFormat(k % 3))
		if o.Format == CopyCSV && k&8 != 0 {
			o.Quote, o.Escape = '\'', '\\'
		}
		if o.Format != CopyBinary && k&16 != 0 {
			o.Header = HeaderMatch
		}
		if o.Format != CopyBinary && k&32 != 0 {
			o.Null = "nil"
		}
		cols := []CopyColumn{{Name: "a", T: types.Text}, {Name: "b", T: types.Text}}
		if k&64 != 0 {
			cols[0].T = types.Int4
		}
		whole := readAll(t, cols, o, in, len(in)+1)
		cut := readAll(t, cols, o, in, int(chunk)%7+1)
		if whole != cut {
			t.Fatalf("%q:\nwhole %q\n  cut %q", in, whole, cut)
		}
	})
}
