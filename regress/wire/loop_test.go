package wire

import (
	"bytes"
	"context"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Clients that mix what the loop runs with what it does not, pipelines of both, large
// results, COPY, cancels and errors get their own answers, whoever comes and goes.
func TestLoopMixed(t *testing.T) {
	fake, srv, addr := looping(t)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-fake.Sleeping:
			case <-ended:
				return
			}
		}
	}()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	until := time.Now().Add(1500 * time.Millisecond)
	var wg sync.WaitGroup
	for k := range 8 {
		wg.Go(func() {
			r := mathrand.New(mathrand.NewPCG(seed, uint64(k)))
			for time.Now().Before(until) {
				if err := mixed(t, r, srv.TerminateBackend, addr); err != nil {
					t.Errorf("client %d: %v", k, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if _, joined := srv.Looped(); joined == 0 {
		t.Error("nobody joined the loop")
	}
	if fake.Later.Load() == 0 {
		t.Error("no Sync was left for later")
	}
	for deadline := time.Now().Add(30 * time.Second); srv.Sessions() > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d sessions are left", srv.Sessions())
		}
	}
	if n := srv.Counters().Panics.Load(); n != 0 {
		t.Errorf("%d panics", n)
	}
}

// mixed is one connection's worth.
func mixed(t *testing.T, r *mathrand.Rand, terminate func(int32) bool, addr string) error {
	ctx, cancel := contextTimeout(time.Minute)
	defer cancel()
	c, err := pgconn.Connect(ctx, dsn(addr, "postgres")+"sslmode=disable")
	if err != nil {
		return err
	}
	defer c.Close(context.Background())
	if _, err := c.Prepare(ctx, "st", "echo $1", nil); err != nil {
		return err
	}
	for range r.IntN(60) {
		switch k := r.IntN(20); {
		case k < 10:
			v := fmt.Sprint(r.Uint64())
			res := c.ExecPrepared(ctx, "st", [][]byte{[]byte(v)}, nil, nil).Read()
			if res.Err != nil || len(res.Rows) != 1 || string(res.Rows[0][0]) != v {
				return fmt.Errorf("echo: %v, %q", res.Err, res.Rows)
			}
		case k < 13:
			n := []int{0, 1, 7, 1000, 1001, 30000}[r.IntN(6)]
			res, err := c.Exec(ctx, fmt.Sprintf("rows %d", n)).ReadAll()
			if err != nil || len(res) != 1 || len(res[0].Rows) != n {
				return fmt.Errorf("rows %d: %v", n, err)
			}
		case k == 13:
			if err := pipeline(ctx, r, c); err != nil {
				return err
			}
		case k == 14:
			data := bytes.Repeat([]byte("x\n"), r.IntN(100000))
			tag, err := c.CopyFrom(ctx, bytes.NewReader(data), "copyin")
			if err != nil || !strings.HasPrefix(tag.String(), fmt.Sprintf("COPY %d/", len(data))) {
				return fmt.Errorf("copy in: %v %s", err, tag)
			}
		case k == 15:
			var w bytes.Buffer
			if _, err := c.CopyTo(ctx, &w, "copyout 500"); err != nil || bytes.Count(w.Bytes(), []byte("\n")) != 500 {
				return fmt.Errorf("copy out: %v", err)
			}
		case k == 16:
			_, err := c.Exec(ctx, "error 22012 division by zero").ReadAll()
			if e, ok := err.(*pgconn.PgError); !ok || e.Code != "22012" {
				return fmt.Errorf("error: %v", err)
			}
		case k == 17:
			done := make(chan error, 1)
			go func() {
				_, err := c.Exec(ctx, "sleep").ReadAll()
				done <- err
			}()
			for waiting := true; waiting; {
				_ = c.CancelRequest(ctx)
				select {
				case err := <-done:
					if e, ok := err.(*pgconn.PgError); !ok || e.Code != "57014" {
						return fmt.Errorf("cancel: %v", err)
					}
					waiting = false
				case <-time.After(2 * time.Millisecond):
				}
			}
		case k == 18:
			if err := c.CancelRequest(ctx); err != nil { // of nothing
				return err
			}
		case k == 19 && r.IntN(4) == 0:
			terminate(int32(c.PID()))
			for range 1000 {
				if _, err := c.Exec(ctx, "rows 1").ReadAll(); err != nil {
					if e, ok := err.(*pgconn.PgError); ok && e.Code != "57P01" {
						return fmt.Errorf("terminated: %v", err)
					}
					return nil
				}
			}
			return fmt.Errorf("a terminated connection goes on")
		case k == 19 && r.IntN(2) == 0: // goes without a word, perhaps in the middle
			nc, err := c.Hijack()
			if err != nil {
				return err
			}
			q, _ := message(`Q "rows 5"`)
			_, _ = nc.Conn.Write(q[:r.IntN(len(q)+1)])
			return nc.Conn.Close()
		}
	}
	return nil
}

// pipeline sends prompt and other statements before one Sync.
func pipeline(ctx context.Context, r *mathrand.Rand, c *pgconn.PgConn) error {
	p := c.StartPipeline(ctx)
	var want []string
	n := 1 + r.IntN(6)
	for i := range n {
		switch r.IntN(6) {
		case 0, 1:
			p.SendQueryParams("set a b", nil, nil, nil, nil)
			want = append(want, "SET")
			continue
		case 2, 3:
			if i == n-1 { // the last one is below
				break
			}
			p.SendPipelineSync()
			want = append(want, "")
			continue
		}
		v := fmt.Sprint(r.Uint64())
		p.SendQueryPrepared("st", [][]byte{[]byte(v)}, nil, nil)
		want = append(want, v)
	}
	if err := p.Sync(); err != nil {
		return err
	}
	for _, v := range want {
		res, err := p.GetResults()
		if err != nil {
			return fmt.Errorf("pipeline: %w", err)
		}
		if v == "" {
			if _, is := res.(*pgconn.PipelineSync); !is {
				return fmt.Errorf("pipeline: %T where a Sync was", res)
			}
			continue
		}
		rr, ok := res.(*pgconn.ResultReader)
		if !ok {
			return fmt.Errorf("pipeline: %T", res)
		}
		got := rr.Read()
		if got.Err != nil || v == "SET" && got.CommandTag.String() != "SET" || v != "SET" && (len(got.Rows) != 1 || string(got.Rows[0][0]) != v) {
			return fmt.Errorf("pipeline: %v %q, want %s", got.Err, got.Rows, v)
		}
	}
	if _, err := p.GetResults(); err != nil {
		return err
	}
	return p.Close()
}

// A panic in the loop ends its connection alone.
func TestLoopPanic(t *testing.T) {
	_, srv, addr := looping(t)
	other := dialRaw(t, addr)
	defer other.Close()
	ping(t, srv, other, 10)
	nc := dialRaw(t, addr)
	defer nc.Close()
	ping(t, srv, nc, 10)
	q, _ := message(`Q "panic"`)
	_, _ = nc.Write(q)
	if got := until(nc, 0, 1); !strings.Contains(got, "C=XX000") {
		t.Errorf("got %s", got)
	}
	if n := srv.Counters().Panics.Load(); n != 1 {
		t.Errorf("%d panics", n)
	}
	for deadline := time.Now().Add(time.Minute); !ping(t, srv, other, 10); {
		if time.Now().After(deadline) {
			t.Fatal("the other is not in the loop any more")
		}
	}
}

// A client that does not take its answers holds nobody up.
func TestLoopFull(t *testing.T) {
	_, srv, addr := looping(t)
	nc := dialRaw(t, addr)
	defer nc.Close()
	ping(t, srv, nc, 10)
	other := dialRaw(t, addr)
	defer other.Close()
	sent := make(chan int, 1)
	go func() {
		q, _ := message(`Q "rows 1000"`)
		q = bytes.Repeat(q, 2000)
		n, _ := nc.Write(q)
		sent <- n / (len(q) / 2000)
	}()
	ping(t, srv, other, 500)
	go func() { _ = nc.SetReadDeadline(time.Now().Add(time.Minute)) }()
	n, err := io.CopyN(io.Discard, nc, 20<<20)
	if err != nil {
		t.Errorf("after %d bytes: %v", n, err)
	}
	ping(t, srv, other, 50)
	_ = nc.Close()
	<-sent
}

// A client whose commands hold the loop up leaves it, and does not soon come back.
func TestLoopHog(t *testing.T) {
	_, srv, addr := looping(t)
	nc := dialRaw(t, addr)
	defer nc.Close()
	ping(t, srv, nc, 100)
	q, _ := message(`Q "spin 250"`)
	_, _ = nc.Write(q)
	if got := until(nc, 'Z', 1); !strings.HasSuffix(got, "C SPIN\nZ I\n") {
		t.Fatalf("got %s", got)
	}
	leaves(t, srv)
	if ping(t, srv, nc, 100) {
		t.Error("it is in the loop again")
	}
}
