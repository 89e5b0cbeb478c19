package wire

import (
	"context"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// garbageFake and garbageSQL are the messages that are sent, broken and mixed, to
// a fake session and to a real server.
var (
	garbageFake = []string{`Q "rows 3"`, `P "a" "rows 2"`, `B "" "a"`, `E "" 1`, `D S "a"`, `D P ""`, "S", "H", `Q "copyin"`,
		`d "xx"`, "c", `f "no"`, `C S "a"`, `Q "copyout 3"`, `Q "begin"`}
	garbageSQL = []string{`Q "SELECT 1"`, `P "a" "SELECT $1::int + g FROM generate_series(1, 10) g"`, `P "" "SELECT $1::text" 25`, `B "" "a" "4"`, `B "p" "a" "x"`,
		`E "" 1`, `E "p" 0`, `D S "a"`, `D P ""`, "S", "S", "H", `Q "CREATE TABLE IF NOT EXISTS wire_garbage (a int, b text)"`,
		`Q "COPY wire_garbage FROM STDIN"`, `d "1\tx\n"`, `d "1"`, "c", `f "no"`, `C S "a"`, `C P ""`, `Q "COPY (SELECT 1, 2) TO STDOUT"`, `Q "BEGIN"`, `Q "ROLLBACK"`,
		`Q "SELECT"`, `Q "SELECT 1/0; SELECT 2"`, `Q "DECLARE c CURSOR FOR SELECT 1"`, `Q "FETCH 1 FROM c"`, `Q ""`, "X"}
)

// TestGarbage sends random and broken messages on many connections at once while
// others work: nothing may crash, hang or leak, and the others must not notice.
// WIRE_FUZZ=30m runs it that long, WIRE_ADDR=host:port against a real server that
// trusts postgres.
func TestGarbage(t *testing.T) {
	addr, good, check := os.Getenv("WIRE_ADDR"), garbageSQL, "SELECT g FROM generate_series(1, 50) g"
	if addr == "" {
		_, srv, own := start(t, nil)
		addr, good, check = own, garbageFake, "rows 50"
		defer func() {
			if n := srv.Counters().Panics.Load(); n != 0 {
				t.Errorf("%d panics", n)
			}
		}()
	}
	limit, _ := time.ParseDuration(os.Getenv("WIRE_FUZZ"))
	seed := uint64(99)
	if limit > 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	deadline := time.Now().Add(limit)

	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		c, err := pgconn.Connect(context.Background(), "postgres://postgres@"+addr+"/postgres?sslmode=disable")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close(context.Background())
		for {
			ctx, cancel := contextTimeout(time.Minute)
			r, err := c.Exec(ctx, check).ReadAll()
			cancel()
			if err != nil || len(r[0].Rows) != 50 {
				t.Errorf("a good client suffers: %v", err)
				return
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	var bad sync.WaitGroup
	var sent atomic.Int64
	for w := range 8 {
		bad.Go(func() {
			r := mathrand.New(mathrand.NewPCG(uint64(w), seed))
			for i := 0; i < 40 || time.Now().Before(deadline); i++ {
				if err := garbage(r, addr, good); err != nil {
					t.Error(err)
					return
				}
				sent.Add(1)
			}
		})
	}
	bad.Wait()
	close(stop)
	others.Wait()
	t.Logf("%d connections", sent.Load())
}

// garbage is one connection's worth.
func garbage(r *mathrand.Rand, addr string, good []string) error {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(5 * time.Second))
	if r.IntN(4) > 0 {
		hello, _ := message("hex 00000017 00030000 7573657200 706f73746772657300 00")
		_, _ = nc.Write(hello)
	}
	var out []byte
	for range r.IntN(30) {
		m, err := message(good[r.IntN(len(good))])
		if err != nil {
			return err
		}
		switch r.IntN(12) {
		case 0:
			m = m[:r.IntN(len(m))]
		case 1:
			m[r.IntN(len(m))] ^= byte(1 << r.IntN(8))
		case 2:
			m = append(m, byte(r.Uint32()))
		case 3:
			m = make([]byte, r.IntN(50))
			for i := range m {
				m[i] = byte(r.Uint32())
			}
		}
		out = append(out, m...)
	}
	_, _ = nc.Write(out)
	if r.IntN(2) == 0 {
		_ = nc.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(5)) * time.Millisecond))
		_, _ = io.Copy(io.Discard, nc)
	}
	return nil
}

// Every message of the lists can be encoded.
func TestGarbageMessages(t *testing.T) {
	for _, m := range append(garbageFake, garbageSQL...) {
		if _, err := message(m); err != nil {
			t.Error(fmt.Errorf("%s: %w", strings.TrimSpace(m), err))
		}
	}
}
