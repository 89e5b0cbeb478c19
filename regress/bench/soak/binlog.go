package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// follower reads a table's binlog from where it was, and holds each change against the
// one before of its key: a change that is missing, twice or out of order is seen.
type follower struct {
	s     *soak
	table string
	c     *client
	k     *class
	at    map[int64]int64 // by shard
	have  map[int64]int64 // by key: v
	// before is the image before an update whose other half is to come.
	before map[int64]bool
}

func (s *soak) follow(ctx context.Context) []*follower {
	var all []*follower
	for i, o := range orientations {
		f := &follower{s: s, table: tableOf(o), c: s.client("binlog-"+tableOf(o), uint64(300+i)), k: s.class("binlog"),
			at: map[int64]int64{}, have: map[int64]int64{}, before: map[int64]bool{}}
		all = append(all, f)
		s.work(ctx, 700*time.Millisecond, func() {
			for ctx.Err() == nil && f.read(ctx) == followed {
			}
		}, f.c)
	}
	return all
}

const followed = 5000

// read takes up to so many records of each shard and returns the most of one.
func (f *follower) read(ctx context.Context) int {
	most := 0
	for shard := range int64(*shards) {
		type change struct{ lsn, event, k, v int64 }
		var got []change
		err := f.c.do(ctx, f.k, func(ctx context.Context, c *pgx.Conn) error {
			rows, err := c.Query(ctx, fmt.Sprintf("SELECT hg_binlog_lsn, hg_binlog_event_type, k, v FROM %s WHERE hg_shard_id = %d AND hg_binlog_lsn > $1 ORDER BY hg_binlog_lsn LIMIT %d",
				f.table, shard, followed), f.at[shard])
			if err != nil {
				return err
			}
			var g change
			_, err = pgx.ForEachRow(rows, []any{&g.lsn, &g.event, &g.k, &g.v}, func() error { got = append(got, g); return nil })
			return err
		})
		if err != nil {
			return 0
		}
		most = max(most, len(got))
		for _, g := range got {
			f.take(g.lsn, g.event, g.k, g.v)
			f.at[shard] = g.lsn
		}
	}
	return most
}

func (f *follower) take(lsn, event, k, v int64) {
	old, there := f.have[k]
	switch event {
	case 5:
		if there {
			f.s.fail("binlog of %s at %d: key %d inserted with %d where %d stands", f.table, lsn, k, v, old)
		}
		f.have[k] = v
	case 2:
		if !there || old != v {
			f.s.fail("binlog of %s at %d: key %d deleted with %d where %d stands (%v)", f.table, lsn, k, v, old, there)
		}
		delete(f.have, k)
	case 3:
		if !there || old != v {
			f.s.fail("binlog of %s at %d: key %d updated from %d where %d stands (%v)", f.table, lsn, k, v, old, there)
		}
		f.before[k] = true
	case 7:
		if !f.before[k] {
			f.s.fail("binlog of %s at %d: key %d updated to %d without an image before", f.table, lsn, k, v)
		}
		delete(f.before, k)
		f.have[k] = v
	default:
		f.s.fail("binlog of %s at %d: event %d", f.table, lsn, event)
	}
}

// same compares what the binlog adds up to with what the writers know.
func (f *follower) same(writers []*keyed) {
	for _, w := range writers {
		if w.table != f.table {
			continue
		}
		for i, v := range w.have {
			if got := f.have[w.key(i)]; got != v {
				f.s.fail("binlog of %s: key %d ends at %d, in the table at %d", f.table, w.key(i), got, v)
			}
		}
	}
}
