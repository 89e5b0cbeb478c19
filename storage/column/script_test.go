package column

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/vec"
)

// TestScripts runs testdata/scripts. A commit's lines are operations:
//
//	insert k n s | upsert k n s | update k n s [old=csn] | delete k [old=csn]
//
// On a table without a primary key update and delete name row ids, -1-ordinal for
// rows of the same commit.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/scripts", func(t *testing.T, path string) {
		var s *script
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "new" {
				s = &script{h: newHarness(t, testTable(!d.HasArg("nokey"), d.HasArg("clustered"))), snaps: map[string]*Snapshot{}, d: d}
				return ""
			}
			s.h.t, s.d = t, d
			return s.run()
		})
	})
}

type script struct {
	h     *harness
	d     *datadriven.TestData
	snaps map[string]*Snapshot
	over  *Overlay
	own   *chunker
}

func (s *script) run() string {
	h := s.h
	switch s.d.Cmd {
	case "commit":
		csn, conflicts := h.commit(s.chunks(&chunker{}))
		if len(conflicts) > 0 {
			return conflictText(conflicts)
		}
		return fmt.Sprintf("csn %d\n", csn)
	case "abort":
		p, err := h.tab.Prepare(context.Background(), s.chunks(&chunker{}).chunks)
		if err != nil {
			return err.Error() + "\n"
		}
		defer p.Release()
		st, conflicts, _ := p.Stage()
		if len(conflicts) > 0 {
			return conflictText(conflicts)
		}
		st.Abort()
		return "aborted\n"
	case "read":
		snap, done := s.at()
		defer done()
		return strings.Join(append(scan(h.t, snap, &catalog.ScanSpec{Cols: s.cols(), Limit: -1}), ""), "\n")
	case "get":
		keys := s.ints(s.d.Input)
		t := types.Int4
		if len(h.table.PK) == 0 {
			t = types.Int8
		}
		snap, done := s.at()
		defer done()
		out := &vec.Batch{}
		for _, c := range s.cols() {
			out.Cols = append(out.Cols, vec.New(snap.columnType(c), 1))
		}
		idx, err := snap.Get(context.Background(), keysBatch(t, keys), s.cols(), out, nil)
		if err != nil {
			return err.Error() + "\n"
		}
		lines := make([]string, len(keys))
		for i := range keys {
			lines[i] = fmt.Sprintf("%d: none\n", keys[i])
		}
		for i, k := range idx {
			lines[k] = fmt.Sprintf("%d: %s\n", keys[k], rowText(out, i))
		}
		return strings.Join(lines, "")
	case "pin":
		name := s.d.CmdArgs[0].Key
		s.snaps[name] = h.tab.Snapshot(h.pub)
		h.live = append(h.live, h.pub)
		return fmt.Sprintf("%s at %d\n", name, h.pub)
	case "unpin":
		name := s.d.CmdArgs[0].Key
		at := s.snaps[name].at
		s.snaps[name].Close()
		delete(s.snaps, name)
		for i, l := range h.live {
			if l == at {
				h.live = append(h.live[:i], h.live[i+1:]...)
				break
			}
		}
		return ""
	case "flush":
		return editText(h.flush())
	case "compact":
		return editText(h.compact())
	case "truncate":
		h.next++
		h.pub = storage.CSN(h.next - 1)
		h.tab.Truncate(h.pub)
		return fmt.Sprintf("csn %d\n", h.pub)
	case "add-column":
		t := *h.table
		t.Columns = append(append([]catalog.Column(nil), t.Columns...), catalog.Column{ID: t.NextColumnID, Name: s.d.CmdArgs[0].Key,
			T: types.Int8, Missing: types.NewInt(int64(s.int("missing")))})
		t.NextColumnID++
		h.table = &t
		h.tab.SetSchema(&t)
		return ""
	case "reopen":
		if err := h.tab.Close(); err != nil {
			return err.Error() + "\n"
		}
		h.open()
		return ""
	case "state":
		var b strings.Builder
		for _, g := range h.tab.cur.segs {
			fmt.Fprintf(&b, "segment %d rows, %d dead, csn %d..%d\n", g.info.Rows, g.del.Load().upTo(latest).count(), g.csnMin(), g.csnMax())
		}
		for _, m := range h.tab.cur.mems {
			fmt.Fprintf(&b, "memtable %d rows, %d dead\n", m.rows.Load(), m.dead.Load())
		}
		fmt.Fprintf(&b, "F %d, oldest unflushed %d\n", h.tab.Checkpoint(), h.tab.OldestUnflushed())
		return b.String()
	case "files":
		infos, _ := h.dir.List()
		n := map[string]int{}
		for _, i := range infos {
			n[i.Name[strings.LastIndex(i.Name, "."):]]++
		}
		return fmt.Sprintf("%d segments, %d deletes\n", n[SegmentSuffix], n[DeletesSuffix])
	case "begin":
		s.over, s.own = NewOverlay(h.table, 0, h.dir, h.nextFile, h.lim), &chunker{}
		return ""
	case "write":
		s.chunks(s.own)
		return ""
	case "spill":
		rest, err := s.over.Spill(context.Background(), s.own.chunks, nil)
		if err != nil {
			return err.Error() + "\n"
		}
		s.own.chunks = rest
		return fmt.Sprintf("%d chunks left\n", len(rest))
	case "end":
		sides, err := s.over.Sides()
		if err != nil {
			return err.Error() + "\n"
		}
		p, err := h.tab.PrepareSides(context.Background(), s.own.chunks, sides)
		if err != nil {
			return err.Error() + "\n"
		}
		csn, conflicts := h.stage(p, s.own)
		p.Release()
		if len(conflicts) == 0 {
			s.over.Committed(true)
		}
		s.over.Close()
		s.over = nil
		if len(conflicts) > 0 {
			return conflictText(conflicts)
		}
		return fmt.Sprintf("csn %d\n", csn)
	}
	return "unknown command\n"
}

// at is the snapshot that the command names, or the newest state, with the open
// transaction's rows when it says so.
func (s *script) at() (snap *Snapshot, done func()) {
	for _, a := range s.d.CmdArgs {
		switch a.Key {
		case "pinned":
			return s.snaps[a.Vals[0]], func() {}
		case "at":
			n, _ := strconv.Atoi(a.Vals[0])
			snap = s.h.tab.Snapshot(storage.CSN(n)).For(s.h.table)
			return snap, snap.Close
		case "own":
			n, err := s.over.Over(s.h.tab.Snapshot(s.h.pub), s.own.chunks)
			if err != nil {
				s.h.t.Fatal(err)
			}
			return n, n.Close
		}
	}
	snap = s.h.tab.Snapshot(s.h.pub)
	return snap, snap.Close
}

func (s *script) int(key string) int {
	for _, a := range s.d.CmdArgs {
		if a.Key == key {
			n, _ := strconv.Atoi(a.Vals[0])
			return n
		}
	}
	return 0
}

func (s *script) cols() []int {
	cols := allColumns(s.h.table)
	for _, a := range s.d.CmdArgs {
		switch a.Key {
		case "csn":
			cols = append(cols, catalog.ColCSN)
		case "rowid":
			cols = append(cols, catalog.ColRowID)
		}
	}
	return cols
}

func (s *script) ints(in string) []int64 {
	var out []int64
	for _, f := range strings.Fields(in) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			s.h.t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

func (s *script) chunks(ch *chunker) *chunker {
	kt := types.Int4
	if len(s.h.table.PK) == 0 {
		kt = types.Int8
	}
	for _, line := range strings.Split(strings.TrimSpace(s.d.Input), "\n") {
		f := strings.Fields(line)
		var old []storage.CSN
		if v, ok := strings.CutPrefix(f[len(f)-1], "old="); ok {
			n, _ := strconv.Atoi(v)
			old, f = []storage.CSN{storage.CSN(n)}, f[:len(f)-1]
		}
		k, _ := strconv.ParseInt(f[1], 10, 64)
		r := row{k: k}
		if len(f) > 3 {
			if f[2] != "null" {
				n, _ := strconv.ParseInt(f[2], 10, 64)
				r.n = &n
			}
			if f[3] != "null" {
				r.s = &f[3]
			}
		}
		switch f[0] {
		case "insert":
			ch.rows(storage.OpInsert, r)
		case "upsert":
			ch.rows(storage.OpUpsert, r)
		case "update":
			ch.update(kt, old, []int64{k}, r)
		case "delete":
			ch.del(kt, old, k)
		}
		// Tables that got columns: rows have all of them.
		c := &ch.chunks[len(ch.chunks)-1]
		for c.Rows != nil && len(c.Rows.Cols) < len(s.h.table.Columns) {
			v := vec.New(types.Int8, c.Len())
			for i := 0; i < c.Len(); i++ {
				v.AppendDatum(types.NewInt(7))
			}
			c.Rows.Cols = append(c.Rows.Cols, v)
		}
	}
	return ch
}

func conflictText(cs []storage.Conflict) string {
	var b strings.Builder
	for _, c := range cs {
		what := "changed"
		if c.Duplicate {
			what = "duplicate"
		}
		fmt.Fprintf(&b, "conflict: operation %d: %s\n", c.Chunk+c.Row, what)
	}
	return b.String()
}

func editText(e *Edit) string {
	if e == nil {
		return "nothing to do\n"
	}
	rows := 0
	for _, a := range e.Add {
		rows += a.Rows
	}
	d := "no deletes"
	if e.Deletes != "" {
		d = "deletes"
	}
	return fmt.Sprintf("added %d segments of %d rows, dropped %d, %s, F %d\n", len(e.Add), rows, len(e.Drop), d, e.F)
}
