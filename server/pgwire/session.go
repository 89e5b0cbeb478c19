// Package pgwire is the PostgreSQL protocol, version 3.0, and nothing else:
// framing, start-up, authentication exchange, simple and extended query, COPY.
// It knows no SQL. What it needs from the rest of the server are the few methods
// of Session, which server/session has, and it hands out Results for the answers.
//
// One goroutine serves a connection, and while its client sends nothing but small
// statements, one loop serves it and all others of that kind. Frames are parsed in place from its read
// buffer, answers are appended to one buffer that is written once per Sync,
// Flush or Query end, or when it passes 64 KiB. Bind, Execute and Sync do not
// allocate here. Lengths are bounded before anything is allocated. An error or a
// panic ends at most its own connection.
package pgwire

import (
	"context"
	"net"
	"time"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
	"github.com/millrace/millrace/storage/vec"
	"github.com/millrace/millrace/storage/vec/codec"
)

// Sessions makes the session of a client that has proved who it is. It reports
// the session's parameters by client.ParameterStatus before it returns. An error
// is sent to the client and ends the connection. ctx is that of the connection.
type Sessions interface {
	Open(ctx context.Context, s Startup, client Client) (Session, error)
}

// Startup is what a client asked for when it connected.
type Startup struct {
	User     string
	Database string // the user's name when the client gave none
	// Params are all other parameters, settings of the session, in the client's
	// order and spelling; `options` is already split into them.
	Params      []Param
	Replication string // value of the parameter of that name, "" without
	PID         int32  // the number the client knows its session by
	Remote      net.Addr
	TLS         bool
}

// Param is a setting as the client sent it.
type Param struct{ Name, Value string }

// Client is how a session reaches its client beside the results of a statement.
// Use it only from within a call of a Session method (or of Sessions.Open).
type Client interface {
	// Notice sends a warning or notice. Code 01xxx and 25xxx make a WARNING,
	// all others a NOTICE.
	Notice(n *sqlstate.Error) error
	// ParameterStatus reports the value of a setting that clients follow.
	ParameterStatus(name, value string)
}

// Column describes one column of a result.
type Column struct {
	Name     string
	TableOID uint32 // 0 when the column is not one of a table
	Attr     int16
	T        types.T
}

// Session is one client's side of SQL. Its methods are called one
// at a time. Slices given to it are
// lent until the method returns, except format lists, which never change. A
// query that finds its context done fails with 57014 (context.Cause says why);
// the context given to a call may differ from call to call.
type Session interface {
	// Simple runs a query string with all its statements, answering through
	// out, up to the first error.
	Simple(ctx context.Context, sql string, out Results) error
	// Parse prepares a statement; name "" replaces the unnamed one.
	Parse(ctx context.Context, name, sql string, paramOIDs []uint32) error
	// Bind makes a portal. A nil parameter is NULL. Format lists have no, one
	// or as many entries as there are parameters or columns.
	Bind(ctx context.Context, portal, stmt string, paramFormats []int16, params [][]byte, resultFormats []int16) error
	// DescribeStatement gives a statement's parameters and columns; cols is nil
	// for a statement that returns no rows.
	DescribeStatement(ctx context.Context, name string) (params []uint32, cols []Column, err error)
	// DescribePortal gives a portal's columns and their formats.
	DescribePortal(ctx context.Context, name string) (cols []Column, formats []int16, err error)
	// Execute runs a portal for at most maxRows rows (0: all). It is suspended
	// when it stopped at the limit; then it has not called CommandComplete.
	Execute(ctx context.Context, portal string, maxRows int, out Results) (suspended bool, err error)
	// CloseStatement and ClosePortal forget one; an unknown name is no error.
	CloseStatement(name string) error
	ClosePortal(name string) error
	// Sync ends an implicit transaction: it commits,
	// or rolls back when a message since the last Sync failed.
	Sync(ctx context.Context) error
	// Env is what gives results their text. It is the same pointer as long as
	// none of the settings that encoders use has changed.
	Env() *types.Env
	// TxStatus is 'I' outside a transaction block, 'T' in one, 'E' in a failed one.
	TxStatus() byte
	// Close rolls back what is open and frees everything.
	Close() error
}

// Idler is the optional ability of a Session to bound its client's silence between
// two commands. It is asked after each ReadyForQuery; 0 means no limit. When the
// limit passes, the connection ends with reason.
type Idler interface {
	IdleLimit() (limit time.Duration, reason *sqlstate.Error)
}

// Notification is a NotificationResponse: what another session, or this one, sent.
type Notification struct {
	PID              int32
	Channel, Payload string
}

// Notifier is the optional ability of a Session to have messages for its client that
// answer nothing. They are taken before each ReadyForQuery and, while Listening, when
// the client is idle and Wake was called.
type Notifier interface {
	Listening() bool
	Notifications() []Notification
}

// Waker is a Client that can be told, by any goroutine, that its session has
// notifications.
type Waker interface {
	Wake()
}

// Results takes the answers to a statement. For each statement: RowDescription,
// any number of Batch, CommandComplete; or EmptyQuery alone; a statement without
// rows starts at CommandComplete. Calls return an error when the client is gone;
// the session then stops and returns it.
type Results interface {
	Client
	// RowDescription announces the columns. Under Execute nothing is sent (the
	// client asked by Describe) but the call still chooses the encoders. formats
	// has no entry (all text), one for all, or one for each column. cols must not
	// change while the statement lives: encoders are cached by its identity, so
	// give the same list each time.
	RowDescription(cols []Column, formats []int16) error
	// Batch sends the selected rows of b, which is free again on return.
	Batch(b *vec.Batch) error
	// CommandComplete ends a statement with its tag, such as "SELECT 5".
	CommandComplete(tag string) error
	// EmptyQuery answers a query string without a statement.
	EmptyQuery() error
	// CopyIn asks the client for data; format 0 is text or csv, 1 binary.
	CopyIn(format byte, columns int) (CopySource, error)
	// CopyOut starts sending data to the client.
	CopyOut(format byte, columns int) (CopySink, error)
}

// CopySource is the stream a client sends for COPY FROM STDIN.
type CopySource interface {
	// Next returns the next bytes of the stream, lent until the following call;
	// they need not end at a row. It returns io.EOF when the client has sent
	// all, and an error with SQLSTATE 57014 when it gave up. The rest, if the
	// session stops early, is skipped.
	Next() ([]byte, error)
}

// CopySink takes the stream of COPY TO STDOUT. Each Write becomes one message:
// write a row at a time, as clients expect.
type CopySink interface {
	Write(p []byte) (int, error)
	Close() error
}

// Encoder is the encoder of one column.
type Encoder = codec.Encoder
