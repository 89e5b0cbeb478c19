package catalog

import "slices"

// The values of the table property orientation.
const (
	OrientationColumn = "column"
	OrientationRow    = "row"
	OrientationHybrid = "row,column"
)

// Orientation says how the table's rows are stored.
func (t *Table) Orientation() string {
	switch o := t.Props["orientation"]; o {
	case OrientationRow, OrientationHybrid:
		return o
	}
	return OrientationColumn
}

// StoresRows says whether the table has row tablets.
func (t *Table) StoresRows() bool { return !t.IsBinlog && t.Orientation() != OrientationColumn }

// StoresColumns says whether it has column tablets, as hybrid tables do too.
func (t *Table) StoresColumns() bool { return t.IsBinlog || t.Orientation() != OrientationRow }

// RowKey is the order of the table's rows in its row tablets: the clustering key,
// where all its columns are of the primary key, and then the rest of the primary key.
// All columns of the primary key are in it.
func (t *Table) RowKey() []SortColumn {
	var out []SortColumn
	has := func(o int) bool {
		return slices.ContainsFunc(out, func(c SortColumn) bool { return c.Ordinal == o })
	}
	for _, c := range t.Clustering {
		if !slices.Contains(t.PK, c.Ordinal) || has(c.Ordinal) {
			out = nil
			break
		}
		out = append(out, c)
	}
	for _, o := range t.PK {
		if !has(o) {
			out = append(out, SortColumn{Ordinal: o})
		}
	}
	return out
}
