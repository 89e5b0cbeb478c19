package eval

import "github.com/millrace/millrace/catalog/types"

// jsonSubscript is j['key'] or j[0], repeated.
func jsonSubscript(c *Call, i int) {
	j := types.JSONNode(c.Bytes(0, i))
	for k := 1; k < len(c.Args) && j != nil; k++ {
		if c.Args[k].T.Layout == types.LayoutView {
			j = j.Field(c.Bytes(k, i))
		} else {
			j = j.At(int(c.bound(k, i)))
		}
	}
	if j == nil {
		c.ret(i, types.Null)
		return
	}
	c.RetBytes(i, j)
}
