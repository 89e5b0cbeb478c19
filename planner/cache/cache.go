// Package cache keeps planned statements: by exact text, and by text with its
// literals taken out, so that statements that differ only in literals that no rule
// of planning looks at share a plan. A plan in it is shared by all sessions and never
// changed.
//
// A plan fits a key: what the text means depends on the database, the role, the search
// path and some settings, and on the version of the catalog. What a plan assumes of
// the data (plan.Statement.Assume) is checked by whoever runs it.
package cache

import (
	"math"
	"sync"

	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/parser"
	"github.com/millrace/millrace/planner/bind"
	"github.com/millrace/millrace/planner/plan"
)

// Key is what a plan was made for.
type Key struct {
	Text                                 string
	Database, Role, SearchPath, Settings string
	// Params are the parameter types that the client declared.
	Params string
	// Version is the catalog's.
	Version uint64
}

// variants bounds the plans of one normalized text, which differ in the literals
// that stayed part of them.
const variants = 8

// Cache is safe for use by many goroutines.
type Cache struct {
	mu    sync.Mutex
	max   int
	bytes int
	plans map[Key]*entry // by exact text
	norms map[Key]*entry // by normalized text
	// The entries in a ring, most lately used first.
	ring entry

	hits, normHits, misses uint64
}

type entry struct {
	key        Key
	normalized bool
	plans      []*template
	bytes      int
	prev, next *entry
}

// template is a plan and how it uses the literals of its text.
type template struct {
	stmt *plan.Statement
	lits []lit
	// params are the slots' values for the text that it was made of.
	params []types.Datum
	bytes  int
}

// lit is one literal in order: a slot of type t, or a text that must be the same.
type lit struct {
	slot  bool
	minus bool // the slot's value has the sign before it
	t     types.T
	text  string
}

// New makes a cache that holds plans of about so many bytes.
func New(maxBytes int) *Cache {
	c := &Cache{max: maxBytes, plans: map[Key]*entry{}, norms: map[Key]*entry{}}
	c.ring.prev, c.ring.next = &c.ring, &c.ring
	return c
}

// Slots are the literals of a statement that binding may turn into parameters, for
// bind.Env; nil when the text is not one that can be shared.
func Slots(text string) map[int]*bind.Slot {
	_, lits, ok := parser.Normalize(nil, nil, text)
	if !ok || len(lits) == 0 {
		return nil
	}
	m := make(map[int]*bind.Slot, len(lits))
	for i, l := range lits {
		m[l.Start] = &bind.Slot{N: i + 1}
	}
	return m
}

// Get finds a plan for a key and the values of its parameters, which are the text's
// literals. The values are not to be changed.
func (c *Cache) Get(k Key, env *types.Env) (*plan.Statement, []types.Datum, bool) {
	c.mu.Lock()
	if e := c.plans[k]; e != nil {
		c.touch(e)
		c.hits++
		t := e.plans[0]
		c.mu.Unlock()
		return t.stmt, t.params, true
	}
	c.mu.Unlock()
	var buf [512]byte
	var lbuf [16]parser.Literal
	norm, lits, ok := parser.Normalize(buf[:0], lbuf[:0], k.Text)
	if !ok || len(lits) == 0 {
		c.miss()
		return nil, nil, false
	}
	c.mu.Lock()
	e := c.norms[k.of(norm)]
	if e == nil {
		c.misses++
		c.mu.Unlock()
		return nil, nil, false
	}
	c.touch(e)
	plans := e.plans
	c.mu.Unlock()
	for _, t := range plans {
		if params, ok := t.match(k.Text, lits, env); ok {
			c.mu.Lock()
			c.normHits++
			c.mu.Unlock()
			return t.stmt, params, true
		}
	}
	c.miss()
	return nil, nil, false
}

// of is the key with another text.
func (k Key) of(text []byte) Key {
	k.Text = string(text)
	return k
}

func (c *Cache) miss() {
	c.mu.Lock()
	c.misses++
	c.mu.Unlock()
}

// match reads the slots' values from a text, if its other literals are the plan's.
func (t *template) match(text string, lits []parser.Literal, env *types.Env) ([]types.Datum, bool) {
	if len(lits) != len(t.lits) {
		return nil, false
	}
	for i, l := range t.lits {
		if !l.slot && l.text != lits[i].Value(text) {
			return nil, false
		}
	}
	params := make([]types.Datum, len(lits))
	for i, l := range t.lits {
		if !l.slot {
			continue
		}
		v := lits[i].Value(text)
		if bind.Momentary(l.t, v) {
			return nil, false
		}
		if l.minus {
			v = "-" + v
		}
		d, err := types.ParseText(l.t, v, env)
		if err != nil {
			return nil, false // planning says what is wrong with it
		}
		if l.minus && (l.t.OID == types.Int4OID && d.I == math.MinInt32 || d.I == math.MinInt64) {
			return nil, false // its digits without the sign have a wider type
		}
		params[i] = d
	}
	return params, true
}

// Put keeps a plan made for a key with the slots of its text, nil when it has none,
// and returns the values of its parameters. Plans that hold for the moment only, and
// utility statements, are not kept. ok is false when the literals in slots cannot be
// had from the text: then the plan is no use without them.
func (c *Cache) Put(k Key, st *plan.Statement, slots map[int]*bind.Slot, env *types.Env) (params []types.Datum, ok bool) {
	t := &template{stmt: st}
	shared := false
	var norm []byte
	if len(slots) > 0 {
		var lits []parser.Literal
		if norm, lits, ok = parser.Normalize(nil, nil, k.Text); !ok {
			return nil, false
		}
		for _, l := range lits {
			s := slots[l.Start]
			x := lit{text: l.Value(k.Text)}
			if s != nil && s.Used {
				x = lit{slot: true, minus: s.Minus, t: s.T}
				shared = true
			}
			t.lits = append(t.lits, x)
		}
		if t.params, ok = t.match(k.Text, lits, env); !ok {
			return nil, false
		}
	}
	if st.NoCache || st.Root == nil {
		return t.params, true
	}
	t.bytes = 512 + len(k.Text) + size(st.Root)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(c.plans, k, t, 1, false)
	if shared {
		c.add(c.norms, k.of(norm), t, variants, true)
	}
	for c.bytes > c.max && c.ring.prev != &c.ring {
		c.drop(c.ring.prev)
	}
	return t.params, true
}

// add puts a plan first among those of a key, of which it keeps at most n.
func (c *Cache) add(m map[Key]*entry, k Key, t *template, n int, normalized bool) {
	e := m[k]
	if e == nil {
		e = &entry{key: k, normalized: normalized}
		m[k] = e
		c.link(e)
	} else {
		c.touch(e)
	}
	plans := append([]*template{t}, e.plans...)
	if len(plans) > n {
		plans = plans[:n]
	}
	e.plans = plans // replaced, never changed: readers hold it without the lock
	c.bytes -= e.bytes
	e.bytes = len(k.Text)
	for _, p := range plans {
		e.bytes += p.bytes
	}
	c.bytes += e.bytes
}

func (c *Cache) link(e *entry) {
	e.prev, e.next = &c.ring, c.ring.next
	e.prev.next, e.next.prev = e, e
}

func (c *Cache) unlink(e *entry) { e.prev.next, e.next.prev = e.next, e.prev }

func (c *Cache) touch(e *entry) {
	if c.ring.next != e {
		c.unlink(e)
		c.link(e)
	}
}

func (c *Cache) drop(e *entry) {
	c.unlink(e)
	c.bytes -= e.bytes
	if e.normalized {
		delete(c.norms, e.key)
	} else {
		delete(c.plans, e.key)
	}
}

// Stats are the cache's counters since the start.
type Stats struct {
	// Hits by exact text and by normalized text, and misses.
	Hits, Normalized, Misses uint64
	// Entries and Bytes are held now; Bytes is an estimate.
	Entries, Bytes int
}

// Stats reads the counters.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{c.hits, c.normHits, c.misses, len(c.plans) + len(c.norms), c.bytes}
}

// size estimates a plan's memory.
func size(n plan.Node) int {
	b := 200 + 96*len(n.Columns())
	if v, ok := n.(*plan.Values); ok {
		b += 200 * len(v.Rows) * max(len(v.Cols), 1)
	} else {
		b += exprBytes(n)
	}
	for _, c := range n.Children() {
		b += size(c)
	}
	return b
}
