package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// orientations of the tables that clients write by key; each table has its binlog read.
var orientations = []string{"row", "row,column", "column"}

func tableOf(orientation string) string {
	return "s_" + strings.ReplaceAll(orientation, ",", "_")
}

const (
	owned     = 8000 // keys of a writer
	batchRows = 100
	bulkKey   = 1_000_000_000 // keys from here on are the bulk loader's
)

// keyed writes keys that are its own, and knows what they are to be.
type keyed struct {
	s          *soak
	table      string
	owner      int
	w, r       *client // one writes, the other reads
	one, batch *class
	look, scan *class
	next       int64
	have       [owned]int64  // what was acknowledged; 0: no row
	doubt      map[int]int64 // what was sent and not answered
}

func (s *soak) keyed(table string, owner int) *keyed {
	name := table + "-" + fmt.Sprint(owner)
	return &keyed{s: s, table: table, owner: owner, doubt: map[int]int64{},
		w: s.client(name+"-w", uint64(owner)*2), r: s.client(name+"-r", uint64(owner)*2+1),
		one: s.class(table + " one"), batch: s.class(table+" batch", "40P01"), look: s.class(table + " look-up"), scan: s.class(table + " scan")}
}

func (k *keyed) key(i int) int64 { return int64(k.owner)*owned + int64(i) }

// step writes, then reads.
func (k *keyed) step(ctx context.Context) {
	if len(k.doubt) > 0 {
		if k.verify(ctx) != nil {
			return
		}
	}
	if k.write(ctx) != nil {
		return
	}
	k.read(ctx)
}

func (k *keyed) write(ctx context.Context) error {
	i := k.w.rnd.IntN(owned)
	set := map[int]int64{}
	k.next++
	set[i] = k.next
	var err error
	k.w.simple = k.w.rnd.IntN(2) == 0
	note := "payload of a row, number " + fmt.Sprint(k.next) + strings.Repeat("·", k.w.rnd.IntN(40))
	switch what := k.w.rnd.IntN(20); {
	case what == 0:
		set[i] = 0
		err = k.w.exec(ctx, k.one, "DELETE FROM "+k.table+" WHERE k = $1", k.key(i))
	case what < 3:
		// Many at once.
		ks, vs := make([]int64, 0, batchRows), make([]int64, 0, batchRows)
		for len(ks) < batchRows {
			if i := k.w.rnd.IntN(owned); len(set) < 2 || set[i] == 0 {
				k.next++
				set[i] = k.next
				ks, vs = append(ks, k.key(i)), append(vs, k.next)
			}
		}
		for i := range set {
			if !slices.Contains(ks, k.key(i)) {
				delete(set, i)
			}
		}
		k.w.simple = false
		err = k.w.exec(ctx, k.batch, "INSERT INTO "+k.table+" (k, owner, v, note) SELECT k, $3, v, $4 FROM unnest($1::bigint[], $2::bigint[]) u(k, v) ON CONFLICT (k) DO UPDATE SET v = excluded.v, note = excluded.note",
			ks, vs, k.owner, note)
	case what < 6:
		if k.have[i] == 0 {
			delete(set, i)
		}
		err = k.w.exec(ctx, k.one, "UPDATE "+k.table+" SET v = $2 WHERE k = $1", k.key(i), k.next)
	default:
		err = k.w.exec(ctx, k.one, "INSERT INTO "+k.table+" (k, owner, v, note) VALUES ($1, $2, $3, $4) ON CONFLICT (k) DO UPDATE SET v = excluded.v, note = excluded.note",
			k.key(i), k.owner, k.next, note)
	}
	for i, v := range set {
		switch {
		case err == nil:
			k.have[i] = v
		case errors.Is(err, errLost) || errors.Is(err, errWrong):
			k.doubt[i] = v
		}
	}
	return err
}

// read looks keys up, one or a few, on a connection that did not write them.
func (k *keyed) read(ctx context.Context) {
	var is []int
	for range 1 + 4*k.r.rnd.IntN(2) {
		if i := k.r.rnd.IntN(owned); !slices.Contains(is, i) {
			is = append(is, i)
		}
	}
	got := map[int]int64{}
	err := k.r.do(ctx, k.look, func(ctx context.Context, c *pgx.Conn) error {
		var rows pgx.Rows
		switch {
		case len(is) > 1:
			keys := make([]int64, len(is))
			for j, i := range is {
				keys[j] = k.key(i)
			}
			rows, _ = c.Query(ctx, "SELECT k, v FROM "+k.table+" WHERE k = ANY($1)", keys)
		case k.r.rnd.IntN(2) == 0:
			rows, _ = c.Query(ctx, "SELECT k, v FROM "+k.table+" WHERE k = $1", k.key(is[0]))
		default:
			rows, _ = c.Query(ctx, fmt.Sprintf("SELECT k, v FROM %s WHERE k = %d", k.table, k.key(is[0])), pgx.QueryExecModeSimpleProtocol)
		}
		return k.gather(rows, got)
	})
	if err == nil {
		k.compare("look-up", is, got)
	}
}

func (k *keyed) gather(rows pgx.Rows, got map[int]int64) error {
	var key, v int64
	_, err := pgx.ForEachRow(rows, []any{&key, &v}, func() error {
		i := int(key - k.key(0))
		if _, twice := got[i]; twice {
			k.s.fail("%s: key %d twice", k.table, key)
		}
		got[i] = v
		return nil
	})
	return err
}

// compare holds what was read against what was written, and settles doubts.
func (k *keyed) compare(how string, is []int, got map[int]int64) bool {
	same := true
	for _, i := range is {
		v := got[i]
		if d, ok := k.doubt[i]; ok {
			if v == d || v == k.have[i] {
				k.have[i] = v
			}
			delete(k.doubt, i)
		}
		if v != k.have[i] {
			same = false
			k.s.fail("%s: by %s key %d is %d, not %d", k.table, how, k.key(i), v, k.have[i])
			k.have[i] = v
		}
	}
	return same
}

// verify reads all keys by a scan, and on its own by the range of keys.
func (k *keyed) verify(ctx context.Context) error {
	all := make([]int, owned)
	for i := range all {
		all[i] = i
	}
	for _, where := range []string{"owner = $1", "k >= $1 AND k < $2"} {
		args := []any{k.owner}
		if strings.HasPrefix(where, "k") {
			args = []any{k.key(0), k.key(owned)}
		}
		got := map[int]int64{}
		err := k.r.do(ctx, k.scan, func(ctx context.Context, c *pgx.Conn) error {
			rows, _ := c.Query(ctx, "SELECT k, v FROM "+k.table+" WHERE "+where, args...)
			return k.gather(rows, got)
		})
		if err != nil {
			return err
		}
		k.compare("scan of "+where, all, got)
	}
	return nil
}

// rows starts the writers by key.
func (s *soak) rows(ctx context.Context) []*keyed {
	var all []*keyed
	for _, o := range orientations {
		for range 2 {
			k := s.keyed(tableOf(o), len(all)+1)
			all = append(all, k)
			last := time.Now()
			s.work(ctx, 40*time.Millisecond, func() {
				k.step(ctx)
				if time.Since(last) > 20*time.Second {
					last = time.Now()
					_ = k.verify(ctx)
				}
			}, k.w, k.r)
		}
	}
	return all
}
