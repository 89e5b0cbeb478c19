package ingest

import (
	"slices"
	"sort"

	"github.com/millrace/millrace/binlog/format"
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage/vec"
)

// jobMessages is how many messages a decoder gets at a time: as many as give one
// batch of rows in the usual case.
const jobMessages = vec.Size

// job is some messages on their way: made by the fetcher, decoded by one worker,
// committed in the order in which they were made.
type job struct {
	parts   []Partition
	msgs    []format.Message
	part    []uint16 // of each message, an index of parts
	offset  []int64
	ends    []end
	bytes   int64
	changes []*format.Changes
	bad     []badMessage // by message
	unknown []format.Field
	skipped int
	partial int
	err     error
	decoded chan struct{}
	// oldest and newest are message times; 0 when no message has one.
	oldest, newest int64
	tracked        int64 // bytes charged to the buffer
	rows           int
}

// end is a position that holds when the first upTo messages of a job are applied.
type end struct {
	Partition
	upTo int
	pos  Position
	last int64 // the partition's end
}

// badMessage is one that cannot be applied.
type badMessage struct {
	msg    int
	class  format.Class
	column string
	err    *sqlstate.Error
}

// add puts messages [from, to) of a run into the job.
func (j *job) add(r *Fetched, from, to int) {
	p := uint16(len(j.parts))
	j.parts = append(j.parts, r.Partition)
	j.msgs, j.part, j.offset = slices.Grow(j.msgs, to-from), slices.Grow(j.part, to-from), slices.Grow(j.offset, to-from)
	for i := from; i < to; i++ {
		m := &r.Messages[i]
		j.msgs = append(j.msgs, *m)
		j.part = append(j.part, p)
		j.offset = append(j.offset, r.Offsets[i])
		j.bytes += int64(len(m.Key) + len(m.Value) + 64)
		j.newest = max(j.newest, m.Time)
		if m.Time != 0 && (j.oldest == 0 || m.Time < j.oldest) {
			j.oldest = m.Time
		}
	}
	pos := r.After
	if to < len(r.Messages) {
		pos.Next = r.Offsets[to-1] + 1
	}
	j.ends = append(j.ends, end{r.Partition, len(j.msgs), pos, r.End})
}

// markBad adds a message that cannot be applied; the first reason stays.
func (j *job) markBad(b badMessage) {
	i := sort.Search(len(j.bad), func(i int) bool { return j.bad[i].msg >= b.msg })
	if i < len(j.bad) && j.bad[i].msg == b.msg {
		return
	}
	j.bad = append(j.bad, badMessage{})
	copy(j.bad[i+1:], j.bad[i:])
	j.bad[i] = b
}

func (j *job) isBad(msg int) bool {
	i := sort.Search(len(j.bad), func(i int) bool { return j.bad[i].msg >= msg })
	return i < len(j.bad) && j.bad[i].msg == msg
}

// decode runs in a worker.
func (j *job) decode(d format.Decoder, t *catalog.Table, take func() *format.Changes) {
	for from := 0; from < len(j.msgs); {
		c := take()
		j.changes = append(j.changes, c)
		c.Base = uint32(from)
		used, err := d.Decode(j.msgs[from:], c)
		if err == nil && (used <= 0 || from+used > len(j.msgs) || len(c.Op) != c.Rows.N || len(c.Msg) != c.Rows.N) {
			err = sqlstate.Errorf(sqlstate.InternalError, "decoder used %d of %d messages for %d changes", used, len(j.msgs)-from, len(c.Op))
		}
		if err != nil {
			j.err = err
			return
		}
		from += used
		for i := range c.Errors {
			e := &c.Errors[i]
			j.markBad(badMessage{int(e.Msg), e.Class, e.Column, e.Err})
		}
		j.unknown = append(j.unknown, c.Unknown...)
		j.skipped += c.Skipped
		j.partial += c.Partial
		j.rows += c.Rows.N
		j.checkNulls(t, c)
	}
}

// checkNulls finds rows with a null where the table has none.
func (j *job) checkNulls(t *catalog.Table, c *format.Changes) {
	for o := range t.Columns {
		v := c.Rows.Cols[o]
		if !t.Columns[o].NotNull || v.Valid == nil {
			continue
		}
		key := isKey(t, o)
		for i := 0; i < c.Rows.N; i++ {
			if !v.IsNull(i) || c.Op[i] == format.Truncate || c.Op[i] == format.Delete && !key || c.IsMissing(o, i) {
				continue
			}
			name := t.Columns[o].Name
			err := sqlstate.Errorf(sqlstate.NotNullViolation, "null value in column \"%s\" of relation \"%s\" violates not-null constraint", name, t.Name)
			j.markBad(badMessage{int(c.Msg[i]), format.Constraint, name, err})
		}
	}
}

func isKey(t *catalog.Table, o int) bool {
	for _, k := range t.PK {
		if k == o {
			return true
		}
	}
	return false
}

// span is a range of a job's messages.
type span struct {
	j        *job
	from, to int
}

func size(spans []span) int {
	n := 0
	for _, s := range spans {
		n += s.to - s.from
	}
	return n
}

// cut parts spans at message n.
func cut(spans []span, n int) (before, after []span) {
	for _, s := range spans {
		k := min(n, s.to-s.from)
		if k > 0 {
			before = append(before, span{s.j, s.from, s.from + k})
		}
		if s.from+k < s.to {
			after = append(after, span{s.j, s.from + k, s.to})
		}
		n -= k
	}
	return before, after
}

// positions are those that hold when the spans are applied.
func positions(spans []span) map[Partition]Position {
	out := map[Partition]Position{}
	for _, s := range spans {
		for i := range s.j.ends {
			e := &s.j.ends[i]
			start := 0
			if i > 0 {
				start = s.j.ends[i-1].upTo
			}
			switch {
			case e.upTo <= s.to && (e.upTo > s.from || start >= s.from && start <= s.to && start == e.upTo):
				out[e.Partition] = e.pos
			case start < s.to && e.upTo > s.to && s.to > s.from:
				p := e.pos
				p.Next = s.j.offset[s.to-1] + 1
				out[e.Partition] = p
			}
		}
	}
	return out
}
