package session_test

import (
	"context"
	"io"
	"log/slog"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/server"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
)

// sink takes the answers of a session and counts rows.
type sink struct {
	rows  int
	tag   string
	first int64 // the first column of the last row, when it is an integer
}

func (s *sink) value() int64 { return s.first }

func (*sink) Notice(*sqlstate.Error) error                  { return nil }
func (*sink) ParameterStatus(string, string)                {}
func (*sink) RowDescription([]pgwire.Column, []int16) error { return nil }
func (*sink) EmptyQuery() error                             { return nil }
func (*sink) CopyIn(byte, int) (pgwire.CopySource, error)   { return nil, io.ErrUnexpectedEOF }
func (*sink) CopyOut(byte, int) (pgwire.CopySink, error)    { return nil, io.ErrUnexpectedEOF }
func (s *sink) Batch(b *vec.Batch) error {
	s.rows += b.Rows()
	if n := b.Rows(); n > 0 && len(b.Cols) > 0 {
		s.first = b.Cols[0].Datum(b.Row(n - 1)).I
	}
	return nil
}
func (s *sink) CommandComplete(tag string) error {
	s.tag = tag
	return nil
}

// open starts an engine for the test.
func open(t testing.TB) server.Engine {
	t.Helper()
	e, err := server.Open(context.Background(), server.Options{DataDir: t.TempDir(), MemoryBytes: 256 << 20, Workers: 2, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// session opens a session of it.
func session(t testing.TB, e server.Engine) pgwire.Session {
	t.Helper()
	s, err := e.Open(context.Background(), pgwire.Startup{User: "postgres", Database: "postgres", PID: 1}, &sink{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func exec(t testing.TB, s pgwire.Session, sql string) *sink {
	t.Helper()
	out := &sink{}
	if err := s.Simple(context.Background(), sql, out); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return out
}

// TestAllocs bounds what an execution allocates.
func TestAllocs(t *testing.T) {
	s := session(t, open(t))
	exec(t, s, "CREATE TABLE kv (k int PRIMARY KEY, v text, n int8)")
	exec(t, s, "INSERT INTO kv SELECT g, 'value ' || g, g FROM generate_series(1, 10000) g")
	exec(t, s, "CREATE TABLE rows (k int PRIMARY KEY, v text, n int8) WITH (orientation = 'row')")
	exec(t, s, "INSERT INTO rows SELECT g, 'value ' || g, g FROM generate_series(1, 10000) g")
	ctx := context.Background()
	for _, c := range []struct {
		sql    string
		params [][]byte
		max    float64
	}{
		{"SELECT 1", nil, 0},
		{"SELECT 1, 'a', 2.5", nil, 0},
		{"SELECT $1::int + 1", [][]byte{[]byte("41")}, 2},
		{"VALUES (1, 'x'), (2, 'y')", nil, 1},
		{"SELECT v FROM kv WHERE k = $1", [][]byte{[]byte("4711")}, 24},
		{"SELECT v FROM kv WHERE k = $1 AND n > 3", [][]byte{[]byte("4711")}, 24},
		{"SELECT n, v FROM rows WHERE k = $1", [][]byte{[]byte("4711")}, 1},
	} {
		t.Run(c.sql, func(t *testing.T) {
			if err := s.Parse(ctx, "", c.sql, nil); err != nil {
				t.Fatal(err)
			}
			if err := s.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			out := &sink{}
			formats := []int16{1}
			run := func() {
				if err := s.Bind(ctx, "", "", nil, c.params, formats[:0]); err != nil {
					t.Fatal(err)
				}
				if _, _, err := s.DescribePortal(ctx, ""); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Execute(ctx, "", 0, out); err != nil {
					t.Fatal(err)
				}
				if err := s.Sync(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if n := testing.AllocsPerRun(200, run); n > c.max {
				t.Errorf("%v allocations, want at most %v", n, c.max)
			} else {
				t.Logf("%v allocations", n)
			}
			if out.rows == 0 {
				t.Error("no rows")
			}
		})
	}
	for _, c := range []struct {
		sql string
		max float64
	}{{"select 1", 3}, {"select v from kv where k = 4711", 30}} {
		out := &sink{}
		run := func() {
			if err := s.Simple(ctx, c.sql, out); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(200, run); n > c.max {
			t.Errorf("%s: %v allocations by the simple protocol, want at most %v", c.sql, n, c.max)
		} else {
			t.Logf("%s: %v allocations", c.sql, n)
		}
	}
}

// expect makes checks of a session: that a query's last row begins with a number, and
// that a statement fails with a code.
func expect(t *testing.T, s pgwire.Session) (want func(n int64, sql string), refused func(code sqlstate.Code, sql string)) {
	want = func(n int64, sql string) {
		t.Helper()
		if got := exec(t, s, sql).value(); got != n {
			t.Errorf("%s: %d, want %d", sql, got, n)
		}
	}
	refused = func(code sqlstate.Code, sql string) {
		t.Helper()
		if err := s.Simple(context.Background(), sql, &sink{}); sqlstate.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", sql, err, code)
		}
	}
	return want, refused
}
