package binlog

import (
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// Position says what of a table's binlog has been read. The zero Position is before
// all that there is.
type Position struct {
	// Since is when the binlog began: one that was switched off and on again is another.
	Since storage.CSN
	// LSN is the last number that was read of each shard; what follows is greater.
	LSN []int64
}

// IsZero says whether the position is before all that there is.
func (p Position) IsZero() bool { return len(p.LSN) == 0 }

// Clone is a copy that shares nothing.
func (p Position) Clone() Position { return Position{p.Since, slices.Clone(p.LSN)} }

// String is the position as text: when the binlog began, a colon, and the numbers of
// the shards with commas between them. The zero position is empty.
func (p Position) String() string {
	if p.IsZero() {
		return ""
	}
	b := strconv.AppendUint(nil, uint64(p.Since), 10)
	for i, n := range p.LSN {
		b = append(b, ":,"[min(i, 1)])
		b = strconv.AppendInt(b, n, 10)
	}
	return string(b)
}

// ParsePosition reads what String wrote.
func ParsePosition(s string) (p Position, err error) {
	if s == "" {
		return p, nil
	}
	bad := sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid position in a binlog: %q", s)
	since, list, ok := strings.Cut(s, ":")
	n, err := strconv.ParseUint(since, 10, 64)
	if !ok || err != nil {
		return Position{}, bad
	}
	p.Since = storage.CSN(n)
	for _, f := range strings.Split(list, ",") {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil || n < 0 {
			return Position{}, bad
		}
		p.LSN = append(p.LSN, n)
	}
	return p, nil
}
