package syscat

import (
	"context"
	"math"
	"strconv"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
)

// SlotInfo is a row of pg_replication_slots. Restart is the least number that the slot
// still needs, Lost why it cannot be read any more ("" while it can).
type SlotInfo struct {
	Name, Plugin, Table, Lost string
	Restart                   int64
}

func pgReplicationSlots(_ *Source, v View) []row {
	var out []row
	for _, s := range v.ReplicationSlots() {
		r := row{"slot_name": s.Name, "plugin": s.Plugin, "slot_type": "logical", "datoid": uint32(catalog.PostgresDatabaseOID), "database": v.Database(),
			"temporary": false, "active": false, "wal_status": "reserved", "two_phase": false}
		if s.Lost != "" {
			r["wal_status"] = "lost"
		} else {
			r["restart_lsn"], r["confirmed_flush_lsn"] = pgLSN(s.Restart), pgLSN(s.Restart)
		}
		out = append(out, r)
	}
	return out
}

// pgLSN is a number as pg_lsn prints it.
func pgLSN(n int64) string {
	return upperHex(uint64(n)>>32) + "/" + upperHex(uint64(n)&math.MaxUint32)
}

func upperHex(n uint64) string {
	b := []byte(strconv.FormatUint(n, 16))
	for i, c := range b {
		if c >= 'a' {
			b[i] = c - 'a' + 'A'
		}
	}
	return string(b)
}

func hgReplicationSlotProperties(_ *Source, v View) []row {
	var out []row
	for _, s := range v.ReplicationSlots() {
		out = append(out, row{"slot_name": s.Name, "property_key": "publication", "property_value": s.Table})
	}
	return out
}

// binlogCursor finds a place in a shard of a table's binlog: the row that the function
// of this name stands at, its number and its time in microseconds since 1970.
func (f *Functions) binlogCursor(a []types.Datum, find func(c *logCursor) (lsn, time int64, err error)) ([][]types.Datum, error) {
	oid, err := f.src.Names(f.view).RegOID(types.RegclassOID, a[0].S)
	if err != nil {
		return nil, err
	}
	n := f.view.Store().Snapshot()
	defer n.Close()
	t := n.Catalog().Table(oid)
	switch {
	case t == nil || t.Kind != catalog.KindTable:
		return nil, sqlstate.Errorf(sqlstate.WrongObjectType, "\"%s\" is not a table", a[0].S)
	case !t.KeepsBinlog():
		return nil, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "table \"%s\" has no binlog", t.Name).
			WithHint("Switch it on with ALTER TABLE %s SET (binlog_level = 'replica').", t.Name)
	}
	if ok, err := f.hasTablePrivilege(selectPrivilege, []types.Datum{types.NewInt(int64(oid)), str("select")}); err != nil {
		return nil, err
	} else if !ok.Bool() {
		return nil, sqlstate.Errorf(sqlstate.InsufficientPrivilege, "permission denied for table %s", t.Name)
	}
	b := t.Binlog()
	rel, err := n.Relation(b)
	if err != nil {
		return nil, err
	}
	r, ok := rel.(storage.BinlogRelation)
	if !ok || a[2].I < 0 || int(a[2].I) >= r.Shards() {
		return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "table \"%s\" has no shard %d", t.Name, a[2].I)
	}
	lsn, time, err := find(&logCursor{t: b, rel: r, shard: int(a[2].I), now: f.view.Now() + unixEpoch})
	if err != nil {
		return nil, err
	}
	return [][]types.Datum{{types.NewInt(lsn), types.NewInt(time)}}, nil
}

// unixEpoch is 2000-01-01 in microseconds since 1970.
const unixEpoch = 946684800000000

// selectPrivilege is has_table_privilege(oid, text).
var selectPrivilege = fn.ByOID(1927)

// logCursor looks for rows of one shard of a binlog.
type logCursor struct {
	t     *catalog.Table
	rel   storage.BinlogRelation
	shard int
	now   int64
}

// at is the row with the least (or greatest) number of those for which col is at least
// least.
func (c *logCursor) at(col int, least int64, greatest bool) (lsn, time int64, found bool, err error) {
	ge := &expr.Call{Op: ">=", Fn: fn.ByOID(472), T: types.Bool, Args: []expr.Expr{
		&expr.Column{ID: col, T: types.Int8}, &expr.Const{T: types.Int8, D: types.NewInt(least)}}}
	spec := &catalog.ScanSpec{Cols: []int{c.t.BinlogLSN(), c.t.BinlogTime()}, Filter: []expr.Expr{ge}, Limit: -1}
	splits, _, err := c.rel.Splits(context.Background(), spec)
	if err != nil {
		return 0, 0, false, err
	}
	r, err := c.rel.Reader(spec)
	if err != nil {
		return 0, 0, false, err
	}
	defer r.Close()
	for _, s := range splits {
		lo, hi := c.rel.Numbers(s)
		if s.Shard != c.shard || found && (greatest && hi <= lsn || !greatest && lo >= lsn) {
			continue
		}
		if err := r.Open(s); err != nil {
			return 0, 0, false, err
		}
		for {
			b, err := r.Next()
			if err != nil {
				return 0, 0, false, err
			}
			if b == nil {
				break
			}
			for k := range b.Rows() {
				i := b.Row(k)
				if n := b.Cols[0].Datum(i).I; !found || greatest == (n > lsn) {
					lsn, time, found = n, b.Cols[1].Datum(i).I, true
				}
			}
			if found && !greatest {
				break // numbers ascend within a split
			}
		}
	}
	return lsn, time, found, nil
}

func (f *Functions) cursorOf(a []types.Datum) ([][]types.Datum, error) {
	return f.binlogCursor(a, func(c *logCursor) (int64, int64, error) {
		switch a[1].S {
		case "OLDEST", "oldest":
			lsn, time, _, err := c.at(c.t.BinlogLSN(), 0, false)
			return lsn, time, err
		case "LATEST", "latest":
			lsn, time, _, err := c.at(c.t.BinlogLSN(), 0, true)
			return lsn, time, err
		}
		return 0, 0, sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid binlog cursor \"%s\"", a[1].S).WithHint("It is OLDEST or LATEST.")
	})
}

func (f *Functions) cursorByLSN(a []types.Datum) ([][]types.Datum, error) {
	return f.binlogCursor(a, func(c *logCursor) (int64, int64, error) {
		lsn, time, found, err := c.at(c.t.BinlogLSN(), a[1].I, false)
		if !found {
			return a[1].I, c.now, err
		}
		return lsn, time, err
	})
}

func (f *Functions) cursorByTime(a []types.Datum) ([][]types.Datum, error) {
	return f.binlogCursor(a, func(c *logCursor) (int64, int64, error) {
		from := a[1].I
		if from > math.MinInt64+unixEpoch && from < math.MaxInt64-unixEpoch {
			from += unixEpoch
		}
		if from > c.now {
			return 0, 0, sqlstate.Errorf(sqlstate.InvalidParameterValue, "Get binlog cursor in future time")
		}
		lsn, time, found, err := c.at(c.t.BinlogTime(), from, false)
		if found || err != nil {
			return lsn, time, err
		}
		last, _, _, err := c.at(c.t.BinlogLSN(), 0, true)
		return last + 1, c.now, err
	})
}

func init() {
	rowFuncs["hg_get_binlog_cursor"] = (*Functions).cursorOf
	rowFuncs["hg_get_binlog_cursor_by_lsn"] = (*Functions).cursorByLSN
	rowFuncs["hg_get_binlog_cursor_by_timestamp"] = (*Functions).cursorByTime
}
