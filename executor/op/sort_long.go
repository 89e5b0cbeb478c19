package op

import (
	"slices"

	"github.com/millrace/millrace/executor/mem"
)

// sortLong sorts s by cmp, and soon comes back, with s in some order, when the query
// of the account has ended: from then on all elements pass for equal, which leaves
// the sort nothing to do.
func sortLong[E any](s []E, cmp func(a, b E) int, acct *mem.Account) {
	if len(s) <= lookMask {
		slices.SortFunc(s, cmp)
		return
	}
	n, ended := 0, false
	slices.SortFunc(s, func(a, b E) int {
		if n++; n&lookMask == 0 {
			ended = ended || acct.Ended()
		}
		if ended {
			return 0
		}
		return cmp(a, b)
	})
}
