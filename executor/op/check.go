package op

import (
	"strings"
	"unicode/utf8"

	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/eval"
	"github.com/millrace/millrace/storage/vec"
)

// Checks are the tests that a table's new rows must pass. As in PostgreSQL the
// first row that fails one is reported, by the first test that it fails.
type Checks struct {
	Table  *catalog.Table
	Schema string
	Env    *types.Env
	// NotNull lists ordinals, in order; Exprs are the CHECK constraints, by name.
	NotNull []int
	Exprs   []CheckExpr
	sel     []uint16
}

// CheckExpr is one CHECK constraint, compiled over the row's columns by ordinal.
type CheckExpr struct {
	Name string
	Pred *eval.Program
}

// Test looks at the rows of b, whose columns are the table's.
func (c *Checks) Test(b *vec.Batch) error {
	rows := rowsOf(b)
	var failed func(row int) error
	first := len(rows) // the first row that failed, by its place in rows
	for _, o := range c.NotNull {
		v := b.Cols[o]
		if v.Valid == nil {
			continue
		}
		for k, i := range rows[:first] {
			if v.IsNull(int(i)) {
				first, failed = k, func(row int) error { return c.notNull(b, o, row) }
				break
			}
		}
	}
	// Later tests see only rows before the one that failed: theirs would be told
	// first.
	at := *b
	for _, x := range c.Exprs {
		if first == 0 {
			break
		}
		if first < len(rows) {
			c.sel = append(c.sel[:0], rows[:first]...)
			at.Sel = c.sel
		}
		v, err := x.Pred.Eval(&at)
		if err != nil {
			return err
		}
		src := v.Source()
		for k, i := range rows[:first] {
			if !v.IsNull(int(i)) && !vec.Bit(src.Bits, v.Index(int(i))) {
				first, failed = k, func(row int) error { return c.check(b, x.Name, row) }
				break
			}
		}
	}
	if failed == nil {
		return nil
	}
	return failed(int(rows[first]))
}

func (c *Checks) notNull(b *vec.Batch, o, row int) error {
	col := c.Table.Columns[o].Name
	err := sqlstate.Errorf(sqlstate.NotNullViolation, "null value in column \"%s\" of relation \"%s\" violates not-null constraint", col, c.Table.Name).
		WithDetail("%s", c.describe(b, row))
	err.Schema, err.Table, err.Column = c.Schema, c.Table.Name, col
	return err
}

func (c *Checks) check(b *vec.Batch, name string, row int) error {
	err := sqlstate.Errorf(sqlstate.CheckViolation, "new row for relation \"%s\" violates check constraint \"%s\"", c.Table.Name, name).
		WithDetail("%s", c.describe(b, row))
	err.Schema, err.Table, err.Constraint = c.Schema, c.Table.Name, name
	return err
}

// describeMax is how many bytes of a value an error shows.
const describeMax = 64

// describe is the text of a row in an error.
func (c *Checks) describe(b *vec.Batch, row int) string {
	var s strings.Builder
	s.WriteString("Failing row contains (")
	for o, v := range b.Cols {
		if o > 0 {
			s.WriteString(", ")
		}
		d := v.Datum(row)
		if !d.Valid {
			s.WriteString("null")
			continue
		}
		x := types.AppendText(nil, v.T, d, c.Env)
		if len(x) <= describeMax {
			s.Write(x)
			continue
		}
		n := describeMax
		for n > 0 && !utf8.RuneStart(x[n]) {
			n--
		}
		s.Write(x[:n])
		s.WriteString("...")
	}
	s.WriteString(").")
	return s.String()
}
