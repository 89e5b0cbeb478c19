package row

import "bytes"

// backward goes through an iterator's rows from the last to the first.
type backward struct {
	x    *iter
	on   bool  // Pebble's iterator stands on a row
	at   []int // the place in each run, below its from: none
	cur  int   // which run has the present row; -1: Pebble
	some bool
}

// newBackward takes an iterator over, which is not used otherwise from then on but to be
// closed, and stands on the last row.
func newBackward(x *iter) *backward {
	b := &backward{x: x, on: x.it.Last()}
	for i := range x.runs {
		b.at = append(b.at, x.runs[i].to-1)
	}
	b.settle()
	return b
}

func (b *backward) valid() bool { return b.some }

// settle finds which of them has the next row. Of equal keys the newest run's counts, and
// Pebble's least. There is none after an error.
func (b *backward) settle() {
	for {
		b.cur, b.some = -1, false
		if !b.on && b.x.it.Error() != nil {
			return
		}
		var key []byte
		for i, at := range b.at {
			if c := &b.x.runs[i]; at >= c.from {
				if k := c.key(at); b.cur < 0 || bytes.Compare(k, key) > 0 {
					b.cur, key = i, k
				}
			}
		}
		if b.cur < 0 {
			b.some = b.on
			return
		}
		if b.on && bytes.Compare(b.x.it.Key(), key) > 0 {
			b.cur, b.some = -1, true
			return
		}
		if b.x.runs[b.cur].value(b.at[b.cur]) != nil {
			b.some = true
			return
		}
		b.pass() // a row that was removed
	}
}

// pass leaves the present key in all that stand on it.
func (b *backward) pass() {
	if b.cur < 0 {
		// A run that had the key would have been before it.
		b.on = b.x.it.Prev()
		return
	}
	key := b.x.runs[b.cur].key(b.at[b.cur])
	if b.on && bytes.Equal(b.x.it.Key(), key) {
		b.on = b.x.it.Prev()
	}
	for i := range b.at {
		if c := &b.x.runs[i]; i != b.cur && b.at[i] >= c.from && bytes.Equal(c.key(b.at[i]), key) {
			b.at[i]--
		}
	}
	b.at[b.cur]--
}

// prev goes to the row before.
func (b *backward) prev() bool {
	b.pass()
	b.settle()
	return b.some
}

// value is the present row's, lent until it moves.
func (b *backward) value() ([]byte, error) {
	if b.cur >= 0 {
		return b.x.runs[b.cur].value(b.at[b.cur]), nil
	}
	return b.x.it.ValueAndErr()
}
