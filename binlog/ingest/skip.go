package ingest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/storage"
)

// placeOf names a message in errors.
func placeOf(p Partition, offset int64) string {
	return fmt.Sprintf("topic %s partition %d offset %d", p.Topic, p.ID, offset)
}

// Skip names a message that a subscription is to leave out.
type Skip struct {
	Topic     string // "" for any
	Partition int32  // -1 for any
	Offset    int64
}

// SkipMessage moves a subscription that does not run past the message that it would
// read next, or that it stopped at: no other, so that nothing else is lost. It returns
// the message's place in words.
func SkipMessage(s storage.Store, x storage.Txn, oid uint32, k Skip) (string, error) {
	st, err := loadState(s, oid)
	if err != nil {
		return "", err
	}
	why := Stopped(s, oid)
	var at []Partition
	var next []string
	for _, p := range slices.SortedFunc(maps.Keys(st.positions), func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.ID, b.ID))
	}) {
		if k.Topic != "" && k.Topic != p.Topic || k.Partition >= 0 && k.Partition != p.ID {
			continue
		}
		pos := st.positions[p].Next
		// Offsets of a compacted topic have gaps before the message.
		if pos == k.Offset || pos < k.Offset && strings.HasPrefix(why, placeOf(p, k.Offset)+":") {
			at = append(at, p)
		}
		if len(next) < 8 {
			next = append(next, placeOf(p, pos))
		}
	}
	switch len(at) {
	case 0:
		e := sqlstate.Errorf(sqlstate.InvalidParameterValue, "offset %d is not the next message of the subscription", k.Offset)
		if len(next) > 0 {
			e = e.WithDetail("It goes on at %s.", strings.Join(next, ", "))
		}
		return "", e
	case 1:
	default:
		return "", sqlstate.Errorf(sqlstate.InvalidParameterValue, "%d partitions go on at offset %d", len(at), k.Offset).
			WithHint("Name the topic and the partition.")
	}
	pos := st.positions[at[0]]
	pos.Next = k.Offset + 1
	x.Note(positionKey(NotePrefix(oid), at[0]), pos.append(nil))
	return placeOf(at[0], k.Offset), nil
}
