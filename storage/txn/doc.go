// Package txn has the parts that make transactions of commits: key and table
// locks with deadlock detection, the watermarks between a commit's append and its
// visibility, and the registry of live snapshots. It knows no tables and no files;
// storage/tablet puts it to work.
//
// Locks stand above latches: whoever waits for a lock holds no latch, so latches
// (mutexes of tablets, taken in order) cannot deadlock, and locks, which can, are
// watched by a wait-for graph.
package txn
