package column

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
)

// Column ids of hidden columns in segments. Ids of table columns are positive.
const (
	csnColumnID   int32 = -1
	rowIDColumnID int32 = -2
	shardColumnID int32 = -3 // never stored
)

// Column ids of a binlog that the tablet itself looks at.
const (
	logLSNID  int32 = catalog.BinlogLSNID
	logTimeID int32 = catalog.BinlogTimeID
)

// schema is a table as its parts store it: columns by stable id. A memtable and a
// reader each have one; they differ after DDL.
type schema struct {
	table *catalog.Table
	// cols are the table's columns, then the hidden row id for a table without a
	// primary key.
	cols []types.T
	ids  []int32
	// keys are the positions in cols of the key: primary key columns in key order,
	// or the row id.
	keys  []int
	rowID int // position of the hidden row id, or -1
	// log marks a binlog: rows are only appended, in the order of their key, and
	// never looked up.
	log bool
}

func newSchema(t *catalog.Table) *schema {
	s := &schema{table: t, rowID: -1, log: t.IsBinlog}
	for i := range t.Columns {
		s.cols = append(s.cols, t.Columns[i].T)
		s.ids = append(s.ids, t.Columns[i].ID)
	}
	s.keys = t.PK
	if s.log {
		s.keys = []int{t.BinlogLSN()}
		return s
	}
	if len(t.PK) == 0 {
		s.rowID = len(s.cols)
		s.cols = append(s.cols, types.Int8)
		s.ids = append(s.ids, rowIDColumnID)
		s.keys = []int{s.rowID}
	}
	return s
}

// bounded says whether a binlog's memtables keep bounds of column k.
func (s *schema) bounded(k int) bool { return k == s.table.BinlogLSN() || k == s.table.BinlogTime() }

// find is the position of a column id, or -1.
func (s *schema) find(id int32) int {
	for i, x := range s.ids {
		if x == id {
			return i
		}
	}
	return -1
}
