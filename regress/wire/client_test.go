package wire

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/server/pgwire"
)

func contextTimeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(twice{m}) }

// twice runs the tests as connections usually are, and with all that join the loop as
// soon as they may.
type twice struct{ m *testing.M }

var settle int // Config.Settle

func (t twice) Run() int {
	failed := t.m.Run()
	settle = 1
	return max(failed, t.m.Run())
}

func dsn(addr, rest string) string { return "postgres://" + rest + "@" + addr + "/db?" }

func connect(t *testing.T, url string) *pgconn.PgConn {
	t.Helper()
	ctx, cancel := contextTimeout(time.Minute)
	defer cancel()
	c, err := pgconn.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

func code(err error) string {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		return pe.Code
	}
	return fmt.Sprint(err)
}

func TestDriverQueries(t *testing.T) {
	fake, _, addr := start(t, nil)
	c := connect(t, dsn(addr, "postgres")+"sslmode=disable&application_name=x&options=-c%20search_path%3Da%5C%20b")
	ctx := context.Background()
	if got := fmt.Sprint(fake.Started.Load().Params); !strings.Contains(got, "{application_name x}") || !strings.Contains(got, "{search_path a b}") {
		t.Errorf("start-up parameters %v", got)
	}
	rs, err := c.Exec(ctx, "rows 8; notice n; rows 0").ReadAll()
	if err != nil || len(rs) != 3 || len(rs[0].Rows) != 8 || rs[0].Rows[6][1] != nil || string(rs[0].Rows[7][0]) != "7" {
		t.Fatalf("%v %v", rs, err)
	}
	sd, err := c.Prepare(ctx, "st", "echo $1 $2", nil)
	if err != nil || len(sd.ParamOIDs) != 2 || len(sd.Fields) != 2 {
		t.Fatalf("%+v %v", sd, err)
	}
	for range 3 {
		r := c.ExecPrepared(ctx, "st", [][]byte{[]byte("a"), nil}, nil, nil).Read()
		if r.Err != nil || string(r.Rows[0][0]) != "a" || r.Rows[0][1] != nil {
			t.Fatalf("%+v", r)
		}
	}
	if r := c.ExecParams(ctx, "rows 300", nil, nil, nil, []int16{1}).Read(); r.Err != nil || len(r.Rows) != 300 || !bytes.Equal(r.Rows[299][0], []byte{0, 0, 1, 43}) {
		t.Fatalf("%v %d", r.Err, len(r.Rows))
	}
	if _, err := c.Exec(ctx, "error 22012 division by zero").ReadAll(); code(err) != "22012" {
		t.Errorf("%v", err)
	}
	// A result far larger than the buffers.
	n := 0
	mrr := c.Exec(ctx, "rows 200000")
	for mrr.NextResult() {
		for r := mrr.ResultReader(); r.NextRow(); n++ {
		}
	}
	if err := mrr.Close(); err != nil || n != 200000 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestPipeline(t *testing.T) {
	_, _, addr := start(t, nil)
	c := connect(t, dsn(addr, "postgres")+"sslmode=disable")
	ctx := context.Background()
	b := &pgconn.Batch{}
	for i := range 200 {
		b.ExecParams(fmt.Sprintf("rows %d", i), nil, nil, nil, nil)
	}
	rs, err := c.ExecBatch(ctx, b).ReadAll()
	if err != nil || len(rs) != 200 || len(rs[199].Rows) != 199 {
		t.Fatalf("%d results, %v", len(rs), err)
	}
	b = &pgconn.Batch{}
	b.ExecParams("rows 1", nil, nil, nil, nil)
	b.ExecParams("error 22012 no", nil, nil, nil, nil)
	b.ExecParams("rows 1", nil, nil, nil, nil)
	if rs, err = c.ExecBatch(ctx, b).ReadAll(); code(err) != "22012" || len(rs) < 1 {
		t.Errorf("%d results, %v", len(rs), err)
	}
	if _, err := c.Exec(ctx, "rows 1").ReadAll(); err != nil {
		t.Error(err)
	}
}

func TestCopy(t *testing.T) {
	_, _, addr := start(t, nil)
	c := connect(t, dsn(addr, "postgres")+"sslmode=disable")
	ctx := context.Background()
	data := make([]byte, 3<<20)
	sum := 0
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for i := range data {
		data[i] = byte(r.Uint32())
		sum += int(data[i])
	}
	tag, err := c.CopyFrom(ctx, bytes.NewReader(data), "copyin")
	if want := fmt.Sprintf("COPY %d/%d", len(data), sum); err != nil || tag.String() != want {
		t.Errorf("%q %v, want %q", tag, err, want)
	}
	// A reader that fails makes the client say so.
	if _, err := c.CopyFrom(ctx, io.MultiReader(bytes.NewReader(data[:100]), failing{}), "copyin"); code(err) != "57014" {
		t.Errorf("%v", err)
	}
	if _, err := c.CopyFrom(ctx, bytes.NewReader(data), "copyin 1000"); code(err) != "22P04" {
		t.Errorf("%v", err)
	}
	var out bytes.Buffer
	if _, err := c.CopyTo(ctx, &out, "copyout 10000"); err != nil || strings.Count(out.String(), "\n") != 10000 {
		t.Errorf("%d bytes, %v", out.Len(), err)
	}
	if _, err := c.Exec(ctx, "rows 1").ReadAll(); err != nil {
		t.Error(err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no more") }

// Messages of every size, cut at random places, must give the same stream.
func TestCopyFraming(t *testing.T) {
	_, _, addr := start(t, nil)
	r := mathrand.New(mathrand.NewPCG(7, 7))
	for range 5 {
		nc := dialRaw(t, addr)
		var stream []byte
		total, sum := 0, 0
		for range 500 {
			n := r.IntN(40)
			if r.IntN(50) == 0 {
				n = r.IntN(400 << 10)
			}
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(r.Uint32())
				sum += int(p[i])
			}
			total += n
			m, _ := message(`d ""`)
			m[1], m[2], m[3], m[4] = byte((n+4)>>24), byte((n+4)>>16), byte((n+4)>>8), byte(n+4)
			stream = append(append(stream, m...), p...)
			if r.IntN(30) == 0 {
				m, _ := message("H")
				stream = append(stream, m...)
			}
		}
		m, _ := message("c")
		stream = append(stream, m...)
		q, _ := message(`Q "copyin"`)
		_, _ = nc.Write(q)
		until(nc, 'G', 1)
		for len(stream) > 0 {
			n := min(len(stream), 1+r.IntN(100<<10))
			if _, err := nc.Write(stream[:n]); err != nil {
				t.Fatal(err)
			}
			stream = stream[n:]
		}
		if got, want := until(nc, 'Z', 1), fmt.Sprintf("C COPY %d/%d\nZ I\n", total, sum); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		nc.Close()
	}
}

// dialRaw logs in without a driver.
func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	_ = nc.SetDeadline(time.Now().Add(time.Minute))
	hello, _ := message("hex 00000017 00030000 7573657200 706f73746772657300 00")
	_, _ = nc.Write(hello)
	if got := until(nc, 'Z', 1); !strings.HasSuffix(got, "Z I\n") {
		t.Fatalf("login: %s", got)
	}
	return nc
}

func TestCancel(t *testing.T) {
	fake, srv, addr := start(t, nil)
	c := connect(t, dsn(addr, "postgres")+"sslmode=disable")
	other := connect(t, dsn(addr, "postgres")+"sslmode=disable")
	ctx := context.Background()
	// With nothing running it has no effect, also not on the next query.
	if err := c.CancelRequest(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Exec(ctx, "rows 1").ReadAll(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		done := make(chan error, 1)
		go func() { _, err := c.Exec(ctx, "sleep").ReadAll(); done <- err }()
		<-fake.Sleeping
		began := time.Now()
		if i < 2 {
			_ = c.CancelRequest(ctx)
		} else {
			srv.CancelBackend(int32(c.PID()))
		}
		err := <-done
		var pe *pgconn.PgError
		if !errors.As(err, &pe) || pe.Code != "57014" || pe.Message != "canceling statement due to user request" {
			t.Errorf("%v", err)
		}
		if d := time.Since(began); d > 10*time.Second { // it sleeps for 30
			t.Errorf("took %v", d)
		}
	}
	if _, err := c.Exec(ctx, "rows 1").ReadAll(); err != nil {
		t.Error(err)
	}
	if _, err := other.Exec(ctx, "rows 1").ReadAll(); err != nil {
		t.Error(err)
	}
}

// A COPY that waits for its client can be cancelled, and the connection lives on.
func TestCancelCopy(t *testing.T) {
	_, srv, addr := start(t, nil)
	for _, sent := range []string{"", "d \"some\"", "hex 64 00000100 0000"} {
		nc := dialRaw(t, addr)
		q, _ := message(`Q "copyin"`)
		d, _ := message(sent)
		_, _ = nc.Write(append(q, d...))
		until(nc, 'G', 1)
		time.Sleep(20 * time.Millisecond)
		for pid := range int32(100) {
			srv.CancelBackend(pid)
		}
		began := time.Now()
		got := until(nc, 'Z', 1)
		if !strings.HasPrefix(got, "E S=ERROR C=57014") {
			t.Errorf("after %q: %s", sent, got)
		}
		if d := time.Since(began); d > 10*time.Second { // it sleeps for 30
			t.Errorf("took %v", d)
		}
		if strings.HasPrefix(sent, "hex") { // the rest of the message that was cut
			_, _ = nc.Write(make([]byte, 0x100-4-2))
		}
		q, _ = message(`Q "rows 1"`)
		c, _ := message("c")
		_, _ = nc.Write(append(c, q...))
		if got := until(nc, 'Z', 1); !strings.HasSuffix(got, "C SELECT 1\nZ I\n") {
			t.Errorf("after the cancel: %s", got)
		}
		nc.Close()
	}
}

func TestDisconnectCancels(t *testing.T) {
	fake, _, addr := start(t, nil)
	nc := dialRaw(t, addr)
	q, _ := message(`Q "sleep"`)
	_, _ = nc.Write(q)
	<-fake.Sleeping
	nc.Close()
	for deadline := time.Now().Add(25 * time.Second); fake.Sessions.Load() > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the query goes on without its client")
		}
	}
}

func TestTerminateAndShutdown(t *testing.T) {
	fake, srv, addr := start(t, nil)
	ctx := context.Background()
	idle := dialRaw(t, addr)
	busy := dialRaw(t, addr)
	defer idle.Close()
	defer busy.Close()
	victim := dialRaw(t, addr)
	defer victim.Close()
	if !srv.TerminateBackend(3) || srv.TerminateBackend(12345) {
		t.Error("TerminateBackend does not know its sessions")
	}
	if got := until(victim, 0, 1); !strings.Contains(got, "C=57P01") {
		t.Error(got)
	}
	half := must(net.Dial("tcp", addr)) // in the middle of start-up
	defer half.Close()
	q, _ := message(`Q "sleep"`)
	_, _ = busy.Write(q)
	<-fake.Sleeping
	began := time.Now()
	if err := srv.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	for name, nc := range map[string]net.Conn{"idle": idle, "busy": busy} {
		if got := until(nc, 0, 1); !strings.Contains(got, "C=57P01 M=terminating connection due to administrator command") {
			t.Errorf("%s: %s", name, got)
		}
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("it still listens")
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestTooManyConnections(t *testing.T) {
	_, _, addr := start(t, func(c *pgwire.Config) { c.MaxConnections = 2 })
	a, b := dialRaw(t, addr), dialRaw(t, addr)
	defer b.Close()
	_, err := pgconn.Connect(context.Background(), dsn(addr, "postgres")+"sslmode=disable")
	if code(err) != "53300" {
		t.Errorf("%v", err)
	}
	a.Close()
	for range 2000 {
		if c, err := pgconn.Connect(context.Background(), dsn(addr, "postgres")+"sslmode=disable"); err == nil {
			_ = c.Close(context.Background())
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a place that became free is not given again")
}

func certificate(t *testing.T) tls.Certificate {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func TestTLSAndPasswords(t *testing.T) {
	_, _, addr := start(t, func(c *pgwire.Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	})
	_, _, plain := start(t, nil)
	cases := []struct{ name, url, code string }{
		{"plain trust", dsn(addr, "postgres") + "sslmode=disable", ""},
		{"TLS trust", dsn(addr, "postgres") + "sslmode=require", ""},
		{"TLS SCRAM", dsn(addr, "alice:secret") + "sslmode=require", ""},
		{"TLS SCRAM bound", dsn(addr, "alice:secret") + "sslmode=require&channel_binding=require", ""},
		{"direct TLS", dsn(addr, "alice:secret") + "sslmode=require&sslnegotiation=direct", ""},
		{"TLS wrong password", dsn(addr, "alice:wrong") + "sslmode=require", "28P01"},
		{"SCRAM", dsn(plain, "alice:secret") + "sslmode=prefer", ""},
		{"wrong password", dsn(plain, "alice:wrong") + "sslmode=prefer", "28P01"},
		{"unknown role", dsn(plain, "mallory:x") + "sslmode=disable", "28000"},
		{"protocol 3.2", dsn(plain, "alice:secret") + "sslmode=disable&max_protocol_version=3.2", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := contextTimeout(time.Minute)
			defer cancel()
			conn, err := pgconn.Connect(ctx, c.url)
			if c.code != "" || err != nil {
				if err == nil || code(err) != c.code {
					t.Fatalf("%v", err)
				}
				return
			}
			defer conn.Close(ctx)
			if _, err := conn.Exec(ctx, "rows 5").ReadAll(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Cancel requests arrive over TLS too.
func TestCancelTLS(t *testing.T) {
	fake, _, addr := start(t, func(c *pgwire.Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	})
	c := connect(t, dsn(addr, "postgres")+"sslmode=require")
	done := make(chan error, 1)
	go func() { _, err := c.Exec(context.Background(), "sleep").ReadAll(); done <- err }()
	<-fake.Sleeping
	_ = c.CancelRequest(context.Background())
	if err := <-done; code(err) != "57014" {
		t.Errorf("%v", err)
	}
}

// Bytes slipped in between SSLRequest and the handshake are refused.
func TestNothingBeforeTLS(t *testing.T) {
	_, _, addr := start(t, func(c *pgwire.Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t)}}
	})
	nc := must(net.Dial("tcp", addr))
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	m, _ := message("hex 00000008 04d2162f 00000017 00030000 7573657200 706f73746772657300 00")
	_, _ = nc.Write(m)
	if got := until(nc, 0, 1); !strings.Contains(got, "received unencrypted data after SSL request") {
		t.Error(got)
	}
}

func TestLoginTimeout(t *testing.T) {
	_, _, addr := start(t, func(c *pgwire.Config) { c.LoginTimeout = 50 * time.Millisecond })
	nc := must(net.Dial("tcp", addr))
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
	if got := until(nc, 0, 1); got != "eof\n" {
		t.Error(got)
	}
	var c *pgconn.PgConn
	for i := 0; c == nil; i++ { // a slow machine may not log in in that time
		var err error
		if c, err = pgconn.Connect(context.Background(), dsn(addr, "postgres")+"sslmode=disable"); err != nil && i == 200 {
			t.Fatal(err)
		}
	}
	defer c.Close(context.Background())
	time.Sleep(100 * time.Millisecond) // the bound is one of the login only
	if _, err := c.Exec(context.Background(), "rows 1").ReadAll(); err != nil {
		t.Error(err)
	}
}

func TestIdleLimit(t *testing.T) {
	_, _, addr := start(t, nil)
	nc := dialRaw(t, addr)
	defer nc.Close()
	say := func(s string) { m, _ := message(s); _, _ = nc.Write(m) }
	say(`Q "idle 2000"`)
	until(nc, 'Z', 1)
	for range 3 { // each command begins a new silence
		time.Sleep(700 * time.Millisecond)
		say(`Q "rows 1"`)
		if got := until(nc, 'Z', 1); !strings.HasSuffix(got, "Z I\n") {
			t.Fatal(got)
		}
	}
	if got := until(nc, 0, 1); !strings.Contains(got, "E S=FATAL C=57P05") {
		t.Error(got)
	}
}

func TestPgx(t *testing.T) {
	_, _, addr := start(t, nil)
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		cfg := must(pgx.ParseConfig(dsn(addr, "postgres") + "sslmode=disable"))
		cfg.DefaultQueryExecMode = mode
		c := must(pgx.ConnectConfig(context.Background(), cfg))
		for range 2 {
			rows, err := c.Query(context.Background(), "rows 20")
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for rows.Next() {
				var i int32
				var s *string
				if err := rows.Scan(&i, &s); err != nil {
					t.Fatal(err)
				}
				if int(i) != n || (s == nil) != (n%7 == 6) {
					t.Errorf("%v row %d: %d %v", mode, n, i, s)
				}
				n++
			}
			if rows.Err() != nil || n != 20 {
				t.Errorf("%v: %d rows, %v", mode, n, rows.Err())
			}
		}
		_ = c.Close(context.Background())
	}
}

func TestPsql(t *testing.T) {
	psql, err := exec.LookPath("psql")
	if err != nil {
		t.Skip("no psql on this machine")
	}
	_, _, addr := start(t, nil)
	host, port, _ := strings.Cut(addr, ":")
	cmd := exec.Command(psql, "-X", "-h", host, "-p", port, "-U", "alice", "-d", "db", "-At", "-c", "rows 2", "-c", "\\copy (x) to stdout", "-c", "error 22012 division by zero")
	cmd.Env = append(cmd.Environ(), "PGPASSWORD=secret")
	out, _ := cmd.CombinedOutput()
	if got := string(out); !strings.Contains(got, "0|row\n1|row\n") || !strings.Contains(got, "division by zero") {
		t.Error(got)
	}
}
