package op

import "github.com/millrace/millrace/catalog/sqlstate"

var errClosed = sqlstate.Errorf(sqlstate.QueryCanceled, "canceling statement because its portal was closed")

var errTooManyRows = sqlstate.Errorf(sqlstate.ProgramLimitExceeded, "too many rows on one side of a join")

var errManyRows = sqlstate.Errorf(sqlstate.CardinalityViolation, "more than one row returned by a subquery used as an expression")
