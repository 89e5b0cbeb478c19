package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/binlog/format"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage"
	"github.com/millrace/millrace/storage/blob"
	"github.com/millrace/millrace/storage/tablet"
	"github.com/millrace/millrace/storage/vec"
)

// memory is a transport of topics in memory.
type memory struct {
	mu    sync.Mutex
	parts map[Partition][]format.Message
	fail  error // of the next fetch
	limit int   // messages a fetch, 0 for a random one
}

var theMemory = &memory{}

func init() {
	RegisterTransport(&Transport{Scheme: "memory", Secrets: []string{"password"}, Options: []string{"user"},
		Open: func(_ context.Context, c *OpenConfig) (Source, error) {
			s := &memorySource{m: theMemory, at: map[Partition]Position{}, limit: 1 + rand.IntN(40)}
			if s.m.limit > 0 {
				s.limit = s.m.limit
			}
			s.m.mu.Lock()
			defer s.m.mu.Unlock()
			for p := range s.m.parts {
				if slices.Contains(c.Publications, p.Topic) {
					s.at[p] = c.Stored[p]
				}
			}
			return s, nil
		}})
}

type memorySource struct {
	m     *memory
	at    map[Partition]Position
	limit int
}

func (s *memorySource) Partitions() map[Partition]Position { return s.at }
func (s *memorySource) Close()                             {}

func (s *memorySource) Fetch(ctx context.Context) ([]Fetched, error) {
	for {
		s.m.mu.Lock()
		var out []Fetched
		if err := s.m.fail; err != nil {
			s.m.fail = nil
			s.m.mu.Unlock()
			return nil, err
		}
		for p, pos := range s.at {
			msgs := s.m.parts[p]
			n := min(len(msgs)-int(pos.Next), s.limit)
			if n <= 0 {
				continue
			}
			f := Fetched{Partition: p, End: int64(len(msgs)), After: Position{Next: pos.Next + int64(n)}}
			for i := range n {
				f.Messages = append(f.Messages, msgs[int(pos.Next)+i])
				f.Offsets = append(f.Offsets, pos.Next+int64(i))
			}
			s.at[p] = f.After
			out = append(out, f)
		}
		s.m.mu.Unlock()
		if len(out) > 0 {
			return out, nil
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func (m *memory) reset() {
	m.mu.Lock()
	m.parts = map[Partition][]format.Message{}
	m.mu.Unlock()
}

func (m *memory) send(topic string, part int32, key, value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	msg := format.Message{Time: 1}
	if key != "" {
		msg.Key = []byte(key)
	}
	if value != "" {
		msg.Value = []byte(value)
	}
	p := Partition{topic, part}
	m.parts[p] = append(m.parts[p], msg)
}

// world is a store with a table, and a subscription that may run.
type world struct {
	t     *testing.T
	disk  *blob.Mem
	s     *tablet.Store
	sub   uint32
	stats Stats
}

var ctxbg = context.Background()

func newWorld(t *testing.T, pk bool, options string) *world {
	theMemory.reset()
	w := &world{t: t, disk: blob.NewMem()}
	w.open()
	x := w.s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	oid := x.AllocOIDs(20)
	tab := &catalog.Table{OID: oid, Schema: catalog.PublicSchemaOID, Name: "t", Owner: 10, Shards: 2, SchemaVersion: 1, PKName: "t_pkey", NextColumnID: 5,
		Columns: []catalog.Column{{ID: 1, Attr: 1, Name: "id", T: types.Int8, NotNull: pk}, {ID: 2, Attr: 2, Name: "name", T: types.Text},
			{ID: 3, Attr: 3, Name: "n", T: types.Int4, NotNull: true}, {ID: 4, Attr: 4, Name: "doc", T: types.Text}}}
	if pk {
		tab.PK, tab.Distribution = []int{0}, []int{0}
	}
	errs := &catalog.Table{OID: oid + 5, Schema: catalog.PublicSchemaOID, Name: "errs", Owner: 10, Columns: ErrorColumns(), NextColumnID: 13, SchemaVersion: 1}
	sub := &catalog.Subscription{OID: oid + 10, Name: "s", Owner: 10, Enabled: true, Conn: "memory://x", Publications: []string{"a"},
		Options: map[string]string{"target": "t", "batch_time": "3ms", "on_error": "dead_letter"}, Target: oid, ErrorTable: oid + 5, Version: 1}
	for _, o := range strings.Fields(options) {
		k, v, _ := strings.Cut(o, "=")
		sub.Options[k] = v
	}
	w.sub = sub.OID
	if err := x.Change(ctxbg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: tab, errs.OID: errs},
		Subscriptions: map[uint32]*catalog.Subscription{sub.OID: sub}, NextOID: oid + 20}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(ctxbg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.s.Close() })
	return w
}

func (w *world) open() {
	s, err := tablet.Open(w.disk.Root(), tablet.Options{Shards: 2, Manual: true, Logger: slog.New(slog.DiscardHandler), Fatal: func(error) {}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.s = s
}

// env is what the subscription runs in.
func (w *world) env() *Env {
	return &Env{Store: w.s, Log: slog.New(slog.DiscardHandler), Types: types.DefaultEnv, Decoders: 3,
		Secrets: func(*catalog.Subscription) (map[string]string, error) { return nil, nil },
		Allowed: func(*catalog.Version, *catalog.Subscription, *catalog.Table, bool) error { return nil },
		AddColumns: func(ctx context.Context, sub *catalog.Subscription, cols []catalog.Column) error {
			x := w.s.Begin(storage.TxnOptions{})
			defer x.Rollback()
			t := *x.Catalog().Table(sub.Target)
			t.Columns = slices.Clone(t.Columns)
			t.SchemaVersion++
			for _, c := range cols {
				c.ID, c.Attr = t.NextColumnID, int16(t.NextColumnID)
				t.NextColumnID++
				t.Columns = append(t.Columns, c)
			}
			if err := x.Change(ctx, &catalog.Delta{Tables: map[uint32]*catalog.Table{t.OID: &t}}); err != nil {
				return err
			}
			_, err := x.Commit(ctx)
			return err
		}}
}

// drain runs the subscription until all messages are applied, or it ends by itself.
func (w *world) drain() error {
	ctx, cancel := context.WithCancel(ctxbg)
	defer cancel()
	done := make(chan error, 1)
	env := w.env()
	go func() { done <- Run(ctx, env, w.sub, &w.stats) }()
	for began := time.Now(); ; {
		select {
		case err := <-done:
			return err
		case <-time.After(2 * time.Millisecond):
		}
		st, err := loadState(w.s, w.sub)
		if err != nil {
			w.t.Fatal(err)
		}
		all := true
		theMemory.mu.Lock()
		for p, msgs := range theMemory.parts {
			all = all && st.positions[p].Next == int64(len(msgs))
		}
		theMemory.mu.Unlock()
		if all {
			cancel()
			<-done
			return nil
		}
		if time.Since(began) > 2*time.Minute {
			w.t.Fatalf("not drained: %v", st.positions)
		}
	}
}

// rows lists a table's rows as text, sorted.
func (w *world) rows(name string, cols ...string) []string {
	w.t.Helper()
	snap := w.s.Snapshot()
	defer snap.Close()
	tab := snap.Catalog().TableNamed(catalog.PublicSchemaOID, name)
	rel, err := snap.Relation(tab)
	if err != nil {
		w.t.Fatal(err)
	}
	spec := &catalog.ScanSpec{Limit: -1}
	for i, c := range tab.Columns {
		if len(cols) == 0 || slices.Contains(cols, c.Name) {
			spec.Cols = append(spec.Cols, i)
		}
	}
	rd, err := rel.Reader(spec)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rd.Close()
	splits, _, err := rel.Splits(ctxbg, spec)
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, sp := range splits {
		if err := rd.Open(sp); err != nil {
			w.t.Fatal(err)
		}
		for {
			b, err := rd.Next()
			if err != nil {
				w.t.Fatal(err)
			}
			if b == nil {
				break
			}
			out = append(out, texts(b)...)
		}
	}
	sort.Strings(out)
	return out
}

func texts(b *vec.Batch) []string {
	var out []string
	for k := range b.Rows() {
		s := ""
		for i, v := range b.Cols {
			if i > 0 {
				s += "|"
			}
			d := v.Datum(b.Row(k))
			if !d.Valid {
				s += "null"
				continue
			}
			s += string(types.AppendText(nil, v.T, d, types.DefaultEnv))
		}
		out = append(out, s)
	}
	return out
}

func (w *world) check(name string, want string, cols ...string) {
	w.t.Helper()
	if got := strings.Join(w.rows(name, cols...), " "); got != want {
		w.t.Fatalf("%s:\n got %s\nwant %s", name, got, want)
	}
}

func TestUpsert(t *testing.T) {
	w := newWorld(t, true, "format=json")
	m := theMemory
	m.send("a", 0, `{"id":1}`, `{"id":1,"name":"x","n":1}`)
	m.send("a", 1, `{"id":2}`, `{"id":2,"name":"y","n":1}`)
	m.send("a", 0, `{"id":1}`, `{"id":1,"name":"z","n":2}`)
	m.send("a", 1, `{"id":2}`, "") // tombstone
	m.send("a", 1, `{"id":9}`, "") // of no row
	m.send("a", 1, `{"id":3}`, `{"id":3,"name":"w","n":1}`)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "1|z|2|null 3|w|1|null")
	m.send("a", 1, `{"id":3}`, "")
	m.send("a", 1, `{"id":3}`, `{"id":3,"name":"again","n":5}`)
	m.send("a", 0, `{"id":1}`, "")
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "3|again|5|null")
	w.check("errs", "")
}

func TestAppend(t *testing.T) {
	w := newWorld(t, false, "format=json mode=append")
	for i := range 50 {
		theMemory.send("a", int32(i%2), "", fmt.Sprintf(`{"id":%d,"name":"x","n":1}`, i/4))
	}
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	if got := len(w.rows("t")); got != 50 {
		t.Fatalf("%d rows", got)
	}
}

// TestUnique: a table with another unique key takes the same changes, and what that key
// does not let in is dead-lettered.
func TestUnique(t *testing.T) {
	w := newWorld(t, true, "format=json")
	x := w.s.Begin(storage.TxnOptions{})
	defer x.Rollback()
	tab := *x.Catalog().TableNamed(catalog.PublicSchemaOID, "t")
	tab.SchemaVersion++
	tab.Props = map[string]string{"orientation": catalog.OrientationRow}
	tab.Unique = []catalog.UniqueKey{{OID: x.AllocOIDs(2), Name: "t_name_key", Columns: []int32{2}}}
	if err := x.Change(ctxbg, &catalog.Delta{Tables: map[uint32]*catalog.Table{tab.OID: &tab}, Truncated: []uint32{tab.OID}, NextOID: tab.Unique[0].OID + 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Commit(ctxbg); err != nil {
		t.Fatal(err)
	}
	m := theMemory
	m.send("a", 0, `{"id":9}`, "") // of no row
	m.send("a", 0, `{"id":1}`, `{"id":1,"name":"x","n":1}`)
	m.send("a", 0, `{"id":2}`, `{"id":2,"name":"y","n":1}`)
	m.send("a", 0, `{"id":3}`, `{"id":3,"n":3}`)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "1|x|1|null 2|y|1|null 3|null|3|null")
	m.send("a", 0, `{"id":1}`, "")
	m.send("a", 0, `{"id":8}`, "")
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	m.send("a", 0, `{"id":4}`, `{"id":4,"name":"x","n":4}`)
	m.send("a", 0, `{"id":5}`, `{"id":5,"name":"y","n":5}`)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "2|y|1|null 3|null|3|null 4|x|4|null")
	w.check("errs", "constraint|23505|0|7", "class", "sqlstate", "partition", "message_offset")
}

// TestDuplicates: rows whose key exists are found in a batch and dead-lettered.
func TestDuplicates(t *testing.T) {
	w := newWorld(t, true, "format=json mode=append")
	for i := range 40 {
		theMemory.send("a", 0, "", fmt.Sprintf(`{"id":%d,"n":%d}`, i%37, i))
	}
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	if got := len(w.rows("t")); got != 37 {
		t.Fatalf("%d rows", got)
	}
	w.check("errs", "constraint|23505|0|37 constraint|23505|0|38 constraint|23505|0|39", "class", "sqlstate", "partition", "message_offset")
}

func TestDeadLetters(t *testing.T) {
	w := newWorld(t, true, "format=json")
	m := theMemory
	m.send("a", 0, `{"id":1}`, `{"id":1,"name":"x","n":1}`)
	m.send("a", 0, `{"id":1}`, `{"id":1,"name":`)
	m.send("a", 0, `{"id":2}`, `{"id":2,"name":"x","n":"many"}`)
	m.send("a", 0, `{"id":3}`, `{"id":3,"name":"no n"}`)
	m.send("a", 0, `{"id":4}`, `{"id":4,"name":"x","n":4}`)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "1|x|1|null 4|x|4|null")
	if got := w.rows("errs", "class", "message_offset"); fmt.Sprint(got) != "[cast|2 constraint|3 decode|1]" {
		t.Fatal(got)
	}
	w.check("errs", `\x7b226964223a317d|\x7b226964223a312c226e616d65223a \x7b226964223a327d|\x7b226964223a322c226e616d65223a2278222c226e223a226d616e79227d \x7b226964223a337d|\x7b226964223a332c226e616d65223a226e6f206e227d`, "key", "raw")
	if n := w.stats.Errors.Load(); n != 3 {
		t.Fatalf("%d errors", n)
	}
}

// TestStop: what comes before the message is applied, it and what follows is not.
func TestStop(t *testing.T) {
	w := newWorld(t, true, "format=json on_error=stop")
	for i := range 30 {
		v := fmt.Sprintf(`{"id":%d,"n":%d}`, i, i)
		if i == 17 {
			v = "oops"
		}
		theMemory.send("a", 0, fmt.Sprintf(`{"id":%d}`, i), v)
	}
	err := w.drain()
	var stop *StopError
	if !errors.As(err, &stop) || !strings.Contains(err.Error(), "topic a partition 0 offset 17: ") {
		t.Fatal(err)
	}
	if got := len(w.rows("t")); got != 17 {
		t.Fatalf("%d rows", got)
	}
	st, _ := loadState(w.s, w.sub)
	if st.positions[Partition{"a", 0}].Next != 17 {
		t.Fatal(st.positions)
	}
}

const debezium = `{"op":"u","before":null,"after":{"id":%d,"name":%q,"n":%d,"doc":%q}}`

const unavailable = "__debezium_unavailable_value"

// TestPartial: unavailable values are kept from the stored row, also one that the
// same batch wrote; without a stored row the message is an error. A key whose
// message was dead-lettered takes no partial image until a full one.
func TestPartial(t *testing.T) {
	w := newWorld(t, true, "format=debezium-json")
	send := func(id int, name string, n int, doc string) {
		theMemory.send("a", 0, fmt.Sprintf(`{"id":%d}`, id), fmt.Sprintf(debezium, id, name, n, doc))
	}
	send(1, "one", 1, "d1")
	send(2, "two", 1, "d2")
	send(1, "uno", 2, unavailable)
	send(3, "new", 1, unavailable) // no row
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "1|uno|2|d1 2|two|1|d2")
	w.check("errs", "schema|3", "class", "message_offset")
	send(2, "due", 2, unavailable)
	send(2, "zwei", 3, unavailable)
	send(3, "still", 1, unavailable)   // quarantined
	send(3, "full", 1, "d3")           // lifts it
	send(3, "partial", 2, unavailable) // works
	theMemory.send("a", 0, `{"id":1}`, "broken")
	send(1, "lost", 9, unavailable)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "1|uno|2|d1 2|zwei|3|d2 3|partial|2|d3")
	w.check("errs", "decode|9 quarantine|10 quarantine|6 schema|3", "class", "message_offset")
	// The quarantine survives a restart; a delete lifts it.
	w.disk.Stop()
	w.s.Close()
	w.disk = w.disk.Crash(3)
	w.open()
	send(1, "lost too", 9, unavailable)
	theMemory.send("a", 0, `{"id":1}`, `{"op":"d","before":{"id":1},"after":null}`)
	send(1, "one", 10, "d4")
	// A row that moves takes its missing values along.
	theMemory.send("a", 0, `{"id":7}`, `{"op":"u","before":{"id":2},"after":{"id":7,"name":"moved","n":4,"doc":"`+unavailable+`"}}`)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "1|one|10|d4 3|partial|2|d3 7|moved|4|d2")
	st, _ := loadState(w.s, w.sub)
	if len(st.quarantine) != 0 {
		t.Fatal(st.quarantine)
	}
}

func TestEvolution(t *testing.T) {
	for _, c := range []struct{ rule, want, err string }{
		{"ignore", "1|x|1|null 2|y|1|null", ""},
		{"add", "1|x|1|null|null 2|y|1|null|5", ""},
		{"rescue", `1|x|1|null|null 2|y|1|null|{"extra": 5}`, ""},
		{"stop", "1|x|1|null", "topic a partition 0 offset 1: field \"extra\" is not a column of table \"t\""},
	} {
		w := newWorld(t, true, "format=json schema_evolution="+c.rule)
		theMemory.send("a", 0, "", `{"id":1,"name":"x","n":1}`)
		theMemory.send("a", 0, "", `{"id":2,"name":"y","n":1,"extra":5}`)
		err := w.drain()
		if c.err == "" && err != nil || c.err != "" && (err == nil || err.Error() != c.err) {
			t.Fatalf("%s: %v", c.rule, err)
		}
		w.check("t", c.want)
	}
}

// TestModel runs random changes of few keys through crashes and compares the table
// with a model. Nothing is lost, nothing applied twice.
func TestModel(t *testing.T) {
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	w := newWorld(t, true, "format=debezium-json batch_rows=64")
	rng := rand.New(rand.NewPCG(7, uint64(time.Now().UnixNano())))
	type row struct {
		name string
		n    int
		doc  string
	}
	model := map[int]row{}
	for r := range rounds {
		for range 200 + rng.IntN(300) {
			id := rng.IntN(60)
			key := fmt.Sprintf(`{"id":%d}`, id)
			old, there := model[id]
			switch k := rng.IntN(10); {
			case k < 2:
				theMemory.send("a", int32(id%3), key, fmt.Sprintf(`{"op":"d","before":{"id":%d},"after":null}`, id))
				theMemory.send("a", int32(id%3), key, "")
				delete(model, id)
			case k < 4 && there:
				n := rng.IntN(1000)
				theMemory.send("a", int32(id%3), key, fmt.Sprintf(debezium, id, "p", n, unavailable))
				model[id] = row{"p", n, old.doc}
			default:
				v := row{fmt.Sprint("name", rng.IntN(100)), rng.IntN(1000), strings.Repeat("d", rng.IntN(40))}
				theMemory.send("a", int32(id%3), key, fmt.Sprintf(debezium, id, v.name, v.n, v.doc))
				model[id] = v
			}
		}
		if r%2 == 0 {
			// The machine dies somewhere in the middle.
			ctx, cancel := context.WithCancel(ctxbg)
			done := make(chan error, 1)
			env, stats := w.env(), &Stats{}
			go func() { done <- Run(ctx, env, w.sub, stats) }()
			time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
			w.disk.Stop()
			cancel()
			<-done
			w.s.Close()
			w.disk = w.disk.Crash(rng.Uint64())
			w.open()
		} else if rng.IntN(2) == 0 {
			theMemory.mu.Lock()
			theMemory.fail = ErrReopen
			theMemory.mu.Unlock()
		}
		if err := w.drain(); err != nil {
			t.Fatal(err)
		}
		var want []string
		for id, v := range model {
			want = append(want, fmt.Sprintf("%d|%s|%d|%s", id, v.name, v.n, v.doc))
		}
		sort.Strings(want)
		w.check("t", strings.Join(want, " "))
		w.check("errs", "")
		if rng.IntN(3) == 0 {
			if err := w.s.Flush(ctxbg); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestHistogram(t *testing.T) {
	var h Histogram
	for us := int64(1); us < 1<<31; us = us*5/4 + 1 {
		b := bucketOf(us)
		if us >= boundOf(b) || b > 0 && us < boundOf(b-1) {
			t.Fatalf("%d µs in bucket %d: below %d", us, b, boundOf(b))
		}
	}
	h.Add(10*time.Millisecond, 99)
	h.Add(time.Second, 1)
	if d, _ := h.Quantile(0.5); d < 10*time.Millisecond || d > 13*time.Millisecond {
		t.Fatal(d)
	}
	if d, _ := h.Quantile(0.995); d < time.Second {
		t.Fatal(d)
	}
}

func TestMask(t *testing.T) {
	conn, secrets, err := Mask("memory://joe:pa%40ss@h1:1,h2:2?password=other&x=1")
	if err != nil || conn != "memory://joe@h1:1,h2:2?x=1" || secrets["password"] != "other" {
		t.Fatal(conn, secrets, err)
	}
	if _, _, err := Mask("memory://joe:sec%zzret@h"); err == nil || strings.Contains(err.Error(), "ret") {
		t.Fatal(err)
	}
}

// TestPartialInBatch has partial images of rows that the same commit wrote.
func TestPartialInBatch(t *testing.T) {
	up := func(id int, name, doc string) (string, string) {
		return fmt.Sprintf(`{"id":%d}`, id), fmt.Sprintf(debezium, id, name, 1, doc)
	}
	del := func(id int) (string, string) {
		return fmt.Sprintf(`{"id":%d}`, id), fmt.Sprintf(`{"op":"d","before":{"id":%d},"after":null}`, id)
	}
	type change struct{ key, value string }
	c := func(k, v string) change { return change{k, v} }
	for name, list := range map[string][]change{
		"new":             {c(up(1, "a", "d")), c(up(1, "b", unavailable))},
		"stored":          {c(up(5, "a", "d")), c(up(5, "b", unavailable))},
		"stored, direct":  {c(up(5, "b", unavailable)), c(up(5, "c", unavailable))},
		"deleted":         {c(del(5)), c(up(5, "a", "d")), c(up(5, "b", unavailable))},
		"deleted, absent": {c(del(1)), c(up(1, "a", "d")), c(up(1, "b", unavailable))},
		"after":           {c(up(5, "b", unavailable)), c(up(5, "c", "e")), c(up(5, "b", unavailable))},
		"gone":            {c(up(5, "b", unavailable)), c(del(5))},
		"gone and back":   {c(up(5, "b", unavailable)), c(del(5)), c(up(5, "x", "y")), c(up(5, "b", unavailable))},
	} {
		w := newWorld(t, true, "format=debezium-json batch_time=100ms")
		theMemory.send("a", 0, `{"id":5}`, fmt.Sprintf(debezium, 5, "old", 1, "o"))
		if err := w.drain(); err != nil {
			t.Fatal(name, err)
		}
		for _, ch := range list {
			theMemory.send("a", 0, ch.key, ch.value)
		}
		if err := w.drain(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w.check("errs", "")
	}
}

// TestWide has several streams fill one row: what a message does not mention stays.
func TestWide(t *testing.T) {
	w := newWorld(t, true, "format=json missing_fields=keep")
	theMemory.send("a", 0, "", `{"id":1,"n":1}`)
	theMemory.send("a", 0, "", `{"id":1,"name":"x"}`)
	theMemory.send("a", 0, "", `{"id":2,"name":"no n"}`)
	theMemory.send("a", 0, "", `{"id":1,"doc":"d"}`)
	theMemory.send("a", 0, "", `{"id":3,"n":3}`)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "1|x|1|d 3|null|3|null")
	w.check("errs", "constraint|2", "class", "message_offset")
}

// TestMoveAtEnd has a row move, with a value missing, where a batch of rows is full.
func TestMoveAtEnd(t *testing.T) {
	w := newWorld(t, true, "format=debezium-json batch_time=50ms")
	theMemory.send("a", 0, `{"id":1}`, fmt.Sprintf(debezium, 1, "one", 1, "kept"))
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	for i := range vec.Size - 1 {
		theMemory.send("a", 0, "", fmt.Sprintf(debezium, 100+i, "x", 1, "d"))
	}
	theMemory.send("a", 0, "", `{"op":"u","before":{"id":1},"after":{"id":2,"name":"moved","n":4,"doc":"`+unavailable+`"}}`)
	theMemory.limit = vec.Size
	defer func() { theMemory.limit = 0 }()
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("errs", "")
	if got := w.rows("t"); len(got) != vec.Size || !slices.Contains(got, "2|moved|4|kept") {
		t.Fatal(len(got))
	}
}

func TestTruncate(t *testing.T) {
	w := newWorld(t, true, "format=debezium-json batch_time=50ms")
	up := func(id int) { theMemory.send("a", 0, "", fmt.Sprintf(debezium, id, "x", 1, "d")) }
	up(1)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	up(2)
	theMemory.send("a", 0, "", `{"op":"t","before":null,"after":null}`)
	up(3)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "3|x|1|d")
	w.check("errs", "")
	up(4)
	if err := w.drain(); err != nil {
		t.Fatal(err)
	}
	w.check("t", "3|x|1|d 4|x|1|d")
}
