package types

import (
	"bytes"
	"testing"
)

// checkKey checks the key encoding of two values against Compare, up and down,
// and that keys decode to equal values.
func checkKey(t *testing.T, typ T, x, y Datum) {
	t.Helper()
	if !KeyOrdered(typ) {
		return
	}
	for _, desc := range []bool{false, true} {
		kx, ky := AppendKey(nil, typ, x, desc), AppendKey(nil, typ, y, desc)
		want := Compare(typ, x, y)
		if desc {
			want = -want
		}
		if got := bytes.Compare(kx, ky); got != want {
			t.Errorf("keys of %v and %v (descending %v): %d, want %d", x, y, desc, got, want)
		}
		for _, d := range []Datum{x, y} {
			back, rest, err := DecodeKey(typ, append(AppendKey(nil, typ, d, desc), 7), desc)
			if err != nil || !Equal(typ, back, d) || len(rest) != 1 {
				t.Errorf("key of %v reads back as %v, rest %x (%v)", d, back, rest, err)
			}
		}
	}
}
