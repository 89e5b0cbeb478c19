package session

import (
	"context"
	"errors"
	"strconv"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/build"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/planner/plan"
	"github.com/millrace/millrace/server/pgwire"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// direct is a prepared INSERT of rows that go from the wire into column batches and
// to the transaction: no pipeline, no value by itself.
type direct struct {
	d     *build.Direct
	spare *build.DirectRows
	env   *types.Env // that the appenders were made with
	read  [2][]codec.Appender
}

func newDirect(st *plan.Statement) *direct {
	d := build.NewDirect(st)
	if d == nil {
		return nil
	}
	return &direct{d: d}
}

// directRows are the rows of one execution, in memory that their statement lends.
type directRows struct {
	of   *direct
	rows *build.DirectRows
}

// fill makes rows; param as in build.Direct.Fill.
func (x *direct) fill(param func(i, slot int, v *vec.Vec) error) (*directRows, error) {
	spare := x.spare
	x.spare = nil
	rows, err := x.d.Fill(spare, param)
	return &directRows{x, rows}, err
}

// release gives the memory back. Safe on nil.
func (r *directRows) release() {
	if r != nil {
		if r.rows != nil {
			r.of.d.Shed(r.rows)
		}
		r.of.spare, r.rows = r.rows, nil
	}
}

// appenders read parameters, by format and slot.
func (x *direct) appenders(env *types.Env) *[2][]codec.Appender {
	if x.env != env {
		x.env, x.read = env, [2][]codec.Appender{}
		for _, t := range x.d.Slots() {
			x.read[0] = append(x.read[0], codec.TextAppender(t, env))
			x.read[1] = append(x.read[1], codec.BinaryAppender(t, env))
		}
	}
	return &x.read
}

// fillDirect reads the parameters of Bind. With an error it says of which.
func (s *Session) fillDirect(q *portal, formats []int16, params [][]byte) (at int, err error) {
	x := q.stmt.direct
	read := x.appenders(s.Env())
	q.direct, err = x.fill(func(i, slot int, v *vec.Vec) error {
		b := params[i]
		if b == nil {
			v.AppendNull()
			return nil
		}
		at = i
		f := formatOf(formats, i)
		if f == 0 && (v.T.Layout != types.LayoutView || types.CheckUTF8(b) == nil) && read[0][slot](v, b) == nil {
			return nil
		}
		if f == 1 && read[1][slot](v, b) == nil {
			return nil
		}
		// Whatever is wrong, this has the words for it.
		d, err := s.param(q.stmt, i, f, b)
		if err == nil {
			v.AppendDatum(d)
		}
		return err
	})
	return at, err
}

// runDirect runs a portal's direct insert. It is done unless the statement turns out
// to need a pipeline.
func (s *Session) runDirect(ctx context.Context, q *portal, out pgwire.Results) (done bool, err error) {
	p := q.stmt
	if q.direct != nil && q.direct.of != p.direct { // planned anew since Bind
		q.undirect()
	}
	x := p.direct
	if x == nil {
		return false, nil
	}
	if q.direct == nil { // parameters of EXECUTE, or none
		params := p.values(q.params)
		if x.d.ParamMax() > len(params) {
			return false, nil
		}
		q.direct, err = x.fill(func(i, _ int, v *vec.Vec) error {
			v.AppendDatum(params[i])
			return nil
		})
		if err != nil {
			return false, err
		}
	}
	s.open(s.block || s.implicit)
	if err := s.mayUse(p.plan); err != nil {
		return false, err
	}
	if s.set.quick().readOnly {
		return false, sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute INSERT in a read-only transaction")
	}
	if err := s.follows(true); err != nil {
		return false, err
	}
	n, err := x.d.Run(ctx, q.direct.rows, &build.Env{Txn: s.txn, Eval: &eval.Env{Session: s.evalSession()},
		Settings: build.Settings{KeepFirst: s.set.quick().keepFirst, KeepLast: s.set.quick().keepLast}})
	if errors.Is(err, build.ErrNotDirect) {
		q.undirect()
		return false, nil
	}
	if err != nil {
		return false, err
	}
	q.direct.release()
	q.direct, q.done = nil, true
	return true, out.CommandComplete(p.plan.Tag + " " + strconv.FormatInt(n, 10))
}

// undirect turns rows back into parameters.
func (q *portal) undirect() {
	q.params = q.direct.of.d.Datums(q.direct.rows)
	q.direct.release()
	q.direct = nil
}

// runChange runs a change of one row by its key. It is done unless the statement turns
// out to need a pipeline.
func (s *Session) runChange(ctx context.Context, q *portal, out pgwire.Results) (done bool, err error) {
	p := q.stmt
	if err := s.mayUse(p.plan); err != nil {
		return true, err
	}
	s.open(s.block || s.implicit)
	if s.set.quick().readOnly {
		return true, sqlstate.Errorf(sqlstate.ReadOnlySQLTransaction, "cannot execute %s in a read-only transaction", p.plan.Tag)
	}
	if err := s.follows(true); err != nil {
		return true, err
	}
	valid := func(cat *catalog.Version) bool { return s.stillValid(cat, p.plan) }
	n, done, err := p.known.change.Run(ctx, &build.Env{Txn: s.txn, Eval: &eval.Env{Session: s.evalSession()}}, s.eng.Store, p.cat, valid, p.values(q.params))
	if errors.Is(err, build.ErrLarge) {
		return false, nil
	}
	if !done || err != nil {
		return done, err
	}
	q.done, q.affected = true, n
	return true, out.CommandComplete(q.tag(n))
}
