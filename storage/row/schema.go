package row

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage/vec"
)

// schema is a table's definition as its rows are encoded and read.
type schema struct {
	table *catalog.Table
	keys  []keyColumn
	byID  []int // ordinals by ascending column id
}

func newSchema(t *catalog.Table) *schema {
	s := &schema{table: t, keys: keyColumns(t), byID: make([]int, len(t.Columns))}
	for i := range s.byID {
		s.byID[i] = i
	}
	slices.SortFunc(s.byID, func(a, b int) int { return int(t.Columns[a].ID) - int(t.Columns[b].ID) })
	return s
}

// pk picks the primary key's columns from a batch with all of the table's.
func (s *schema) pk(b *vec.Batch) []*vec.Vec {
	cols := make([]*vec.Vec, len(s.table.PK))
	for i, o := range s.table.PK {
		cols[i] = b.Cols[o]
	}
	return cols
}
