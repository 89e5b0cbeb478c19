package row

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// iter goes through a tablet's rows in the order of their keys: those of Pebble and of
// the runs before it, of which the newest counts. Runs are few changes beside Pebble's
// rows: while it goes through those, the runs' next key is all that it compares with.
type iter struct {
	it    *pebble.Iterator
	on    bool // it stands on a row
	runs  []runCursor
	next  int       // which run has the least key that is left of runs, the newest of it; -1: none
	row   *keyValue // its row
	head  uint64    // of that key
	cur   int       // which run has the present row; -1: Pebble
	both  bool      // it stands on the key of the run's present row
	valid bool
}

// runCursor is a place in a run, the newest first among an iterator's.
type runCursor struct {
	*sortedRun
	at, from, to int
	// ahead are keys and values from some place on, as many as were found at a time.
	ahead   []keyValue
	aheadAt int
	touched byte
}

type keyValue struct{ key, value []byte }

// aheadMost is how many rows of a run are looked up at a time. They lie in as many
// places of memory, which are waited for together.
const aheadMost = 32

// here is the row at the cursor; its value is nil if it was removed.
func (c *runCursor) here() *keyValue {
	if k := c.at - c.aheadAt; k >= 0 && k < len(c.ahead) {
		return &c.ahead[k]
	}
	n := min(2*len(c.ahead)+1, aheadMost, c.to-c.at) // few at first: a seek may want no more
	c.ahead, c.aheadAt = c.ahead[:0], c.at
	for _, r := range c.refs[c.at : c.at+n] {
		from := c.all[r.of]
		x := keyValue{from.key(int(r.i)), from.value(int(r.i))}
		c.touched += x.key[len(x.key)-1]
		c.ahead = append(c.ahead, x)
	}
	return &c.ahead[0]
}

// seek goes to a place.
func (c *runCursor) seek(at int) {
	if k := at - c.aheadAt; k < 0 || k >= len(c.ahead) {
		c.ahead = c.ahead[:0]
	}
	c.at = at
}

// iter makes an iterator between two keys, both of which have the tablet's prefix or
// enclose what has; hi is excluded, nil for open.
func (s *source) iter(ctx context.Context, prefix, lo, hi []byte) (*iter, error) {
	x := &iter{next: -1, cur: -1}
	if l := s.layers(); l != nil { // first: see Runs.Snapshot
		for _, y := range [...]*layer{&l.fresh, &l.frozen} {
			runs := y.tablets[string(prefix)]
			for k := len(runs) - 1; k >= 0; k-- {
				c := runCursor{sortedRun: runs[k], from: runs[k].search(lo), to: len(runs[k].refs)}
				if hi != nil {
					c.to = runs[k].search(hi)
				}
				if c.from < c.to {
					x.runs = append(x.runs, c)
				}
			}
		}
	}
	var err error
	x.it, err = s.r.NewIterWithContext(ctx, &pebble.IterOptions{LowerBound: lo, UpperBound: hi})
	return x, err
}

// First goes to the first row.
func (x *iter) First() bool {
	x.on = x.it.First()
	for i := range x.runs {
		x.runs[i].seek(x.runs[i].from)
	}
	x.least()
	return x.settle()
}

// SeekGE goes to the first row whose key is not below key.
func (x *iter) SeekGE(key []byte) bool {
	x.on = x.it.SeekGE(key)
	for i := range x.runs {
		c := &x.runs[i]
		c.seek(min(max(c.search(key), c.from), c.to))
	}
	x.least()
	return x.settle()
}

// Next goes to the next row.
func (x *iter) Next() bool {
	if x.cur < 0 {
		x.on = x.it.Next()
		if x.next < 0 {
			x.valid = x.on
			return x.valid
		}
	} else {
		x.pass()
	}
	return x.settle()
}

// pass leaves the runs' next key, in all that stand on it.
func (x *iter) pass() {
	if x.both {
		x.on = x.it.Next()
	}
	for i := range x.runs {
		if c := &x.runs[i]; i == x.next || c.at < c.to && c.refs[c.at].head == x.head && bytes.Equal(c.here().key, x.row.key) {
			c.at++
		}
	}
	x.least()
}

// least finds the runs' next key.
func (x *iter) least() {
	x.next, x.row = -1, nil
	for i := range x.runs {
		c := &x.runs[i]
		if c.at == c.to {
			continue
		}
		if x.next >= 0 {
			b := &x.runs[x.next]
			if h, g := c.refs[c.at].head, b.refs[b.at].head; h > g || h == g && bytes.Compare(c.here().key, b.here().key) >= 0 {
				continue
			}
		}
		x.next = i
	}
	if x.next >= 0 {
		c := &x.runs[x.next]
		x.row, x.head = c.here(), c.refs[c.at].head
	}
}

// settle finds which of them has the next row. There is none after an error: what lies
// between two rows of runs is unknown then.
func (x *iter) settle() bool {
	for {
		if !x.on && x.it.Error() != nil {
			x.cur, x.valid = -1, false
			return false
		}
		if x.next < 0 {
			x.cur, x.valid = -1, x.on
			return x.valid
		}
		above := 1
		if x.on {
			above = bytes.Compare(x.it.Key(), x.row.key)
		}
		if above < 0 {
			x.cur, x.valid = -1, true
			return true
		}
		x.both = above == 0
		if x.row.value != nil {
			x.cur, x.valid = x.next, true
			return true
		}
		x.pass() // a row that was removed
	}
}

// last is the greatest key, whether or not its row was removed; nil for none or an
// error. The iterator stands nowhere then.
func (x *iter) last() []byte {
	x.valid = false
	var key []byte
	if x.it.Last() {
		key = x.it.Key()
	} else if x.it.Error() != nil {
		return nil
	}
	for i := range x.runs {
		if k := x.runs[i].key(x.runs[i].to - 1); string(k) > string(key) {
			key = k
		}
	}
	return key
}

// Valid says whether it stands on a row.
func (x *iter) Valid() bool { return x.valid }

// Key is the present row's key, lent until it moves.
func (x *iter) Key() []byte {
	if x.cur >= 0 {
		return x.row.key
	}
	return x.it.Key()
}

// ValueAndErr is the present row's value, lent until it moves.
func (x *iter) ValueAndErr() ([]byte, error) {
	if x.cur >= 0 {
		return x.row.value, nil
	}
	return x.it.ValueAndErr()
}

// Error is why it ended early, if it did.
func (x *iter) Error() error { return x.it.Error() }

// Close ends it.
func (x *iter) Close() error { return x.it.Close() }
