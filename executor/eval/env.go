package eval

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/catalog/expr"
	"github.com/millrace/millrace/catalog/fn"
	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/catalog/types"
)

// Session is what functions may ask about the session and the statement. It does
// not change while programs made under it run. The zero value works.
type Session struct {
	// Types has time zone, date style and the other settings of text forms; nil
	// for the defaults.
	Types *types.Env
	// Now is the start of the transaction and StatementTime that of the
	// statement, µs since 2000-01-01 UTC.
	Now, StatementTime int64
	// Clock reads the time for clock_timestamp() in the same unit; nil: Now.
	Clock func() int64
	// Sleep waits for pg_sleep, and returns early with an error when the query is
	// canceled; nil: the provider is asked.
	Sleep func(d time.Duration) error
	// Waiting is the query's context for functions that wait for other sessions: a
	// worker that waits under it is replaced. nil where nothing may wait.
	Waiting func() context.Context
	// Advisory answers a function of advisory locks, by its name, for a number or a
	// pair of int4 in one; nil: there are none.
	Advisory func(ctx context.Context, name string, id int64, pair bool) (bool, error)
	// Rand feeds random() and its kin; nil: the process's generator.
	Rand *rand.Rand

	User, SessionUser, Database, Schema string
	// SearchPath lists the schemas of current_schemas(); Schema is the first.
	SearchPath []string
	// TempSchema is the session's schema of temporary relations, "" for none.
	TempSchema string
	PID        int32
	// Version is the text of version().
	Version string
	// Provider has the functions that read the catalog or the server; may be nil.
	Provider Provider
}

// Provider answers functions that are not computed from their arguments alone:
// catalog look-ups, sizes, privileges, settings.
type Provider interface {
	// Has says whether Call knows the function.
	Has(oid uint32) bool
	// Call computes one result. args are of f's argument types; a strict
	// function is not called with nulls.
	Call(f *fn.Func, args []types.Datum) (types.Datum, error)
}

// AnyProvider is a Provider with functions of arguments of any type.
type AnyProvider interface {
	Provider
	// CallAny computes one result of a function with VARIADIC "any"; ts are the types
	// that the arguments have.
	CallAny(f *fn.Func, ts []types.T, args []types.Datum) (types.Datum, error)
}

// RowProvider is a Provider that also has set-returning functions.
type RowProvider interface {
	Provider
	// Rows gives the rows of one call; each has the function's out columns.
	Rows(f *fn.Func, args []types.Datum) ([][]types.Datum, error)
}

// Env is what compilation binds an expression to.
type Env struct {
	// Session may be nil: the defaults.
	*Session
	// Params are the values of $1, $2 ….
	Params []types.Datum
	// Ordinal gives the place in the input batch of a column by its number;
	// negative: unknown. nil: the number is the place.
	Ordinal func(id int) int
	// Ended says whether the query has ended: what remains of a batch is then not worth
	// computing. nil: never.
	Ended func() bool
	// Reserve charges the memory of long strings to the query; nil: nobody.
	Reserve func(n int64) error
}

// lookMask is how often loops over rows look whether the query has ended: a row may
// cost as much as the compilation of a pattern.
const lookMask = 31

func (e *Env) endedFunc() func() bool {
	if e == nil {
		return nil
	}
	return e.Ended
}

func (e *Env) ended() bool { return e != nil && e.Ended != nil && e.Ended() }

// errEnded is only for those who no longer listen: the query has its error.
var errEnded = sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement due to user request")

// WithOrdinals is a copy of e that finds columns in m.
func (e *Env) WithOrdinals(m map[int]int) *Env {
	n := *e
	n.Ordinal = func(id int) int {
		if o, ok := m[id]; ok {
			return o
		}
		return -1
	}
	return &n
}

var defaultSession = &Session{Version: "PostgreSQL 16.10", Schema: "public"}

func (e *Env) session() *Session {
	if e == nil || e.Session == nil {
		return defaultSession
	}
	return e.Session
}

func (s *Session) zone() *time.Location {
	if s.Types == nil || s.Types.TimeZone == nil {
		return time.UTC
	}
	return s.Types.TimeZone
}

func (s *Session) clock() int64 {
	if s.Clock == nil {
		return s.Now
	}
	return s.Clock()
}

func (s *Session) float64() float64 {
	if s.Rand == nil {
		return rand.Float64()
	}
	return s.Rand.Float64()
}

func (s *Session) uint64() uint64 {
	if s.Rand == nil {
		return rand.Uint64()
	}
	return s.Rand.Uint64()
}

// param is the value of a parameter as a constant.
func (e *Env) param(x *expr.Param) (types.Datum, bool) {
	if e == nil || x.N < 1 || x.N > len(e.Params) {
		return types.Datum{}, false
	}
	return e.Params[x.N-1], true
}
