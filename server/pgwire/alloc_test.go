package pgwire

import (
	"context"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
)

// loopConn is a connection on which the client sends the same bytes for ever and
// takes everything.
type loopConn struct {
	net.Conn
	data    []byte
	at      int
	written int
}

func (c *loopConn) Read(p []byte) (int, error) {
	n := copy(p, c.data[c.at:])
	c.at = (c.at + n) % len(c.data)
	return n, nil
}
func (c *loopConn) Write(p []byte) (int, error) { c.written += len(p); return len(p), nil }
func (c *loopConn) RemoteAddr() net.Addr        { return &net.TCPAddr{} }

// oneRow is a session that answers every portal with one row.
type oneRow struct {
	cols  []Column
	batch *vec.Batch
}

func (s *oneRow) Simple(context.Context, string, Results) error         { return nil }
func (s *oneRow) Parse(context.Context, string, string, []uint32) error { return nil }
func (s *oneRow) CloseStatement(string) error                           { return nil }
func (s *oneRow) ClosePortal(string) error                              { return nil }
func (s *oneRow) Sync(context.Context) error                            { return nil }
func (s *oneRow) Env() *types.Env                                       { return types.DefaultEnv }
func (s *oneRow) TxStatus() byte                                        { return 'I' }
func (s *oneRow) Close() error                                          { return nil }
func (s *oneRow) DescribePortal(context.Context, string) ([]Column, []int16, error) {
	return s.cols, nil, nil
}
func (s *oneRow) DescribeStatement(context.Context, string) ([]uint32, []Column, error) {
	return nil, s.cols, nil
}
func (s *oneRow) Bind(_ context.Context, _, _ string, _ []int16, params [][]byte, _ []int16) error {
	if len(params) != 1 || string(params[0]) != "42" {
		return sqlstate.Errorf(sqlstate.InternalError, "parameters %q", params)
	}
	return nil
}
func (s *oneRow) Execute(_ context.Context, _ string, _ int, out Results) (bool, error) {
	if err := out.RowDescription(s.cols, formatText); err != nil {
		return false, err
	}
	if err := out.Batch(s.batch); err != nil {
		return false, err
	}
	return false, out.CommandComplete("SELECT 1")
}

func newLoop(data []byte) (*conn, *loopConn) {
	lc := &loopConn{data: data}
	srv := &Server{cfg: Config{}, log: slog.New(slog.DiscardHandler), ctx: context.Background()}
	c := newConn(srv, lc)
	c.in.login = false
	b := vec.NewBatch([]types.T{types.Int4})
	b.Cols[0].AppendDatum(types.NewInt(7))
	b.N = 1
	c.sess = &oneRow{cols: []Column{{Name: "n", T: types.Int4}}, batch: b}
	return c, lc
}

// prepared is what a driver sends to run a prepared statement.
var prepared = cat(
	frame('B', "\x00stmt_1\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x0242\x00\x01\x00\x00"),
	frame('D', "P\x00"),
	frame('E', "\x00\x00\x00\x00\x00"),
	frame('S', ""))

func (c *conn) serveOne(t testing.TB) {
	typ, p, err := c.in.next()
	if err == nil {
		err = c.message(typ, p)
	}
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
}

// Bind, Describe, Execute and Sync do not allocate in the protocol.
func TestPreparedAllocatesNothing(t *testing.T) {
	c, lc := newLoop(prepared)
	n := testing.AllocsPerRun(1000, func() {
		for range 4 {
			c.serveOne(t)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per statement", n)
	}
	if c.skip || lc.written == 0 {
		t.Error("the statement failed")
	}
}

func BenchmarkPrepared(b *testing.B) {
	c, _ := newLoop(prepared)
	b.ReportAllocs()
	for b.Loop() {
		for range 4 {
			c.serveOne(b)
		}
	}
}

func BenchmarkRows(b *testing.B) {
	c, _ := newLoop(prepared)
	batch := vec.NewBatch([]types.T{types.Int4})
	for i := range vec.Size {
		batch.Cols[0].AppendDatum(types.NewInt(int64(i)))
	}
	batch.N = vec.Size
	s := c.sess.(*oneRow)
	s.batch = batch
	b.ReportAllocs()
	for b.Loop() {
		for range 4 {
			c.serveOne(b)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/vec.Size, "ns/row")
}
