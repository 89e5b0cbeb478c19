package bind

import (
	"slices"
	"strings"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
)

// hiddenNames are the columns of tables that * leaves out. A query that names one of
// the binlog's reads the binlog in the place of the table.
var hiddenNames = [...]string{catalog.ShardColumn, catalog.BinlogLSNColumn, catalog.BinlogTypeColumn, catalog.BinlogTimeColumn}

// notHidden is what is found where no column has a name.
const notHidden = -100

// namesBinlog says whether a text may name columns of binlogs.
func namesBinlog(text string) bool { return strings.Contains(strings.ToLower(text), "hg_binlog_") }

// hiddenAt is the number of a hidden column of r, as value takes it.
func (r *rel) hiddenAt(name string) int {
	i := slices.Index(hiddenNames[:], name)
	if i < 0 || r.scan == nil || r.table == nil || r.table.Kind != catalog.KindTable || i > 0 && (r.written || !r.table.KeepsBinlog()) {
		return notHidden
	}
	return -1 - i
}

// localHidden finds an unqualified hidden column in this level.
func (q *query) localHidden(name string, loc int32) (found *rel, at int, err error) {
	if !strings.HasPrefix(name, "hg_") {
		return nil, 0, nil
	}
	for _, r := range q.ns {
		if !r.relVisible || !q.sees(r) {
			continue
		}
		i := r.hiddenAt(name)
		if i == notHidden {
			continue
		}
		if found != nil {
			return nil, 0, q.b.errf(loc, sqlstate.AmbiguousColumn, "column reference \"%s\" is ambiguous", name)
		}
		found, at = r, i
	}
	return found, at, nil
}

// hiddenColumn is the id of a hidden column of r's scan.
func (r *rel) hiddenColumn(name string) int {
	if id := r.hidden[name]; id != 0 {
		return id
	}
	ord := catalog.ColShard
	if name != catalog.ShardColumn {
		if !r.scan.Table.IsBinlog {
			r.scan.Table = r.table.Binlog()
		}
		ord = r.scan.Table.Ordinal(name)
	}
	if r.hidden == nil {
		r.hidden = map[string]int{}
	}
	r.hidden[name] = r.q.b.scanColumn(r, ord)
	return r.hidden[name]
}
