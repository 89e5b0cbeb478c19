// Package column is the column tablet: one table's part in one shard, as a
// memtable of recent rows and immutable segment files, with merge on write. An
// upsert marks the old row deleted and appends the new one, so a scan never
// merges.
//
// Glossary:
//
//	version    the immutable list of a tablet's parts: segments, frozen memtables
//	           and the active one; change is a new version swapped in
//	part       one memtable or segment of a version
//	visible    a row with csn ≤ s that is not deleted at or below s
//	stage      put into memory, invisible; Stamp makes it a commit, Abort undoes it
//	delete set a segment's deleted rows: a base mask of those dead for everyone, a
//	           mask for each stripe between live snapshots, and a tail of (row, CSN)
//	edit       what a flush or compaction did to the files, for the manifest
//	overlay    a transaction's own rows and deletes, laid over a snapshot
//
// One writer at a time: a tablet is locked from Stage to Stamp or Abort, beside
// the shard latch that its caller holds. Readers take no lock beyond the moment in
// which they pin a version: rows once visible never move, the visible rows of a
// memtable are a prefix, and deletions carry their CSN.
//
// The package imports storage, storage/segment, storage/blob, storage/vec and the
// catalog. It knows neither the log nor the manifest: the caller drives commits,
// installs edits and says which snapshots live.
package column
