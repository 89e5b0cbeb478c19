package elle

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// anomaly is a violation.
type anomaly struct {
	name, text string
}

func (a anomaly) String() string { return a.name + ": " + a.text }

// writer says which transaction appended a value, and whether the value is the last
// that it appended to the list.
type writer struct {
	txn  *txn
	last bool
	gone bool // the transaction, or this part of it, was rolled back
}

type listValue struct{ key, value int }

type checker struct {
	txns    []*txn
	writers map[listValue]writer
	orders  map[int][]int // by key: all versions, as far as any read saw them
	at      map[listValue]int
	found   []anomaly
	seen    map[string]int
}

// most is how many anomalies of a kind are told.
const most = 5

func (c *checker) report(name, format string, args ...any) {
	if c.seen[name]++; c.seen[name] <= most {
		c.found = append(c.found, anomaly{name, fmt.Sprintf(format, args...)})
	}
}

// check finds the violations in a history. final has the lists at its end.
func check(txns []*txn, final map[int][]int) []anomaly {
	c := &checker{txns: txns, writers: map[listValue]writer{}, orders: map[int][]int{}, at: map[listValue]int{}, seen: map[string]int{}}
	for _, t := range txns {
		last := map[int]int{}
		for _, o := range t.ops {
			if o.kind == appended && !o.undone {
				last[o.key] = o.value
			}
		}
		for _, o := range t.ops {
			if o.kind == appended {
				c.writers[listValue{o.key, o.value}] = writer{t, last[o.key] == o.value, o.undone || t.end == aborted}
			}
		}
	}
	c.versions(final)
	for _, t := range txns {
		if t.end == committed {
			c.reads(t)
		}
	}
	c.cycles()
	return c.found
}

// versions puts the values of each list into order: that of the list at the end, of
// which each read must be a prefix.
func (c *checker) versions(final map[int][]int) {
	for k, l := range final {
		c.orders[k] = l
		for i, v := range l {
			if _, twice := c.at[listValue{k, v}]; twice {
				c.report("duplicate", "list %d has %d twice: %v", k, v, l)
			}
			c.at[listValue{k, v}] = i
			if w, ok := c.writers[listValue{k, v}]; !ok {
				c.report("garbage", "list %d has %d, which nobody appended", k, v)
			} else if w.gone {
				c.report("G1a", "list %d has %d of T%d, which was rolled back", k, v, w.txn.id)
			}
		}
	}
	for _, t := range c.txns {
		for _, o := range t.ops {
			if o.kind == appended && !o.undone && t.end == committed {
				if _, ok := c.at[listValue{o.key, o.value}]; !ok {
					c.report("lost write", "T%d appended %d to list %d, which is not there in the end", t.id, o.value, o.key)
				}
			}
		}
	}
}

// own says whether T itself appended a value.
func (c *checker) own(t *txn, key, value int) bool { return c.writers[listValue{key, value}].txn == t }

// base is a list without what T itself has at its end.
func (c *checker) base(t *txn, key int, list []int) []int {
	n := len(list)
	for n > 0 && c.own(t, key, list[n-1]) {
		n--
	}
	return list[:n]
}

// reads looks at what a transaction read: only committed values, only last ones of
// others, its own in order, and under snapshot isolation always the same.
func (c *checker) reads(t *txn) {
	mine := map[int][]int{}
	bases := map[int][]int{}
	for _, o := range t.ops {
		if o.kind == appended {
			if !o.undone {
				mine[o.key] = append(mine[o.key], o.value)
			}
			continue
		}
		k := o.key
		base := c.base(t, k, o.list)
		if order := c.orders[k]; len(base) > len(order) || !slices.Equal(order[:len(base)], base) {
			c.report("incompatible order", "T%d read list %d as %v, in the end it is %v", t.id, k, o.list, order)
		}
		if len(base) > 0 {
			v := base[len(base)-1]
			switch w, ok := c.writers[listValue{k, v}]; {
			case !ok:
				c.report("garbage", "T%d read %d in list %d, which nobody appended", t.id, v, k)
			case w.gone:
				c.report("G1a", "T%d read %d in list %d, of T%d, which was rolled back", t.id, v, k, w.txn.id)
			case !w.last:
				c.report("G1b", "T%d read %d in list %d, of T%d, which appended more", t.id, v, k, w.txn.id)
			}
		}
		// An undone value may stand between those of a transaction.
		if rest := o.list[len(base):]; !t.undoes() && !slices.Equal(rest, mine[k]) {
			c.report("internal", "T%d appended %v to list %d and read %v", t.id, mine[k], k, o.list)
		}
		if t.snapshot {
			if was, ok := bases[k]; ok && !slices.Equal(was, base) {
				c.report("non-repeatable read", "T%d read list %d as %v and as %v", t.id, k, was, base)
			}
			bases[k] = base
		}
	}
}

func (t *txn) undoes() bool {
	return slices.ContainsFunc(t.ops, func(o op) bool { return o.undone })
}

// edge is why one point of time is before another.
type edge struct {
	to   int
	kind string // "" within a transaction
	why  string
}

// cycles looks for circles among points of time. Point 2*i is the commit of
// transaction i; the others are snapshots and marks of the clock.
func (c *checker) cycles() {
	g := &graph{}
	n := 0
	point := func(name string) int {
		g.edges = append(g.edges, nil)
		g.names = append(g.names, name)
		n++
		return n - 1
	}
	commit := map[*txn]int{}
	for _, t := range c.txns {
		if t.end == committed {
			commit[t] = point(fmt.Sprintf("commit of T%d", t.id))
		}
	}
	first := map[*txn][]int{}
	for _, t := range c.txns {
		if t.end != committed {
			continue
		}
		snap, stmt, before := -1, -1, -1
		for _, o := range t.ops {
			if snap < 0 || !t.snapshot && o.stmt != stmt {
				snap, stmt = point(fmt.Sprintf("snapshot of T%d", t.id)), o.stmt
				if before >= 0 {
					g.add(before, snap, "", "")
				} else {
					first[t] = append(first[t], snap)
				}
				before = snap
				g.add(snap, commit[t], "", "")
			}
			order := c.orders[o.key]
			if o.kind == appended {
				at, ok := c.at[listValue{o.key, o.value}]
				if !ok || o.undone {
					continue
				}
				if at > 0 {
					if w := c.writers[listValue{o.key, order[at-1]}]; w.txn != nil && w.txn != t && !w.gone {
						to := commit[t]
						if t.snapshot {
							to = snap
						}
						g.add(commit[w.txn], to, "ww", fmt.Sprintf("T%d appended %d to list %d after %d of T%d", t.id, o.value, o.key, order[at-1], w.txn.id))
					}
				}
				continue
			}
			base := c.base(t, o.key, o.list)
			if len(base) > 0 {
				v := base[len(base)-1]
				if w := c.writers[listValue{o.key, v}]; w.txn != nil && !w.gone && w.txn.end == committed {
					to := snap
					if o.newest {
						to = commit[t]
					}
					g.add(commit[w.txn], to, "wr", fmt.Sprintf("T%d read %d in list %d, of T%d", t.id, v, o.key, w.txn.id))
				}
			}
			at := len(base)
			for at < len(order) && c.own(t, o.key, order[at]) {
				at++
			}
			if at < len(order) && !o.newest {
				if w := c.writers[listValue{o.key, order[at]}]; w.txn != nil && !w.gone {
					g.add(snap, commit[w.txn], "rw", fmt.Sprintf("T%d did not see %d in list %d, of T%d", t.id, order[at], o.key, w.txn.id))
				}
			}
		}
	}
	// The clock: transactions that had ended before others began.
	done := make([]*txn, 0, len(c.txns))
	for t := range commit {
		done = append(done, t)
	}
	sort.Slice(done, func(i, j int) bool { return done[i].fin < done[j].fin })
	marks := make([]int, len(done))
	for i, t := range done {
		marks[i] = point(fmt.Sprintf("answer to T%d", t.id))
		g.add(commit[t], marks[i], "", "")
		if i > 0 {
			g.add(marks[i-1], marks[i], "", "")
		}
	}
	for _, t := range done {
		i := sort.Search(len(done), func(i int) bool { return done[i].fin >= t.begun })
		if i == 0 {
			continue
		}
		for _, s := range first[t] {
			g.add(marks[i-1], s, "rt", fmt.Sprintf("T%d began after T%d had ended", t.id, done[i-1].id))
		}
	}
	for _, cyc := range g.cycles() {
		c.report(cyc.kind(), "%s", cyc)
	}
}

type graph struct {
	edges [][]edge
	names []string
}

func (g *graph) add(from, to int, kind, why string) {
	g.edges[from] = append(g.edges[from], edge{to, kind, why})
}

// cycle is a circle of edges.
type cycle []edge

func (c cycle) kind() string {
	n := map[string]int{}
	for _, e := range c {
		n[e.kind]++
	}
	name := "G-nonadjacent"
	switch {
	case n["rw"] == 1:
		name = "G-single"
	case n["rw"] == 0 && n["wr"] == 0:
		name = "G0"
	case n["rw"] == 0:
		name = "G1c"
	}
	if n["rt"] > 0 {
		name += "-realtime"
	}
	return name
}

func (c cycle) String() string {
	var why []string
	for _, e := range c {
		if e.kind != "" {
			why = append(why, e.kind+" ("+e.why+")")
		}
	}
	return strings.Join(why, "; ")
}

// cycles gives a short circle of each strongly connected component.
func (g *graph) cycles() []cycle {
	var out []cycle
	for _, comp := range g.components() {
		in := map[int]bool{}
		for _, p := range comp {
			in[p] = true
		}
		var best cycle
		for _, p := range comp[:min(len(comp), 50)] {
			if c := g.shortest(p, in); c != nil && (best == nil || len(c) < len(best)) {
				best = c
			}
		}
		out = append(out, best)
	}
	return out
}

// shortest is the shortest circle through p, inside in.
func (g *graph) shortest(p int, in map[int]bool) cycle {
	type step struct {
		from int
		e    edge
	}
	came := map[int]step{}
	queue := []int{p}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range g.edges[at] {
			if !in[e.to] {
				continue
			}
			if _, was := came[e.to]; was {
				continue
			}
			came[e.to] = step{at, e}
			if e.to == p {
				var c cycle
				for at := p; ; {
					s := came[at]
					c = append(c, s.e)
					if at = s.from; at == p {
						slices.Reverse(c)
						return c
					}
				}
			}
			queue = append(queue, e.to)
		}
	}
	return nil
}

// components are the strongly connected components of more than one point (Tarjan).
func (g *graph) components() [][]int {
	n := len(g.edges)
	index, low := make([]int, n), make([]int, n)
	on := make([]bool, n)
	var stack []int
	var out [][]int
	next := 1
	type frame struct{ p, e int }
	for root := range n {
		if index[root] != 0 {
			continue
		}
		work := []frame{{root, 0}}
		index[root], low[root] = next, next
		next++
		stack, on[root] = append(stack, root), true
		for len(work) > 0 {
			f := &work[len(work)-1]
			if f.e < len(g.edges[f.p]) {
				to := g.edges[f.p][f.e].to
				f.e++
				if index[to] == 0 {
					index[to], low[to] = next, next
					next++
					stack, on[to] = append(stack, to), true
					work = append(work, frame{to, 0})
				} else if on[to] {
					low[f.p] = min(low[f.p], index[to])
				}
				continue
			}
			p := f.p
			work = work[:len(work)-1]
			if len(work) > 0 {
				q := work[len(work)-1].p
				low[q] = min(low[q], low[p])
			}
			if low[p] != index[p] {
				continue
			}
			var comp []int
			for {
				q := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				on[q] = false
				comp = append(comp, q)
				if q == p {
					break
				}
			}
			if len(comp) > 1 {
				out = append(out, comp)
			}
		}
	}
	return out
}
