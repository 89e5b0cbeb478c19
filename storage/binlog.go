package storage

import "context"

// BinlogStore is a Store as readers of binlogs need it.
type BinlogStore interface {
	Store
	// AwaitPublished returns when a commit above after is published.
	AwaitPublished(ctx context.Context, after CSN) error
	// HoldBinlogs has expiry ask before it drops anything of a binlog.
	HoldBinlogs(h BinlogHolder)
}

// BinlogSegment is a segment of a binlog: its last number, its newest time in
// microseconds since 1970, and its size.
type BinlogSegment struct{ Last, Time, Bytes int64 }

// BinlogHolder keeps segments of binlogs that someone still has to read.
type BinlogHolder interface {
	// Release says how many of the segments, which are due and listed oldest first, may
	// be dropped. They are due since all in them is older than expired. It must not wait.
	Release(table uint32, shard int, expired int64, due []BinlogSegment) int
}

// BinlogRelation is the Relation of a binlog.
type BinlogRelation interface {
	Relation
	Shards() int
	// Since is when the binlog began: the commit that switched it on.
	Since() CSN
	// Floor is the newest number of a shard that has expired, 0 for none. It may be
	// newer than the snapshot.
	Floor(shard int) int64
	// Numbers encloses the numbers of a split's rows.
	Numbers(s Split) (lo, hi int64)
}
