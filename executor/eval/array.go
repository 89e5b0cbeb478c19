package eval

import (
	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/sqlstate"
)

func recordNulls(b []byte) (all, none bool, err error) { return false, true, nil }

func (c *compiler) anyAll(x *expr.AnyAll) (*node, error) { return nil, sqlstate.Unsupported("ANY") }
func (c *compiler) array(x *expr.Array, args []*node) (*node, error) {
	return nil, sqlstate.Unsupported("ARRAY")
}
func (c *compiler) row(args []*node) (*node, error) { return nil, sqlstate.Unsupported("ROW") }
func (c *compiler) field(x *expr.Field, a *node) (*node, error) {
	return nil, sqlstate.Unsupported("fields")
}
func (c *compiler) subscript(x *expr.Subscript) (*node, error) {
	return nil, sqlstate.Unsupported("subscripts")
}
