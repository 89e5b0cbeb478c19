package tablet

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/vec"
)

// script runs transactions line by line. A line is a session and a command:
//
//	a begin [rr] [auto] [async]     explicit unless auto
//	a insert|upsert t 1=x 2=y
//	a update t 1=x 2=y              from what the session's snapshot has; READ COMMITTED
//	a key t 1=5 …                   changes keys      re-evaluates on the newest row: if
//	a delete t 1 2                  its value still has the value's old first letter
//	a scan t
//	a savepoint · a rollbackto 0 · a commit · a rollback
//	a create t [nopk] · a drop t · a truncate t · a addcol t
//	flush · compact · restart · crash seed
//
// With & before the command it runs beside the others, and "a wait" tells how it
// ended.
type script struct {
	t    *testing.T
	disk *blob.Mem
	s    *Store
	ses  map[string]*session
}

type session struct {
	x    storage.Txn
	done chan string
}

func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		sc := &script{t: t, disk: blob.NewMem(), ses: map[string]*session{}}
		sc.s = openMem(t, sc.disk)
		defer func() { sc.s.Close() }()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var out strings.Builder
			for _, line := range strings.Split(d.Input, "\n") {
				if r := sc.line(line); r != "" {
					fmt.Fprintf(&out, "%s: %s\n", line, r)
				}
			}
			if out.Len() == 0 {
				return "ok\n"
			}
			return out.String()
		})
	})
}

func (sc *script) line(line string) string {
	f := strings.Fields(line)
	switch f[0] {
	case "flush":
		return say(sc.s.Flush(bg))
	case "compact":
		return say(errors.Join(sc.s.Flush(bg), sc.s.Compact(bg, 0)))
	case "restart", "crash":
		for _, ss := range sc.ses {
			if ss.x != nil {
				ss.x.Rollback()
			}
		}
		clear(sc.ses)
		seed := uint64(0)
		if f[0] == "restart" {
			if err := sc.s.Close(); err != nil {
				return say(err)
			}
		} else {
			sc.disk.Stop()
			sc.s.opts.Fatal = func(error) {}
			sc.s.Close()
			seed, _ = strconv.ParseUint(f[1], 10, 64)
		}
		sc.disk = sc.disk.Crash(seed)
		sc.s = openMem(sc.t, sc.disk)
		return ""
	}
	ss := sc.ses[f[0]]
	if ss == nil {
		ss = &session{}
		sc.ses[f[0]] = ss
	}
	if f[1] == "wait" {
		select {
		case r := <-ss.done:
			return r
		case <-time.After(time.Minute):
			return "still waits"
		}
	}
	if f[1] == "&" {
		ss.done = make(chan string, 1)
		waits := sc.s.locks.Waits()
		go func() { ss.done <- sc.run(ss, f[2], f[3:]) }()
		for range 60_000 { // until it waits, or is through
			if len(ss.done) > 0 || sc.s.locks.Waits() > waits {
				break
			}
			time.Sleep(time.Millisecond)
		}
		return ""
	}
	return sc.run(ss, f[1], f[2:])
}

func say(err error) string {
	if err == nil {
		return ""
	}
	e := sqlstate.From(err)
	s := fmt.Sprintf("%s %s", e.Code, e.Message)
	if e.Detail != "" {
		s += " | " + e.Detail
	}
	return s
}

func (sc *script) run(ss *session, cmd string, args []string) string {
	if cmd == "begin" {
		o := storage.TxnOptions{Explicit: true}
		for _, a := range args {
			switch a {
			case "rr":
				o.Isolation = storage.RepeatableRead
			case "auto":
				o.Explicit = false
			case "async":
				o.Async = true
			}
		}
		ss.x = sc.s.Begin(o)
		return ""
	}
	auto := ss.x == nil
	if auto {
		ss.x = sc.s.Begin(storage.TxnOptions{})
	}
	r := sc.command(ss, cmd, args)
	if cmd == "commit" || cmd == "rollback" {
		ss.x = nil
		return r
	}
	if auto {
		if r == "" || cmd == "scan" {
			_, err := ss.x.Commit(bg)
			if err != nil {
				r = say(err)
			}
		} else {
			ss.x.Rollback()
		}
		ss.x = nil
	}
	return r
}

func (sc *script) command(ss *session, cmd string, args []string) string {
	x := ss.x
	switch cmd {
	case "commit":
		_, err := x.Commit(bg)
		return say(err)
	case "rollback":
		x.Rollback()
		return ""
	case "savepoint":
		x.Savepoint()
		return ""
	case "rollbackto":
		n, _ := strconv.Atoi(args[0])
		return say(x.RollbackTo(n))
	case "create":
		t := kvTable(sc.s, x, args[0], len(args) < 2)
		return say(x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{t.OID: t}}))
	}
	tab := x.Catalog().TableNamed(catalog.PublicSchemaOID, args[0])
	if tab == nil {
		return "no table"
	}
	args = args[1:]
	switch cmd {
	case "drop":
		return say(x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: nil}}))
	case "truncate":
		return say(x.Change(bg, &catalog.Delta{Truncated: []uint32{tab.OID}}))
	case "addcol":
		n := *tab
		n.SchemaVersion++
		n.Columns = append(n.Columns[:len(n.Columns):len(n.Columns)],
			catalog.Column{ID: n.NextColumnID, Name: "c", T: types.Int8, Missing: types.NewInt(-7)})
		n.NextColumnID++
		return say(x.Change(bg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &n}}))
	case "insert", "upsert":
		op := storage.OpInsert
		if cmd == "upsert" {
			op = storage.OpUpsert
		}
		_, err := x.Write(bg, &storage.Mutation{Table: tab, Op: op, Rows: rowsBatch(tab, pairs(args))})
		return say(err)
	}
	n, err := x.Snapshot()
	if err != nil {
		return say(err)
	}
	defer n.Close()
	rows, keys, csns := scan(sc.t, n, tab)
	switch cmd {
	case "scan":
		sort.Strings(rows)
		r, _ := n.Relation(tab)
		if c, exact := r.RowCount(); exact && int(c) != len(rows) {
			return fmt.Sprintf("%d rows, but RowCount says %d", len(rows), c)
		}
		return "(" + strings.Join(rows, " ") + ")"
	case "update", "key", "delete":
		return sc.change(x, tab, cmd, args, rows, keys, csns)
	}
	return "what?"
}

func pairs(args []string) (out []kv) {
	for _, a := range args {
		k, v, _ := strings.Cut(a, "=")
		n, _ := strconv.Atoi(k)
		out = append(out, kv{n, v})
	}
	return out
}

func (sc *script) change(x storage.Txn, tab *catalog.Table, cmd string, args, rows []string, keys, csns []int64) string {
	m := &storage.Mutation{Table: tab, Op: storage.OpUpdate}
	keyT := types.Int8
	if len(tab.PK) > 0 {
		keyT = types.Int4
	}
	m.Keys = vec.NewBatch([]types.T{keyT})
	m.OldCSN = vec.New(types.Int8, 8)
	var news []kv
	want := map[int]string{} // old key → new value or key
	for _, p := range pairs(args) {
		want[p.k] = p.v
	}
	make1 := func(k int, old string) kv {
		if cmd == "key" {
			n, _ := strconv.Atoi(want[k])
			return kv{n, old}
		}
		return kv{k, want[k]}
	}
	letter := map[int]string{}
	for i, r := range rows {
		ks, v, _ := strings.Cut(r, "=")
		k, _ := strconv.Atoi(ks)
		if _, ok := want[k]; !ok {
			continue
		}
		m.Keys.Cols[0].AppendDatum(types.NewInt(keys[i]))
		m.OldCSN.AppendDatum(types.NewInt(csns[i]))
		m.Keys.N++
		letter[k] = v[:1]
		news = append(news, make1(k, v))
	}
	if cmd == "delete" {
		m.Op = storage.OpDelete
	} else {
		m.Rows = rowsBatch(tab, news)
	}
	m.Resolve = func(_ context.Context, old *vec.Batch) (*vec.Batch, []uint16, error) {
		var again []kv
		var keep []uint16
		for i := range old.N {
			k, v := int(old.Cols[0].Datum(i).I), old.Cols[1].Datum(i).S
			if v[:1] == letter[k] {
				keep = append(keep, uint16(i))
				n := make1(k, v)
				if cmd == "update" {
					n.v += "+" + v
				}
				again = append(again, n)
			}
		}
		return rowsBatch(tab, again), keep, nil
	}
	if m.Keys.N == 0 {
		return "0 rows"
	}
	_, err := x.Write(bg, m)
	return say(err)
}
