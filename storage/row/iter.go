package row

import (
	"bytes"
	"context"

	"github.com/cockroachdb/pebble/v2"
)

// iter goes through a tablet's rows in the order of their keys: those of Pebble and of
// the runs before it, of which the newest counts.
type iter struct {
	it    *pebble.Iterator
	on    bool // it stands on a row
	runs  []runCursor
	cur   int // which run has the present row; -1: Pebble
	valid bool
}

// runCursor is a place in a run, the newest first among an iterator's.
type runCursor struct {
	*sortedRun
	at, from, to int
}

// iter makes an iterator between two keys, both of which have the tablet's prefix or
// enclose what has; hi is excluded, nil for open.
func (s *source) iter(ctx context.Context, prefix, lo, hi []byte) (*iter, error) {
	x := &iter{cur: -1}
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
		x.runs[i].at = x.runs[i].from
	}
	return x.settle()
}

// SeekGE goes to the first row whose key is not below key.
func (x *iter) SeekGE(key []byte) bool {
	x.on = x.it.SeekGE(key)
	for i := range x.runs {
		c := &x.runs[i]
		c.at = min(max(c.search(key), c.from), c.to)
	}
	return x.settle()
}

// Next goes to the next row.
func (x *iter) Next() bool {
	if len(x.runs) == 0 {
		x.on = x.it.Next()
		x.valid = x.on
		return x.valid
	}
	x.pass()
	return x.settle()
}

// pass leaves the present key in all that stand on it.
func (x *iter) pass() {
	key := x.Key()
	for i := range x.runs {
		if c := &x.runs[i]; i != x.cur && c.at < c.to && bytes.Equal(c.key(c.at), key) {
			c.at++
		}
	}
	if x.cur < 0 {
		x.on = x.it.Next()
		return
	}
	if x.on && bytes.Equal(x.it.Key(), key) {
		x.on = x.it.Next()
	}
	x.runs[x.cur].at++
}

// settle finds which of them has the next row. There is none after an error: what lies
// between two rows of runs is unknown then.
func (x *iter) settle() bool {
	for {
		x.cur = -1
		if !x.on && x.it.Error() != nil {
			x.valid = false
			return false
		}
		for i := range x.runs {
			c := &x.runs[i]
			if c.at == c.to {
				continue
			}
			if x.cur < 0 {
				x.cur = i
				continue
			}
			b := &x.runs[x.cur]
			if h, g := c.refs[c.at].head, b.refs[b.at].head; h < g || h == g && bytes.Compare(c.key(c.at), b.key(b.at)) < 0 {
				x.cur = i
			}
		}
		if x.cur < 0 {
			x.valid = x.on
			return x.valid
		}
		c := &x.runs[x.cur]
		if x.on && bytes.Compare(x.it.Key(), c.key(c.at)) < 0 {
			x.cur, x.valid = -1, true
			return true
		}
		if c.value(c.at) != nil {
			x.valid = true
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
		return x.runs[x.cur].key(x.runs[x.cur].at)
	}
	return x.it.Key()
}

// ValueAndErr is the present row's value, lent until it moves.
func (x *iter) ValueAndErr() ([]byte, error) {
	if x.cur >= 0 {
		return x.runs[x.cur].value(x.runs[x.cur].at), nil
	}
	return x.it.ValueAndErr()
}

// Error is why it ended early, if it did.
func (x *iter) Error() error { return x.it.Error() }

// Close ends it.
func (x *iter) Close() error { return x.it.Close() }
