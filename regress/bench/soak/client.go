package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/bench/waits"
)

// class is one kind of work: how long it took, and with which errors it may end.
type class struct {
	name    string
	may     []string
	watched bool // by -slow
	mu      sync.Mutex
	now     histogram // since the last sample
	all     histogram
	codes   map[string]int
}

func (k *class) took(d time.Duration) {
	k.mu.Lock()
	k.now.add(d)
	k.all.add(d)
	k.mu.Unlock()
}

// turn is the p99 since the last call.
func (k *class) turn() time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	p := k.now.at(0.99)
	k.now = histogram{}
	return p
}

// histogram counts durations in buckets of a tenth.
type histogram struct {
	buckets [200]int64
	n       int64
	longest time.Duration
}

const perDecade = 24

func (h *histogram) add(d time.Duration) {
	i := int(math.Log10(max(float64(d.Microseconds()), 1)) * perDecade)
	h.buckets[min(i, len(h.buckets)-1)]++
	h.n++
	h.longest = max(h.longest, d)
}

// at is a quantile, rounded up to its bucket's bound.
func (h *histogram) at(q float64) time.Duration {
	left := int64(math.Ceil(q * float64(h.n)))
	for i, n := range h.buckets {
		if left -= n; left <= 0 && n > 0 {
			return min(time.Duration(math.Pow(10, float64(i+1)/perDecade)*1000), h.longest)
		}
	}
	return 0
}

// soak is a run.
type soak struct {
	srv     *process
	watch   *waits.Watch
	classes []*class
	began   time.Time
	clients sync.WaitGroup

	mu    sync.Mutex
	wrong map[string]int // what was wrong, how often
	order []string
}

// fail notes what is wrong; the run goes on.
func (s *soak) fail(format string, args ...any) {
	m := fmt.Sprintf(format, args...)
	s.mu.Lock()
	defer s.mu.Unlock()
	key := m
	if len(s.order) >= 40 {
		key = "more"
	}
	if s.wrong[key]++; s.wrong[key] == 1 {
		s.order = append(s.order, key)
		fmt.Printf("%6.0f s  WRONG: %s\n", time.Since(s.began).Seconds(), m)
	}
}

// watchedClasses are those of single rows: others wait for what they ask for.
var watchedClasses = regexp.MustCompile("one$|look-up$|^tpc-b")

// class makes one; may are the SQLSTATEs that its statements may end in.
func (s *soak) class(name string, may ...string) *class {
	for _, k := range s.classes {
		if k.name == name {
			return k
		}
	}
	k := &class{name: name, may: may, watched: watchedClasses.MatchString(name), codes: map[string]int{}}
	s.classes = append(s.classes, k)
	return k
}

// errLost says that the connection went with a killed server: whether the statement
// was done is not known.
var errLost = errors.New("connection lost with the server")

// errRefused is an error that the class allows.
var errRefused = errors.New("refused")

// errWrong is an error that was noted.
var errWrong = errors.New("wrong")

// patience is how long any statement may take.
const patience = 2 * time.Minute

// client is a connection that comes and goes.
type client struct {
	s      *soak
	name   string
	conn   *pgx.Conn
	rnd    *rand.Rand
	turn   int64     // of the server it is connected to
	until  time.Time // when it reconnects
	simple bool
}

func (s *soak) client(name string, seed uint64) *client {
	return &client{s: s, name: name, rnd: rand.New(rand.NewPCG(*seedFlag, seed))}
}

func (c *client) close() {
	if c.conn != nil {
		_ = c.conn.Close(context.Background())
		c.conn = nil
	}
}

// connect makes sure of a connection, and waits for a server that is down.
func (c *client) connect(ctx context.Context) error {
	if c.conn != nil && (time.Now().After(c.until) || c.turn != c.s.srv.turn.Load()) {
		c.close()
	}
	for c.conn == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		turn, start := c.s.srv.turn.Load(), time.Now()
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		conn, err := pgx.Connect(one, c.s.srv.dsn()+"&application_name="+c.name)
		cancel()
		if err == nil {
			c.conn, c.turn, c.until = conn, turn, start.Add(time.Duration(20+c.rnd.IntN(60))*time.Second)
			break
		}
		if ctx.Err() == nil && turn%2 == 0 && c.s.srv.turn.Load() == turn {
			c.s.fail("%s: connect: %v", c.name, err)
			return errWrong
		}
		time.Sleep(100 * time.Millisecond)
	}
	return nil
}

// do runs one piece of work of a class on the client's connection. A transaction that
// it left open is rolled back. The error is nil, errRefused, errLost, errWrong or the context's.
func (c *client) do(ctx context.Context, k *class, f func(context.Context, *pgx.Conn) error) error {
	if err := c.connect(ctx); err != nil {
		return err
	}
	start := time.Now()
	// A statement that has begun is waited for when the run ends, so that what it did is known.
	one, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	over := func() {}
	if k.watched {
		over = c.s.watch.Begin(k.name + " by " + c.name)
	}
	err := f(one, c.conn)
	over()
	if err == nil {
		k.took(time.Since(start))
	}
	if c.conn.IsClosed() {
		c.conn = nil
	} else if c.conn.PgConn().TxStatus() != 'I' {
		if _, err := c.conn.Exec(one, "ROLLBACK"); err != nil {
			c.close()
		}
	}
	if err == nil || errors.Is(err, errWrong) {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && slices.Contains(k.may, pg.Code) {
		k.mu.Lock()
		k.codes[pg.Code]++
		k.mu.Unlock()
		return errRefused
	}
	if c.turn%2 == 1 || c.s.srv.turn.Load() != c.turn {
		c.close()
		return errLost
	}
	if pg != nil {
		c.s.fail("%s: %v %s", k.name, err, pg.Detail)
	} else {
		c.s.fail("%s: %v", k.name, err)
	}
	c.close()
	return errWrong
}

// exec is do for one statement.
func (c *client) exec(ctx context.Context, k *class, sql string, args ...any) error {
	return c.do(ctx, k, func(ctx context.Context, conn *pgx.Conn) error {
		if c.simple {
			args = append([]any{pgx.QueryExecModeSimpleProtocol}, args...)
		}
		if _, err := conn.Exec(ctx, sql, args...); err != nil {
			return fmt.Errorf("%w in %s", err, sql)
		}
		return nil
	})
}

// work starts a goroutine that takes a step at most every so often, as set by -rate,
// until the run ends.
func (s *soak) work(ctx context.Context, every time.Duration, step func(), clients ...*client) {
	every = time.Duration(float64(every) / *rate)
	s.clients.Go(func() {
		defer func() {
			for _, c := range clients {
				c.close()
			}
		}()
		next := time.Now().Add(time.Duration(clients[0].rnd.Float64() * float64(every)))
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Until(next)):
			}
			step()
			// What is late is not made up for by more than a little.
			if next = next.Add(every); time.Since(next) > time.Second {
				next = time.Now()
			}
		}
	})
}
