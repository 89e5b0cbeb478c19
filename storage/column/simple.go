package column

import (
	"slices"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/kernel"
)

// Simple is the simple conjuncts of a scan's filter, compiled for readers of other
// stores than segments. For one goroutine at a time.
type Simple struct {
	preds []*predState
	cols  []int
	never bool
}

// NewSimple compiles the conjuncts that SimpleFilter accepts; others are left out.
func NewSimple(filter []expr.Expr) *Simple {
	s := &Simple{}
	for _, p := range compileFilter(filter) {
		if p.kind == predNever {
			s.never = true
			continue
		}
		s.preds = append(s.preds, newPredState(p))
		s.cols = append(s.cols, p.col)
	}
	return s
}

// Never says that no row passes.
func (s *Simple) Never() bool { return s.never }

// Columns are the columns of the predicates, one each.
func (s *Simple) Columns() []int { return s.cols }

// Eval sets the bits of the rows of v that predicate k lets pass, and clears others.
func (s *Simple) Eval(k int, v *vec.Vec, bits []uint64) { s.preds[k].eval(v, bits) }

// Range encloses the values of a column that pass; NULL for open.
func (s *Simple) Range(col int) (lo, hi types.Datum) {
	if col == catalog.ColCSN {
		return types.Null, types.Null
	}
	for _, p := range s.preds {
		if p.col != col || p.not {
			continue
		}
		var l, h types.Datum
		switch p.kind {
		case predCmp:
			switch p.op {
			case kernel.EQ:
				l, h = p.value, p.value
			case kernel.LT, kernel.LE:
				h = p.value
			case kernel.GT, kernel.GE:
				l = p.value
			}
		case predRange:
			l, h = p.value, p.hi
		case predIn:
			if !slices.ContainsFunc(p.list, func(d types.Datum) bool { return !d.Valid }) && len(p.list) > 0 {
				l, h = p.list[0], p.list[len(p.list)-1]
			}
		}
		if l.Valid && (!lo.Valid || types.Compare(p.t, l, lo) > 0) {
			lo = l
		}
		if h.Valid && (!hi.Valid || types.Compare(p.t, h, hi) < 0) {
			hi = h
		}
	}
	return lo, hi
}
