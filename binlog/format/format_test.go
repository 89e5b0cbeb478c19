package format

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// table makes a table of "name type, …"; the first pk columns are its key.
func table(pk int, cols string) *catalog.Table {
	t := &catalog.Table{Name: "t"}
	for _, c := range strings.Split(cols, ",") {
		name, typ, _ := strings.Cut(strings.TrimSpace(c), " ")
		typ, mod, has := strings.Cut(typ, "(")
		info := types.ByAlias(typ)
		if info == nil {
			panic("no type " + typ)
		}
		m := int32(-1)
		if has {
			var p, s int
			fmt.Sscanf(strings.ReplaceAll(mod, ";", " "), "%d %d", &p, &s)
			switch info.OID {
			case types.NumericOID:
				m = types.MakeNumericMod(p, s)
			case types.VarcharOID, types.BPCharOID:
				m = int32(p) + types.VarHeader
			default:
				m = int32(p)
			}
		}
		t.Columns = append(t.Columns, catalog.Column{Name: name, T: types.Of(info.OID, m)})
	}
	for i := 0; i < pk; i++ {
		t.PK = append(t.PK, i)
	}
	return t
}

// show writes changes as lines: what a message did, or why not.
func show(c *Changes) []string {
	var out []string
	e := 0
	fault := func() {
		x := c.Errors[e]
		line := fmt.Sprintf("%d error %s %s: %s", x.Msg, x.Class, x.Err.Code, x.Err.Message)
		if x.Column != "" {
			line += " (column " + x.Column + ")"
		}
		out = append(out, line)
		e++
	}
	for i, op := range c.Op {
		for e < len(c.Errors) && c.Errors[e].Msg < c.Msg[i] {
			fault()
		}
		var b strings.Builder
		fmt.Fprintf(&b, "%d %s", c.Msg[i], [...]string{"insert", "upsert", "delete", "truncate"}[op])
		for col, v := range c.Rows.Cols {
			b.WriteString(" | ")
			switch {
			case c.IsMissing(col, i):
				b.WriteString("<keep>")
			case v.IsNull(i):
				b.WriteString("NULL")
			default:
				b.Write(codec.TextEncoder(v.T, nil)(nil, v, i))
			}
		}
		out = append(out, b.String())
	}
	for e < len(c.Errors) {
		fault()
	}
	for _, f := range c.Unknown {
		out = append(out, fmt.Sprintf("unknown %s %s", f.Name, types.FormatType(f.Type.OID, f.Type.Mod)))
	}
	if c.Skipped > 0 {
		out = append(out, fmt.Sprintf("skipped %d", c.Skipped))
	}
	return out
}

// intact checks that changes are whole: every column as long as the rows, every message
// accounted for.
func intact(t *testing.T, c *Changes, used int) {
	t.Helper()
	n := len(c.Op)
	if c.Rows.N != n || len(c.Msg) != n || len(c.Time) != n {
		t.Fatalf("%d rows, %d ops, %d places, %d times", c.Rows.N, n, len(c.Msg), len(c.Time))
	}
	for i, v := range c.Rows.Cols {
		if v.N != n {
			t.Fatalf("column %d has %d of %d rows", i, v.N, n)
		}
	}
	seen := map[uint32]bool{}
	for _, m := range c.Msg {
		seen[m] = true
	}
	for _, e := range c.Errors {
		if seen[e.Msg] {
			t.Fatalf("message %d has both rows and an error", e.Msg)
		}
		if e.Err.Message == "" || len(e.Err.Message) > messageMax+10 {
			t.Fatalf("the reason is %d bytes", len(e.Err.Message))
		}
		seen[e.Msg] = true
	}
	if len(seen)+c.Skipped != used {
		t.Fatalf("%d messages have rows or errors and %d are skipped, of %d", len(seen), c.Skipped, used)
	}
	partial := 0
	for i := range n {
		for col := range c.Rows.Cols {
			if c.IsMissing(col, i) {
				partial++
				break
			}
		}
	}
	if partial != c.Partial {
		t.Fatalf("%d partial rows, counted as %d", partial, c.Partial)
	}
	for _, v := range c.Rows.Cols {
		if v.T.OID == types.JSONBOID {
			for i := range n {
				if !v.IsNull(i) {
					b := types.AppendJSONB(nil, v.Bytes(i))
					if _, err := types.ParseJSONB(nil, b); err != nil {
						t.Fatalf("jsonb %q: %v", b, err)
					}
				}
			}
		}
	}
}

type testCase struct {
	name    string
	table   *catalog.Table
	cfg     Config
	options string // name=value;…
	msgs    []string
	want    []string
}

// messages turns texts into messages: "key → value", ∅ for none.
func messages(texts []string) []Message {
	var msgs []Message
	for _, x := range texts {
		var m Message
		key, value, has := strings.Cut(x, " → ")
		if !has {
			key, value = "∅", x
		}
		if key != "∅" {
			m.Key = []byte(key)
		}
		if value != "∅" {
			m.Value = []byte(value)
		}
		msgs = append(msgs, m)
	}
	return msgs
}

func options(s string) map[string]string {
	o := map[string]string{}
	for _, p := range strings.Split(s, ";") {
		if k, v, ok := strings.Cut(p, "="); ok {
			o[strings.TrimSpace(k)] = v
		}
	}
	return o
}

func runCases(t *testing.T, format string, cases []testCase) {
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			cfg := tc.cfg
			cfg.Table, cfg.Options = tc.table, options(tc.options)
			d, err := Lookup(format).New(&cfg)
			if err != nil {
				if len(tc.want) == 1 && tc.want[0] == err.Error() {
					return
				}
				t.Fatal(err)
			}
			msgs := messages(tc.msgs)
			c := NewChanges(tc.table)
			// Twice, so that what a decoder remembers must not matter.
			for round := range 2 {
				c.Reset()
				used, err := d.Decode(msgs, c)
				if err != nil || used != len(msgs) {
					t.Fatal(used, err)
				}
				intact(t, c, used)
				got := strings.Join(show(c), "\n")
				if want := strings.Join(tc.want, "\n"); got != want {
					t.Fatalf("round %d:\n%s\nwant:\n%s", round, got, want)
				}
			}
		})
	}
}

// Decode stops at a full batch and goes on from there.
func TestBatches(t *testing.T) {
	tab := table(1, "id int8, s text")
	d, err := Lookup("json").New(&Config{Table: tab})
	if err != nil {
		t.Fatal(err)
	}
	var msgs []Message
	for i := range 5000 {
		msgs = append(msgs, Message{Value: fmt.Appendf(nil, `{"id":%d,"s":"row number %d"}`, i, i)})
	}
	c := NewChanges(tab)
	next := 0
	for next < len(msgs) {
		c.Reset()
		c.Base = uint32(next)
		used, err := d.Decode(msgs[next:], c)
		if err != nil || used == 0 {
			t.Fatal(used, err)
		}
		if c.Rows.N != min(vec.Size, len(msgs)-next) {
			t.Fatalf("%d rows", c.Rows.N)
		}
		for i := range c.Rows.N {
			if c.Rows.Cols[0].I64[i] != int64(next+i) || c.Msg[i] != uint32(next+i) || c.Rows.Cols[1].String(i) != fmt.Sprintf("row number %d", next+i) {
				t.Fatal("wrong row", next+i)
			}
		}
		next += used
	}
}
