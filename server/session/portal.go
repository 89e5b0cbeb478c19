package session

import (
	"context"
	"unsafe"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
)

// portal is a bound statement on its way: from Bind, or a cursor.
type portal struct {
	name    string
	stmt    *prepared
	params  []types.Datum
	formats []int16
	cols    []pgwire.Column
	direct  *directRows // of a direct insert, which has its parameters
	exec    *execution
	done    bool
	// affected is what the command tag says, once done.
	affected int64
	cursor   *cursor // of DECLARE; nil for a portal of Bind
}

func (q *portal) close() {
	if q.exec != nil {
		q.exec.close()
		q.exec = nil
	}
	if q.cursor != nil {
		q.cursor.close()
	}
	q.direct.release()
	q.direct = nil
}

func (s *Session) closePortal(name string) {
	if q := s.portals[name]; q != nil {
		s.drop(q)
	}
}

// drop closes a portal and keeps its memory for the next.
func (s *Session) drop(q *portal) {
	q.close()
	delete(s.portals, q.name)
	if q.cursor == nil {
		clear(q.params) // they may be large
		s.spare = q
	}
}

// closePortals closes what ends with the transaction; all includes held cursors.
func (s *Session) closePortals(all bool) {
	for _, q := range s.portals {
		if all || q.cursor == nil || !q.cursor.hold {
			s.drop(q)
		}
	}
}

// ClosePortal implements pgwire.Session.
func (s *Session) ClosePortal(name string) error {
	s.closePortal(name)
	return nil
}

// Bind implements pgwire.Session.
func (s *Session) Bind(ctx context.Context, name, stmt string, paramFormats []int16, params [][]byte, resultFormats []int16) (err error) {
	p, err := s.stmtNamed(stmt)
	if err != nil {
		return s.fail(err)
	}
	if s.block && s.failed && (p.empty || !allowedWhenFailed(p.plan.Utility)) {
		return errFailed
	}
	if name != "" && s.portals[name] != nil {
		return s.fail(sqlstate.Errorf(sqlstate.DuplicateCursor, "cursor \"%s\" already exists", name))
	}
	s.closePortal(name)
	s.touch()
	s.asks = ctx
	defer func() { s.asks = nil }()
	if !p.empty {
		if _, err := s.plannedFor(p); err != nil {
			return s.fail(err)
		}
	}
	if len(params) != len(p.oids) {
		return s.fail(sqlstate.Errorf(sqlstate.ProtocolViolation, "bind message supplies %d parameters, but prepared statement \"%s\" requires %d", len(params), stmt, len(p.oids)))
	}
	if len(paramFormats) > 1 && len(paramFormats) != len(params) {
		return s.fail(sqlstate.Errorf(sqlstate.ProtocolViolation, "bind message has %d parameter formats but %d parameters", len(paramFormats), len(params)))
	}
	q := s.spare
	s.spare = nil
	if q == nil {
		q = &portal{}
	}
	*q = portal{name: name, stmt: p, params: q.params[:0]}
	if i, err := s.bindParams(q, paramFormats, params); err != nil {
		e := *sqlstate.From(err)
		if e.Where == "" {
			e.Where = "unnamed portal parameter $" + itoa(i+1)
			if name != "" {
				e.Where = "portal \"" + name + "\" parameter $" + itoa(i+1)
			}
		}
		return s.fail(&e)
	}
	q.cols = s.columnsOf(p)
	if len(resultFormats) > 1 && len(resultFormats) != len(q.cols) {
		return s.fail(sqlstate.Errorf(sqlstate.ProtocolViolation, "bind message has %d result formats but query has %d columns", len(resultFormats), len(q.cols)))
	}
	q.formats = resultFormats
	s.portals[name] = q
	return nil
}

// bindParams reads the parameters of Bind. With an error it says of which.
func (s *Session) bindParams(q *portal, formats []int16, params [][]byte) (at int, err error) {
	if d := q.stmt.direct; d != nil && len(params) > 0 && d.d.Params() == len(params) {
		return s.fillDirect(q, formats, params)
	}
	for i, b := range params {
		q.params = append(q.params, types.Null)
		if b == nil {
			continue
		}
		if q.params[i], err = s.param(q.stmt, i, formatOf(formats, i), b); err != nil {
			return i, err
		}
	}
	return 0, nil
}

// formatOf is the format of value i: one for all, or one each, or text.
func formatOf(formats []int16, i int) int16 {
	switch len(formats) {
	case 0:
		return 0
	case 1:
		return formats[0]
	}
	return formats[i]
}

func (s *Session) param(p *prepared, i int, format int16, b []byte) (types.Datum, error) {
	t := p.plan.Params[i]
	switch format {
	case 0:
		if t.OID == types.Int8OID || t.OID == types.Int4OID || t.OID == types.Int2OID {
			return types.ParseText(t, unsafe.String(unsafe.SliceData(b), len(b)), s.Env()) // nothing of it stays
		}
		return types.ParseText(t, string(b), s.Env())
	case 1:
		return types.ParseBinary(t, b, s.Env())
	}
	return types.Null, sqlstate.Errorf(sqlstate.InvalidParameterValue, "unsupported format code: %d", format)
}

func itoa(i int) string {
	if i < 10 {
		return string(rune('0' + i))
	}
	return itoa(i/10) + string(rune('0'+i%10))
}

func (s *Session) portalNamed(name string) (*portal, error) {
	q := s.portals[name]
	if q == nil {
		return nil, sqlstate.Errorf(sqlstate.InvalidCursorName, "portal \"%s\" does not exist", name)
	}
	return q, nil
}

// DescribePortal implements pgwire.Session.
func (s *Session) DescribePortal(ctx context.Context, name string) ([]pgwire.Column, []int16, error) {
	q, err := s.portalNamed(name)
	if err != nil {
		return nil, nil, s.fail(err)
	}
	return q.cols, q.formats, nil
}

// Execute implements pgwire.Session.
func (s *Session) Execute(ctx context.Context, name string, maxRows int, out pgwire.Results) (suspended bool, err error) {
	q, err := s.portalNamed(name)
	if err != nil {
		return false, s.fail(err)
	}
	if s.prompt && !s.isPrompt(q.stmt) && (maxRows != 0 || q.done || !s.writesPromptly(q.stmt)) {
		return false, pgwire.ErrNotPrompt
	}
	ctx = s.begin(ctx, q.stmt.sql)
	suspended, err = s.run(ctx, q, maxRows, out)
	if err != nil && err != pgwire.ErrNotPrompt {
		err = settled(ctx, err)
		if s.block {
			s.failBlock()
		} else {
			s.rollback()
		}
	}
	s.finish(err)
	return suspended, err
}

// Sync implements pgwire.Session.
func (s *Session) Sync(ctx context.Context) error {
	if s.block || !s.touched {
		return nil
	}
	if s.prompt && s.commitWaits() {
		return s.commitLater()
	}
	return s.commit(ctx)
}

// cursor is what DECLARE adds to a portal: rows read so far, kept when it scrolls or
// outlives its transaction.
type cursor struct {
	hold, scroll bool
	rows         *vec.Batch // kept rows, all of them for hold and scroll
	pos          int        // rows before the cursor; 0: before the first
	atEnd        bool
}

func (c *cursor) close() { c.rows = nil }

func (s *Session) declare(ctx context.Context, u *plan.Session) error {
	if !s.block && u.Options["hold"] != "true" && !s.implicit {
		return sqlstate.Errorf(sqlstate.NoActiveSQLTransaction, "DECLARE CURSOR can only be used in transaction blocks")
	}
	if s.portals[u.Name] != nil {
		return sqlstate.Errorf(sqlstate.DuplicateCursor, "cursor \"%s\" already exists", u.Name)
	}
	p, err := s.prepare("", u.Text, nil)
	if err != nil {
		return err
	}
	if p.plan == nil || p.plan.Root == nil {
		return sqlstate.Errorf(sqlstate.InvalidCursorDefinition, "DECLARE CURSOR must specify a query")
	}
	if p.plan.Writes {
		return sqlstate.Errorf(sqlstate.FeatureNotSupported, "DECLARE CURSOR must not contain data-modifying statements in WITH")
	}
	q := &portal{name: u.Name, stmt: p, cols: p.cols, params: u.Params, cursor: &cursor{hold: u.Options["hold"] == "true", scroll: u.Options["scroll"] == "true"}}
	if q.exec, err = s.start(ctx, p, p.values(q.params)); err != nil {
		return err
	}
	if q.cursor.hold || q.cursor.scroll {
		if err := q.keep(ctx, s); err != nil {
			q.close()
			return err
		}
	}
	s.portals[u.Name] = q
	return nil
}

// keep reads all rows of the query into memory, charged to its account.
func (q *portal) keep(ctx context.Context, s *Session) error {
	ts := make([]types.T, len(q.cols))
	for i, c := range q.cols {
		ts[i] = c.T
	}
	all := vec.NewBatch(ts)
	_, _, err := q.exec.send(ctx, 0, func(b *vec.Batch) error {
		if err := q.exec.mem.Reserve(int64(b.Rows()) * int64(24*len(ts)+8)); err != nil {
			return err
		}
		all.Append(b)
		return nil
	})
	if err != nil {
		return err
	}
	q.cursor.rows = all
	q.exec.close()
	q.exec = nil
	return nil
}

// fetch moves a cursor and hands the rows to emit. It returns how many.
func (s *Session) fetch(ctx context.Context, q *portal, u *plan.Session, emit func(*vec.Batch) error) (int64, error) {
	c := q.cursor
	dir, n := u.Options["direction"], u.Count
	if c.rows == nil {
		if dir != "" && dir != "forward" && !(dir == "relative" && n == 1) || n < 0 {
			return 0, sqlstate.Errorf(sqlstate.ObjectNotInPrerequisiteState, "cursor can only scan forward").WithHint("Declare it with SCROLL option to enable backward scan.")
		}
		if c.atEnd || n == 0 {
			return 0, nil
		}
		limit := int(min(n, 1<<31-1))
		if u.Options["all"] == "true" {
			limit = 0
		}
		sent, more, err := q.exec.send(ctx, limit, emit)
		c.pos += int(sent)
		c.atEnd = !more
		return sent, err
	}
	total := c.rows.N
	var from, to int // rows [from, to) in order; backwards when step is -1
	step := 1
	switch dir {
	case "", "forward":
		if n < 0 {
			dir, n = "backward", -n
		}
	case "backward":
		if n < 0 {
			dir, n = "forward", -n
		}
	}
	all := u.Options["all"] == "true"
	switch dir {
	case "", "forward":
		if n == 0 && !all {
			from, to = max(c.pos-1, 0), c.pos
			break
		}
		from, to = c.pos, int(min(int64(c.pos)+n, int64(total)))
		if all {
			to = total
		}
		c.pos = to
		if all || int64(to-from) < n {
			c.pos = total + 1
		}
		from = min(from, total)
	case "backward":
		end := min(c.pos-1, total)
		start := end - int(min(n, int64(total)+1))
		if all {
			start = -1
		}
		step = -1
		from, to = max(start, 0), max(end, 0)
		c.pos = max(start+1, 0)
		if start < 0 {
			c.pos = 0
		}
	case "absolute", "relative":
		at := int(n)
		if dir == "relative" {
			at = c.pos + int(n)
		} else if n < 0 {
			at = total + 1 + int(n)
		}
		at = max(0, min(at, total+1))
		c.pos = at
		if at >= 1 && at <= total {
			from, to = at-1, at
		}
	}
	sent := int64(0)
	one := vec.Batch{Cols: make([]*vec.Vec, len(c.rows.Cols))}
	for i := from; i < to; i++ {
		r := i
		if step < 0 {
			r = to - 1 - (i - from)
		}
		for k, col := range c.rows.Cols {
			v := vec.New(col.T, 1)
			v.AppendDatum(col.Datum(r))
			one.Cols[k] = v
		}
		one.N = 1
		if err := emit(&one); err != nil {
			return sent, err
		}
		sent++
	}
	return sent, nil
}
