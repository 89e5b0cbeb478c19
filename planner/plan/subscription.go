package plan

import "github.com/millrace/millrace/catalog"

// Option is a name and value as a statement gives them.
type Option struct{ Name, Value string }

// CreateSubscription is CREATE SUBSCRIPTION. Target is nil when no option names it.
type CreateSubscription struct {
	stmt
	Name         string
	Conn         string
	Publications []string
	Options      []Option
	Target       *catalog.Table
}

// AlterSubscription is ALTER SUBSCRIPTION in its forms; what is not changed is zero.
type AlterSubscription struct {
	stmt
	Name          string
	Enable        *bool
	Conn          string
	Publications  []string // SET, ADD or DROP PUBLICATION: PublicationOp is 's', 'a' or 'd'
	PublicationOp byte
	Options       []Option
	Target        *catalog.Table
	Owner         string
	NewName       string
	Refresh       bool
	Skip          []Option // SKIP (...): where the message to leave out stands
}

// DropSubscription is DROP SUBSCRIPTION.
type DropSubscription struct {
	stmt
	Name     string
	IfExists bool
	Cascade  bool
}
