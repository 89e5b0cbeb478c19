package storage

import (
	"github.com/millrace/millrace/catalog"
	"github.com/millrace/millrace/storage/vec"
)

// PointStore is a Store that reads single rows without a snapshot.
type PointStore interface {
	// Point is a reader of columns (ordinals or hidden) of a table's rows by key, nil
	// for what has none.
	Point(t *catalog.Table, cols []int) Point
}

// Point looks up rows of one table by their full key in what is published at the
// moment of the look-up. It is for one goroutine at a time and needs no closing.
type Point interface {
	// Get appends the row of the one key in keys to out, as Relation.Get does. ok is
	// false when a snapshot is needed to tell: a commit is just being published, or the
	// newest catalog is not cat; out is of no use then.
	Get(cat *catalog.Version, keys, out *vec.Batch) (ok bool, err error)
}

// PointTxn is a transaction whose statements may read by a Point.
type PointTxn interface {
	// ReadsPublished says whether what the next statement sees of a table is what is
	// published by then, but for writes of the transaction's own; at is the newest
	// commit that is. behind says that the statement's snapshot would wait for more to be
	// published: only what the transaction then locks and looks at again may be read so.
	ReadsPublished(table uint32) (at CSN, ok, behind bool)
	// OwnRow appends the row of the one key in keys to out, as Relation.Get does, where the
	// transaction has written it.
	OwnRow(t *catalog.Table, cols []int, keys, out *vec.Batch) OwnRow
}

// OwnRow is what a transaction has done to a row.
type OwnRow uint8

const (
	NotOwn   OwnRow = iota // nothing
	OwnFound               // it has written the row
	OwnGone                // it has deleted the row
	OwnAsk                 // a snapshot tells
)
