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

// laterProp marks a table whose binlog was switched on when it had rows already.
const laterProp = "crash.later"

// logState is what a binlog has told of a key.
type logState struct {
	is bool
	v  string
}

// checkBinlog replays a table's binlog from nothing and compares what comes of it
// with the table, both as the snapshot has them. Of a binlog with a gap, or that began
// later than the table, it is known only what it has told of keys since.
func checkBinlog(n storage.Snapshot, t *catalog.Table, want map[int64]string) error {
	rows, err := readBinlog(n, t)
	if err != nil {
		return err
	}
	slices.SortFunc(rows, func(a, b logRow) int { return int(a.lsn - b.lsn) })
	last := map[int64]*logRow{} // by shard
	known, full, gap := map[int64]logState{}, t.Props[laterProp] == "", int64(0)
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
		if gap != 0 && gap != r.csn {
			// Any change of that commit may be missing.
			clear(known)
			gap = 0
		}
		old, seen := known[r.k]
		seen = seen || full
		switch storage.Event(r.event) {
		case storage.EventInsert, storage.EventAfterUpdate:
			if old.is && gap == 0 {
				return fmt.Errorf("binlog of %s: %+v, but there is %q; of the key: %+v", t.Name, *r, old.v, ofKey(rows, r.k))
			}
			known[r.k] = logState{true, r.v}
		case storage.EventDelete, storage.EventBeforeUpdate:
			if seen && gap == 0 && (!old.is || old.v != r.v) {
				return fmt.Errorf("binlog of %s: %+v, but there is %v %q; of the key: %+v", t.Name, *r, old.is, old.v, ofKey(rows, r.k))
			}
			known[r.k] = logState{}
		case storage.EventTruncate:
			clear(known)
			full = true
		case storage.EventGap:
			clear(known)
			full, gap = false, r.csn
		default:
			return fmt.Errorf("binlog of %s: %+v", t.Name, *r)
		}
	}
	if gap != 0 {
		return nil
	}
	for k, s := range known {
		if v, is := want[k]; is != s.is || v != s.v {
			return fmt.Errorf("table %s: row %d is %v %q, by its binlog %v %q: %+v", t.Name, k, is, v, s.is, s.v, ofKey(rows, k))
		}
	}
	for k, v := range want {
		if _, is := known[k]; !is && full {
			return fmt.Errorf("table %s: the binlog lacks row %d=%q: %+v", t.Name, k, v, ofKey(rows, k))
		}
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
