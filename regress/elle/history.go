package elle

// An opKind is what an operation did.
type opKind uint8

const (
	appended opKind = iota // value was appended to the list of key
	read                   // the list of key was read
)

// op is an operation with its outcome.
type op struct {
	kind  opKind
	key   int
	value int   // appended
	list  []int // read
	// stmt numbers the statements of a transaction: reads of one see one state.
	stmt int
	// undone: an append that ROLLBACK TO took back.
	undone bool
	// newest: a read that locks, which sees what is committed and not its snapshot.
	newest bool
}

// outcome is how a transaction ended.
type outcome uint8

const (
	committed outcome = iota
	aborted
)

// txn is a transaction as its session saw it. Begin and End are places in one order
// of events: what ended before another began is in the right order.
type txn struct {
	id         int
	ops        []op
	end        outcome
	begun, fin int64
	snapshot   bool // REPEATABLE READ
	text       []string
}
