package op

import (
	"slices"

	"github.com/millrace/millrace/executor/mem"
)

// shortSort is how many elements are sorted without looking whether the query has
// ended: some milliseconds when comparing is slow.
const shortSort = 4096

// sortLong sorts s by cmp, which tells all elements apart, and stops where it is
// when the query of the account has ended. Long slices are sorted by merging short
// ones; the memory to merge in is charged, and done without where there is none.
func sortLong[E any](s []E, cmp func(a, b E) int, acct *mem.Account) {
	if len(s) <= shortSort {
		slices.SortFunc(s, cmp)
		return
	}
	tmp := mem.Array[E]{Buffer: mem.Buffer{Account: acct}}
	defer tmp.Free()
	if tmp.Grow(len(s)) != nil {
		slices.SortFunc(s, cmp)
		return
	}
	for i := 0; i < len(s); i += shortSort {
		if acct.Ended() {
			return
		}
		slices.SortFunc(s[i:min(i+shortSort, len(s))], cmp)
	}
	src, dst := s, tmp.Slice(len(s))
	for n := shortSort; n < len(s); n *= 2 {
		for i := 0; i < len(s); i += 2 * n {
			mid, end := min(i+n, len(s)), min(i+2*n, len(s))
			if !mergeRuns(dst[i:end], src[i:mid], src[mid:end], cmp, acct) {
				return
			}
		}
		src, dst = dst, src
	}
	if &src[0] != &s[0] {
		copy(s, src)
	}
}

// mergeRuns merges two sorted runs into dst; false when the query has ended.
func mergeRuns[E any](dst, a, b []E, cmp func(a, b E) int, acct *mem.Account) bool {
	for k := range dst {
		if k&lookMask == 0 && acct.Ended() {
			return false
		}
		if len(b) == 0 || len(a) > 0 && cmp(a[0], b[0]) <= 0 {
			dst[k], a = a[0], a[1:]
		} else {
			dst[k], b = b[0], b[1:]
		}
	}
	return true
}
