package row

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/cockroachdb/pebble/v2"

	"github.com/millrace/millrace/storage"
)

// Changes is what a commit does to one row tablet, as Pebble's sets and deletes in
// the order of its operations. The same function makes them live and in replay.
type Changes struct {
	buf []byte
	ops []change
	// order lists the changes by key, those of one key in their own order; nil: as
	// they are. All keys begin with the same prefix bytes.
	order  []ref
	prefix int
}

// ref is a change in an order of keys. Eight bytes of a key decide nearly always, and
// stand close together. of is for changes of several commits.
type ref struct {
	head  uint64
	of, i int32
}

// sortFrom is how many changes are worth the sorting.
const sortFrom = 8

// change is a key and the value behind it; without value the key is removed.
type change struct{ at, keyLen, valueLen int }

// Len is the number of changes.
func (c *Changes) Len() int { return len(c.ops) }

// Bytes is their size.
func (c *Changes) Bytes() int { return len(c.buf) }

func (c *Changes) key(i int) []byte {
	o := &c.ops[i]
	return c.buf[o.at : o.at+o.keyLen : o.at+o.keyLen]
}

// value is nil for a removed key.
func (c *Changes) value(i int) []byte {
	o := &c.ops[i]
	if o.valueLen == 0 {
		return nil
	}
	from := o.at + o.keyLen
	return c.buf[from : from+o.valueLen : from+o.valueLen]
}

// Changes derives what chunks do to the tablet. The chunks' columns are those of the
// tablet's present definition.
func (t *Tablet) Changes(chunks []storage.Chunk) *Changes {
	c := &Changes{}
	t.sch.Load().add(c, t.prefix, chunks, nil)
	c.sort(sortedPrefix)
	return c
}

// sort puts the changes in the order of their keys, which all begin with the same
// prefix bytes: a memtable finds the place of a key from that of the one before it.
func (c *Changes) sort(prefix int) {
	c.prefix = prefix
	if len(c.ops) < sortFrom {
		return
	}
	c.order = c.refs(0)
}

// refs are all changes in the order of their keys.
func (c *Changes) refs(of int32) []ref {
	refs := make([]ref, len(c.ops))
	for i := range refs {
		key := c.key(i)[c.prefix:]
		refs[i] = ref{headOf(key), of, int32(i)}
	}
	slices.SortFunc(refs, func(a, b ref) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		if x := bytes.Compare(c.key(int(a.i)), c.key(int(b.i))); x != 0 {
			return x
		}
		return cmp.Compare(a.i, b.i)
	})
	return refs
}

// chunkKeys are the changes of a chunk's operations: the last one of each, and the
// one before where an update changes the key (else -1).
type chunkKeys struct{ old, own []int32 }

// add appends the changes of chunks, and notes in keys, unless it is nil, which
// operation made which.
func (s *schema) add(c *Changes, prefix []byte, chunks []storage.Chunk, keys []chunkKeys) {
	rows := 0
	for i := range chunks {
		rows += chunks[i].Len()
	}
	if c.ops == nil {
		c.ops = make([]change, 0, rows)
		c.buf = make([]byte, 0, rows*(len(prefix)+16+valueHeader+8*len(s.byID)))
	}
	for ci := range chunks {
		k := &chunks[ci]
		var pk = k.Keys
		for i := 0; i < k.Len(); i++ {
			old, own := int32(-1), int32(-1)
			from := len(c.buf)
			if pk != nil {
				c.buf = s.appendKey(append(c.buf, prefix...), pk.Cols, i)
				old = int32(len(c.ops))
				c.ops = append(c.ops, change{at: from, keyLen: len(c.buf) - from})
			}
			if k.Rows != nil {
				to := len(c.buf)
				c.buf = s.appendKey(append(c.buf, prefix...), s.pk(k.Rows), i)
				if old >= 0 && string(c.buf[from:to]) == string(c.buf[to:]) {
					c.buf = c.buf[:to]
					c.ops = c.ops[:old]
					to, own, old = from, old, -1
				} else {
					own = int32(len(c.ops))
				}
				keyLen := len(c.buf) - to
				c.buf = s.appendValue(c.buf, k.Rows.Cols, i)
				c.ops = append(c.ops, change{at: to, keyLen: keyLen, valueLen: len(c.buf) - to - keyLen})
			}
			if keys != nil {
				keys[ci].old = append(keys[ci].old, old)
				keys[ci].own = append(keys[ci].own, own)
			}
		}
	}
}

// Stamp makes them those of a commit.
func (c *Changes) Stamp(csn storage.CSN) {
	for i := range c.ops {
		if v := c.value(i); v != nil {
			stampValue(v, csn)
		}
	}
}

// Apply puts stamped changes into a batch.
func (c *Changes) Apply(b *pebble.Batch) error {
	for i := range c.ops {
		if c.order != nil {
			i = int(c.order[i].i)
		}
		if err := c.put(b, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Changes) put(b *pebble.Batch, i int) error {
	if v := c.value(i); v != nil {
		return b.Set(c.key(i), v, nil)
	}
	return b.Delete(c.key(i), nil)
}

// Empty removes all rows of a table, as one change.
func Empty(b *pebble.Batch, oid uint32) error {
	p := TablePrefix(oid)
	return b.DeleteRange(p, PrefixEnd(p), nil)
}
