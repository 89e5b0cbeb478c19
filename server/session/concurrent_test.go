package session_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/millrace/millrace/server/pgwire"
)

// TestCounts: what statements by themselves say that they changed is what they did,
// whatever others do meanwhile, and none of them fails for it.
func TestCounts(t *testing.T) {
	const workers, rounds = 4, 25
	e := open(t)
	s := session(t, e)
	exec(t, s, "CREATE TABLE acc (k int PRIMARY KEY, n int8 NOT NULL)")
	exec(t, s, "INSERT INTO acc SELECT g, 0 FROM generate_series(1, 10) g")
	exec(t, s, "CREATE TABLE gone (k int PRIMARY KEY)")
	exec(t, s, "INSERT INTO gone SELECT g FROM generate_series(1, 1000) g")
	exec(t, s, "CREATE TABLE many (k int PRIMARY KEY, n int8 NOT NULL)")
	exec(t, s, "INSERT INTO many SELECT g, 0 FROM generate_series(1, 40000) g")
	exec(t, s, "CREATE TABLE cnt (k int PRIMARY KEY, n int8 NOT NULL)")
	var wg sync.WaitGroup
	var updated, deleted, large [workers]int64
	for w := range workers {
		x := session(t, e)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range rounds {
				if i%5 == 0 { // a large one, which takes no locks in a query string
					out := &sink{}
					if err := x.Simple(context.Background(), fmt.Sprintf("UPDATE many SET n = n + 1 WHERE n < %d", 1+i/5), out); err != nil {
						t.Errorf("large update: %v", err)
						return
					}
					large[w] += out.count()
				}
				for _, q := range []struct {
					sql string
					n   *int64
				}{
					{"UPDATE acc SET n = n + 1 WHERE k <= 5", &updated[w]},
					{"UPDATE acc SET n = n + 1 WHERE k = 7", &updated[w]},
					{"UPDATE acc SET n = n + 1 WHERE n IN (SELECT min(n) FROM acc)", &updated[w]},
					{fmt.Sprintf("DELETE FROM gone WHERE k %% %d = 0 AND k <= %d", w+2, 40*i), &deleted[w]},
					{"INSERT INTO cnt VALUES (1, 1) ON CONFLICT (k) DO UPDATE SET n = cnt.n + 1", nil},
				} {
					out := &sink{}
					var err error
					if i%2 == 0 {
						err = x.Simple(context.Background(), q.sql, out)
					} else {
						err = extended(x, q.sql, out)
					}
					if err != nil {
						t.Errorf("%s: %v", q.sql, err)
						return
					}
					if q.n != nil {
						*q.n += out.count()
					}
				}
			}
		}()
	}
	wg.Wait()
	total := func(c [workers]int64) (n int64) {
		for _, x := range c {
			n += x
		}
		return n
	}
	value := func(sql string) int64 { return exec(t, s, sql).value() }
	if n := value("SELECT sum(n)::int8 FROM acc"); n != total(updated) {
		t.Errorf("rows were changed %d times, statements say %d", n, total(updated))
	}
	if n := value("SELECT 1000 - count(*) FROM gone"); n != total(deleted) {
		t.Errorf("%d rows were deleted, statements say %d", n, total(deleted))
	}
	if n := value("SELECT sum(n)::int8 FROM many"); n != total(large) {
		t.Errorf("rows of the large table were changed %d times, statements say %d", n, total(large))
	}
	if n := value("SELECT n FROM cnt"); n != workers*rounds {
		t.Errorf("counter is %d, want %d", n, workers*rounds)
	}
}

// count is the number in a command tag.
func (s *sink) count() int64 {
	n, _ := strconv.ParseInt(s.tag[strings.LastIndexByte(s.tag, ' ')+1:], 10, 64)
	return n
}

// extended runs a statement by the messages of the extended protocol.
func extended(s pgwire.Session, sql string, out *sink) (err error) {
	ctx := context.Background()
	if err = s.Parse(ctx, "", sql, nil); err == nil {
		if err = s.Bind(ctx, "", "", nil, nil, nil); err == nil {
			_, err = s.Execute(ctx, "", 0, out)
		}
	}
	if e := s.Sync(ctx); err == nil {
		err = e
	}
	return err
}
