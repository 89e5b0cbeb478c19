package crash

import (
	"fmt"
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage"
)

// logRow is a row of a binlog, or a marker.
type logRow struct {
	shard, lsn, event, time, csn, k int64
	v                               string
}

// checkBinlog replays a table's binlog from nothing and compares what comes of it
// with the table, both as the snapshot has them.
func checkBinlog(n storage.Snapshot, t *catalog.Table, want map[int64]string) error {
	rows, err := readBinlog(n, t)
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b logRow) int { return int(a.lsn - b.lsn) })
	last := map[int64]*logRow{} // by shard
	got := map[int64]string{}
	for i := range rows {
		r := &rows[i]
		p := last[r.shard]
		last[r.shard] = r
		if p != nil && (p.lsn == r.lsn || p.csn > r.csn || p.time > r.time || p.csn == r.csn && p.time != r.time) || r.lsn >= r.csn {
			return fmt.Errorf("binlog of %s: %+v follows %+v", t.Name, *r, p)
		}
		after := r.event == int64(storage.EventAfterUpdate)
		if before := p != nil && p.event == int64(storage.EventBeforeUpdate); before != after || after && (p.lsn+1 != r.lsn || p.csn != r.csn) {
			return fmt.Errorf("binlog of %s: no pair: %+v follows %+v", t.Name, *r, p)
		}
		old, is := got[r.k]
		switch storage.Event(r.event) {
		case storage.EventInsert, storage.EventAfterUpdate:
			if is {
				return fmt.Errorf("binlog of %s: %+v, but there is %q; of the key: %+v", t.Name, *r, old, ofKey(rows, r.k))
			}
			got[r.k] = r.v
		case storage.EventDelete, storage.EventBeforeUpdate:
			if !is || old != r.v {
				return fmt.Errorf("binlog of %s: %+v, but there is %v %q; of the key: %+v", t.Name, *r, is, old, ofKey(rows, r.k))
			}
			delete(got, r.k)
		case storage.EventTruncate:
			clear(got)
		default:
			return fmt.Errorf("binlog of %s: %+v", t.Name, *r)
		}
	}
	if d := diff(state{t.Name: {rows: want}}, state{t.Name: {rows: got}}); d != "" {
		return fmt.Errorf("replayed binlog: %s", d)
	}
	return nil
}

// ofKey lists the rows of one key, and the markers.
func ofKey(rows []logRow, k int64) (out []logRow) {
	for _, r := range rows {
		if r.k == k || r.event > int64(storage.EventAfterUpdate) {
			out = append(out, r)
		}
	}
	return out
}

func readBinlog(n storage.Snapshot, t *catalog.Table) (out []logRow, err error) {
	b := t.Binlog()
	b.Markers = true
	r, err := n.Relation(b)
	if err != nil {
		return nil, err
	}
	spec := &catalog.ScanSpec{Cols: []int{0, 1, b.BinlogLSN(), b.BinlogType(), b.BinlogTime(), catalog.ColCSN, catalog.ColShard}, Limit: -1}
	splits, _, err := r.Splits(bg, spec)
	if err != nil {
		return nil, err
	}
	rd, err := r.Reader(spec)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	for _, sp := range splits {
		if err := rd.Open(sp); err != nil {
			return nil, err
		}
		for {
			b, err := rd.Next()
			if err != nil {
				return nil, err
			}
			if b == nil {
				break
			}
			for j := range b.Rows() {
				i := b.Row(j)
				at := func(c int) int64 { return b.Cols[c].Datum(i).I }
				out = append(out, logRow{at(6), at(2), at(3), at(4), at(5), at(0), b.Cols[1].Datum(i).S})
			}
		}
	}
	return out, nil
}
