package plan

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/catalog/expr"
)

// LockMode is how strongly LockRows locks, weakest first.
type LockMode uint8

// The modes.
const (
	ForKeyShare LockMode = iota
	ForShare
	ForNoKeyUpdate
	ForUpdate
)

// String is the mode as SQL writes it after FOR.
func (m LockMode) String() string {
	return [...]string{"KEY SHARE", "SHARE", "NO KEY UPDATE", "UPDATE"}[m]
}

// LockRows locks the rows of its input, in order, as many as Count and Offset (nil:
// none) ask for, and yields them as they are then: the columns Old, which the input
// has beside CSN and, for tables without a primary key, RowID. A row that others have
// changed is passed on if Recheck (over Old; nil: always) holds; without
// SelfContained it cannot be decided on.
type LockRows struct {
	est
	Input         Node
	Table         *catalog.Table
	Old           []Column
	CSN, RowID    Column
	Mode          LockMode
	NoWait, Skip  bool
	Recheck       expr.Expr
	SelfContained bool
	Count, Offset expr.Expr
	// Joined, when not nil, are the tables of a FROM with more than one table: the
	// fields from Table to SelfContained are then unused, and the rows are the input's,
	// columns Pass. Where others have changed one, the statement is run again.
	Joined []LockTarget
	Pass   []Column
}

// LockTarget is a table whose rows, part of those of LockRows' input, are locked. Key
// are the columns of its key there.
type LockTarget struct {
	Table        *catalog.Table
	Key          []Column
	CSN          Column
	Mode         LockMode
	NoWait, Skip bool
}

// Children implements Node.
func (n *LockRows) Children() []Node { return []Node{n.Input} }

// WithChildren implements Node.
func (n *LockRows) WithChildren(c []Node) Node { m := *n; m.Input = c[0]; return &m }

// Columns implements Node.
func (n *LockRows) Columns() []Column {
	if n.Joined != nil {
		return n.Pass
	}
	return n.Old
}
