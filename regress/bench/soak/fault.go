package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// faultSays are the faults by name, with words of what must be said of each.
var faultSays = map[string]string{
	"binlog":      "binlog of s_column",
	"connections": "goroutines at rest",
	"error":       "22012",
	"memory":      "anonymous memory grew",
	"row":         "s_row: by ",
	"stream":      "stream: ",
	"sum":         "sums of accounts",
}

// faults are what a run does wrong on purpose, to see that it is found.
var faults = map[string]func(*soak, context.Context){
	// A client that prepares statements without end and stays.
	"memory": func(s *soak, ctx context.Context) {
		c := s.client("leak", 800)
		n := 0
		s.clients.Go(func() {
			defer c.close()
			for ctx.Err() == nil && c.connect(ctx) == nil {
				c.until = time.Now().Add(time.Hour)
				n++
				if _, err := c.conn.Prepare(ctx, fmt.Sprint("leak", n), fmt.Sprintf("SELECT '%s' || $1", strings.Repeat("x", 100000))); err != nil {
					return
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	},
	// Clients that do not leave.
	"connections": func(s *soak, ctx context.Context) {
		for range 20 {
			c, err := pgx.Connect(ctx, s.srv.dsn())
			if err != nil {
				s.fail("connect: %v", err)
				return
			}
			stay = append(stay, c)
		}
	},
	"row": func(s *soak, ctx context.Context) {
		s.behind(ctx, "UPDATE s_row SET v = v + 1000000 WHERE k BETWEEN 8000 AND 15999")
	},
	"sum": func(s *soak, ctx context.Context) {
		s.behind(ctx, "UPDATE s_tellers SET tbalance = tbalance + 1 WHERE tid = 3")
	},
	"stream": func(s *soak, ctx context.Context) {
		s.behind(ctx, "DELETE FROM s_orders WHERE id % 3 = 0")
	},
	"binlog": func(s *soak, ctx context.Context) {
		s.behind(ctx, "SET hg_experimental_generate_binlog = off; UPDATE s_column SET v = v WHERE k < 0; DELETE FROM s_column WHERE k BETWEEN 40000 AND 44000")
	},
	"error": func(s *soak, ctx context.Context) {
		c := s.client("error", 801)
		s.work(ctx, time.Second, func() { _ = c.exec(ctx, s.class("error"), "SELECT 1 / (length(now()::text) * 0)") }, c)
	},
}

var stay []*pgx.Conn

func faultNames() []string { return slices.Sorted(maps.Keys(faultSays)) }

// behind changes something behind the writers' backs, in the middle of the run.
func (s *soak) behind(ctx context.Context, sql string) {
	s.clients.Go(func() {
		select {
		case <-ctx.Done():
		case <-time.After(*duration / 2):
			if err := s.once(ctx, sql); err != nil {
				fmt.Println("fault:", err)
			}
		}
	})
}

func (s *soak) sabotage(ctx context.Context) {
	if *fault == "" {
		return
	}
	f, ok := faults[*fault]
	if !ok {
		s.fail("no fault named %q", *fault)
		return
	}
	f(s, ctx)
}
