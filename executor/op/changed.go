package op

import (
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/executor/mem"
	"github.com/millrace/millrace/storage/vec"
)

// Changed are the keys of the rows of one table that a statement has written, where
// several of its parts (WITH) write to that table. All parts see the table as it was
// before the statement, so that the second to come to a row finds it changed under its
// hands: UPDATE and DELETE leave such rows out, and what cannot (ON CONFLICT DO UPDATE,
// MERGE) is refused. The parts run one at a time.
type Changed struct {
	acct *mem.Account
	keys *Groups
	gids []uint32
	// gone says of each key, by its group, that no part has written a row under it, or
	// that it has left again.
	gone []bool
}

// NewChanged makes an empty set.
func NewChanged(acct *mem.Account) *Changed { return &Changed{acct: acct} }

// find brings the groups of a batch's keys to c.gids.
func (c *Changed) find(keys []*vec.Vec, b *vec.Batch) error {
	if c.keys == nil {
		ts := make([]types.T, len(keys))
		for i, v := range keys {
			ts[i] = v.T
		}
		c.keys = NewGroups(ts, c.acct)
	}
	c.gids = grown(c.gids, b.Rows())
	if err := c.keys.Find(keys, b.Sel, b.N, c.gids); err != nil {
		return err
	}
	for len(c.gone) < c.keys.N {
		c.gone = append(c.gone, true)
	}
	return nil
}

// take gives the rows of b that nobody has come to before, once each, which are then
// to be changed by who asks and leave their keys until these are put.
func (c *Changed) take(keys []*vec.Vec, b *vec.Batch, sel []uint16) ([]uint16, error) {
	if err := c.find(keys, b); err != nil {
		return nil, err
	}
	if len(c.keys.Fresh) == b.Rows() {
		return rowsOf(b), nil
	}
	return c.keys.FreshRows(b.Sel, sel), nil
}

// there says whether a row was written under one of these keys, and has not gone since.
func (c *Changed) there(keys []*vec.Vec, b *vec.Batch) (bool, error) {
	if err := c.find(keys, b); err != nil {
		return false, err
	}
	for _, g := range c.gids[:b.Rows()] {
		if !c.gone[g] {
			return true, nil
		}
	}
	return false, nil
}

// put notes keys that rows were written under.
func (c *Changed) put(keys []*vec.Vec, b *vec.Batch) error {
	if err := c.find(keys, b); err != nil {
		return err
	}
	for _, g := range c.gids[:b.Rows()] {
		c.gone[g] = false
	}
	return nil
}

// Close gives the memory back.
func (c *Changed) Close() {
	c.keys.Free()
	c.keys, c.gone = nil, nil
}
