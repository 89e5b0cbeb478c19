package op

import (
	"testing"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// A statement of one row takes no room for a batch of them: garbage of single-row
// statements is what the collector works for beside look-ups.
func TestValuesRoom(t *testing.T) {
	for _, rows := range []int{1, 3, vec.Size + 1} {
		o := &Values{Types: []types.T{types.Int8}, Size: vec.Size}
		for i := range rows {
			o.Rows = append(o.Rows, []expr.Expr{&expr.Const{T: types.Int8, D: types.Datum{Valid: true, I: int64(i)}}})
		}
		seen := 0
		for {
			b, err := o.Next()
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			if c := b.Cols[0]; cap(c.I64) > max(2*rows, 16) || c.I64[0] != int64(seen) {
				t.Fatalf("%d rows: room for %d, first value %d", rows, cap(c.I64), c.I64[0])
			}
			seen += b.N
		}
		if seen != rows {
			t.Fatalf("%d rows of %d", seen, rows)
		}
	}
	if n := cap(grown([]uint32(nil), 1)); n > grownSmall {
		t.Fatalf("room for %d rows of one", n)
	}
}
