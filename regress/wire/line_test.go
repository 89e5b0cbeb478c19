package wire

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/server/pgwire"
)

// looping starts a server whose connections join the loop after one command.
func looping(t *testing.T) (*Fake, *pgwire.Server, string) {
	t.Helper()
	if runtime.GOMAXPROCS(0) < 2 {
		t.Cleanup(func() { runtime.GOMAXPROCS(1) })
		runtime.GOMAXPROCS(2)
	}
	return start(t, func(c *pgwire.Config) { c.Settle = 1 })
}

// ping runs small queries, and says whether a connection is in the loop.
func ping(t *testing.T, srv *pgwire.Server, nc net.Conn, n int) bool {
	t.Helper()
	q, _ := message(`Q "rows 1"`)
	for range n {
		if _, err := nc.Write(q); err != nil {
			t.Fatal(err)
		}
		if got := until(nc, 'Z', 1); !strings.HasSuffix(got, "C SELECT 1\nZ I\n") {
			t.Fatalf("got %s", got)
		}
	}
	now, _ := srv.Looped()
	return now > 0
}

// command runs a command that is none for the loop.
func command(t *testing.T, nc net.Conn) {
	t.Helper()
	q, _ := message(`Q "set a b"`)
	_, _ = nc.Write(q)
	if got := until(nc, 'Z', 1); !strings.HasSuffix(got, "C SET\nZ I\n") {
		t.Fatalf("got %s", got)
	}
}

// leaves waits until no connection is in the loop.
func leaves(t *testing.T, srv *pgwire.Server) {
	t.Helper()
	for deadline := time.Now().Add(25 * time.Second); ; time.Sleep(time.Millisecond) {
		if now, _ := srv.Looped(); now == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a connection is still in the loop")
		}
	}
}

// joins goes on until a connection has joined the loop so often in all: one command that
// a busy machine takes long for keeps it out for a thousand others.
func joins(t *testing.T, srv *pgwire.Server, nc net.Conn, want int64) {
	t.Helper()
	for deadline := time.Now().Add(25 * time.Second); ; {
		ping(t, srv, nc, 10)
		if _, joined := srv.Looped(); joined >= want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it does not join the loop")
		}
	}
}

func openFiles(t *testing.T) int {
	d, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(d)
}

func TestLineComesAndGoes(t *testing.T) {
	_, srv, addr := looping(t)
	nc := dialRaw(t, addr)
	defer nc.Close()
	ping(t, srv, nc, 100)
	files := openFiles(t)
	for want := int64(1); want <= 8; want++ {
		joins(t, srv, nc, want)
		ping(t, srv, nc, 40)
		command(t, nc)
		leaves(t, srv)
	}
	if n := openFiles(t); n > files+2 {
		t.Errorf("%d files are open, there were %d", n, files)
	}
}

// Any number of clients get their own answers, whoever waits where.
func TestLinesTogether(t *testing.T) {
	_, _, addr := looping(t)
	var wg sync.WaitGroup
	for k := range 4 {
		c := connect(t, dsn(addr, "postgres")+"sslmode=disable")
		wg.Add(1)
		go func() {
			defer wg.Done()
			ctx := context.Background()
			if _, err := c.Prepare(ctx, "st", "echo $1", nil); err != nil {
				t.Error(err)
				return
			}
			for i := range 1500 {
				if i%(100<<k) == 0 {
					time.Sleep(6 * time.Millisecond)
				}
				v := strings.Repeat(string(rune('a'+k)), i%50+1)
				r := c.ExecPrepared(ctx, "st", [][]byte{[]byte(v)}, nil, nil).Read()
				if r.Err != nil || string(r.Rows[0][0]) != v {
					t.Errorf("%v %q, want %q", r.Err, r.Rows, v)
					return
				}
			}
		}()
	}
	wg.Wait()
}

// A client that takes a long answer slowly gets all of it, and so does one whose
// command comes in pieces.
func TestLineSlowClient(t *testing.T) {
	_, srv, addr := looping(t)
	nc := dialRaw(t, addr)
	defer nc.Close()
	_ = nc.(*net.TCPConn).SetReadBuffer(128 << 10)
	for range 2 {
		for i := 0; i < 100 && !ping(t, srv, nc, 1); i++ {
		}
		q, _ := message(`Q "rows 150000"`)
		_, _ = nc.Write(q[:3])
		time.Sleep(2 * time.Millisecond)
		_, _ = nc.Write(q[3:])
		time.Sleep(50 * time.Millisecond)
		r := bufio.NewReaderSize(nc, 64<<10)
		var head [5]byte
		for rows := 0; head[0] != 'Z'; rows++ {
			if _, err := io.ReadFull(r, head[:]); err != nil {
				t.Fatalf("after %d messages: %v", rows, err)
			}
			if _, err := r.Discard(int(binary.BigEndian.Uint32(head[1:])) - 4); err != nil {
				t.Fatal(err)
			}
			if head[0] == 'Z' && rows != 150002 { // description, rows, completion
				t.Fatalf("%d messages", rows)
			}
		}
	}
}

// Others end a connection in the loop, even one whose client never stops.
func TestLineTerminated(t *testing.T) {
	fake, srv, addr := looping(t)
	nc := dialRaw(t, addr)
	defer nc.Close()
	ping(t, srv, nc, 100)
	srv.TerminateBackend(1)
	q, _ := message(`Q "rows 1"`)
	for deadline := time.Now().Add(25 * time.Second); ; {
		if _, err := nc.Write(q); err != nil {
			break
		}
		if got := until(nc, 'Z', 1); !strings.HasSuffix(got, "Z I\n") {
			if !strings.Contains(got, "C=57P01") {
				t.Errorf("got %s", got)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it goes on")
		}
	}
	silent := dialRaw(t, addr)
	defer silent.Close()
	ping(t, srv, silent, 100)
	began := time.Now()
	if err := srv.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
	if got := until(silent, 0, 1); !strings.Contains(got, "C=57P01") {
		t.Errorf("got %s", got)
	}
	if fake.Sessions.Load() != 0 {
		t.Error("sessions are left")
	}
}

// While a client is at work others are in the loop, and that it leaves is noticed.
func TestLineClientGone(t *testing.T) {
	fake, srv, addr := looping(t)
	nc := dialRaw(t, addr)
	ping(t, srv, nc, 100)
	q, _ := message(`Q "sleep"`)
	_, _ = nc.Write(q)
	<-fake.Sleeping
	other := dialRaw(t, addr)
	defer other.Close()
	ping(t, srv, other, 100)
	nc.Close()
	for deadline := time.Now().Add(25 * time.Second); fake.Sessions.Load() > 1; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the query goes on without its client")
		}
	}
}
