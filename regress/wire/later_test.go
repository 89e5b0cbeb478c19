package wire

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/server/pgwire"
)

// echoes is a transaction of the extended protocol, by itself.
var echoes = []string{`P "" "echo $1"`, `B "" "" x`, `E "" 0`, "S"}

const echoed = "C SELECT 1\nZ I\n"

// later has a connection in the loop send commands, of which the first Sync is left for
// later. One that a busy machine takes long for has left the loop: it tries again.
func later(t *testing.T, fake *Fake, srv *pgwire.Server, nc net.Conn, lines ...string) {
	t.Helper()
	var all []byte
	commands := 0
	for _, l := range lines {
		q, err := message(l)
		if err != nil {
			t.Fatal(err)
		}
		if all = append(all, q...); l[0] == 'S' || l[0] == 'Q' {
			commands++
		}
	}
	fake.Hold.Store(true)
	for deadline := time.Now().Add(25 * time.Second); ; {
		if time.Now().After(deadline) {
			t.Fatal("no Sync is left for later")
		}
		if !ping(t, srv, nc, 2) {
			continue
		}
		was := fake.Later.Load()
		if _, err := nc.Write(all); err != nil {
			t.Fatal(err)
		}
		for !arrived(t, nc) {
			if fake.Later.Load() > was {
				return
			}
			time.Sleep(time.Millisecond)
		}
		fake.Hold.Store(false)
		fake.Land()
		until(nc, 'Z', commands)
		fake.Hold.Store(true)
	}
}

// arrived says whether there is something to read.
func arrived(t *testing.T, nc net.Conn) (is bool) {
	t.Helper()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			n, _, e := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
			is = n > 0 && e == nil
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return is
}

// silent sees that nothing comes.
func silent(t *testing.T, nc net.Conn) {
	t.Helper()
	time.Sleep(20 * time.Millisecond)
	if arrived(t, nc) {
		t.Error("something was sent before the commit is on disk")
	}
}

// What is sent while a commit is under way comes after it; what came before it does not
// wait for it.
func TestLaterPipeline(t *testing.T) {
	fake, srv, addr := looping(t)
	nc := dialRaw(t, addr)
	defer nc.Close()
	q, _ := message(`Q "rows 1"`)
	later(t, fake, srv, nc, append(append(append([]string{}, echoes...), echoes...), `Q "rows 1"`)...)
	silent(t, nc)
	_, _ = nc.Write(q)
	silent(t, nc)
	was := fake.Later.Load()
	fake.Land()
	if got := until(nc, 'Z', 1); strings.Count(got, "C ") != 1 || !strings.HasSuffix(got, echoed) {
		t.Fatalf("the first transaction: %s", got)
	}
	for fake.Later.Load() == was && !arrived(t, nc) {
		time.Sleep(time.Millisecond)
	}
	if fake.Later.Load() > was { // else it has left the loop meanwhile
		silent(t, nc)
		fake.Land()
	}
	if got := until(nc, 'Z', 1); strings.Count(got, "C ") != 1 || !strings.HasSuffix(got, echoed) {
		t.Fatalf("the second transaction: %s", got)
	}
	if got := until(nc, 'Z', 2); strings.Count(got, "C SELECT 1\n") != 2 {
		t.Errorf("the queries: %s", got)
	}
	fake.Hold.Store(false)
	ping(t, srv, nc, 20)
}

// A connection whose commit is under way is not cancelled, and ends, whoever ends it,
// only then: with the answer, if the client is still there.
func TestLaterEnds(t *testing.T) {
	fake, srv, addr := looping(t)
	files := openFiles(t)
	for i, how := range []string{"cancel", "terminate", "close", "shutdown"} {
		nc := dialRaw(t, addr)
		later(t, fake, srv, nc, echoes...)
		pid := int32(i + 1)
		stopped := make(chan error, 1)
		switch how {
		case "cancel":
			srv.CancelBackend(pid)
		case "terminate":
			srv.TerminateBackend(pid)
		case "close":
			_ = nc.Close()
			time.Sleep(20 * time.Millisecond)
		case "shutdown":
			go func() { stopped <- srv.Shutdown(context.Background()) }()
		}
		if how != "close" {
			silent(t, nc)
		}
		if n := srv.Sessions(); n != 1 {
			t.Errorf("%s: %d sessions while a commit is under way", how, n)
		}
		if n := fake.Land(); n != 1 {
			t.Errorf("%s: %d Syncs were left", how, n)
		}
		switch how {
		case "cancel":
			if got := until(nc, 'Z', 1); !strings.HasSuffix(got, echoed) {
				t.Errorf("%s: got %s", how, got)
			}
			fake.Hold.Store(false)
			ping(t, srv, nc, 20)
			_ = nc.Close()
		case "terminate", "shutdown":
			if got := until(nc, 0, 1); !strings.Contains(got, echoed) || !strings.Contains(got, "C=57P01") {
				t.Errorf("%s: got %s", how, got)
			}
			_ = nc.Close()
		}
		for deadline := time.Now().Add(25 * time.Second); srv.Sessions() > 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d sessions are left", how, srv.Sessions())
			}
		}
		if how == "shutdown" {
			if err := <-stopped; err != nil {
				t.Error(err)
			}
		}
	}
	for deadline := time.Now().Add(10 * time.Second); openFiles(t) > files; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d files are open, there were %d", openFiles(t), files)
		}
	}
	if n := srv.Counters().Panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
}
