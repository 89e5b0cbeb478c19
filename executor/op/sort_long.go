package op

import (
	"errors"
	"slices"

	"github.com/millrace/millrace/executor/mem"
)

// errEnded leaves a sort whose query has ended.
var errEnded = errors.New("op: the query has ended")

// sortLong sorts s by cmp, and soon comes back, with s in some order, when the query
// of the account has ended: the comparison then leaves the sort by a panic, since even
// elements that all pass for equal take long where there are many.
func sortLong[E any](s []E, cmp func(a, b E) int, acct *mem.Account) {
	if len(s) <= lookMask {
		slices.SortFunc(s, cmp)
		return
	}
	defer func() {
		if r := recover(); r != nil && r != any(errEnded) {
			panic(r)
		}
	}()
	n := 0
	slices.SortFunc(s, func(a, b E) int {
		if n++; n&lookMask == 0 && acct.Ended() {
			panic(errEnded)
		}
		return cmp(a, b)
	})
}

// lookRows is how many rows loops over all rows take between looks at the query.
const lookRows = 1 << 17

// inPieces calls f with ranges that make up 0..n-1, until the query has ended.
func inPieces(n int, run *Run, f func(from, to int)) error {
	for from := 0; from < n; from += lookRows {
		if err := run.Interrupted(); err != nil {
			return err
		}
		f(from, min(from+lookRows, n))
	}
	return nil
}
