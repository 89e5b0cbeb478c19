// Package row is the row tablet: one table's part in one shard as keys and values
// in Pebble, for reads and writes of single rows by primary key. All row tablets
// and the catalog share one Pebble, whose own log is off.
//
// A row's key is its table, its shard and the order-preserving encoding of its key
// columns; its value is the commit that wrote it and the row (FORMAT.md). There is
// one value a key: Pebble's sequence numbers are the versions, and a Pebble snapshot
// taken when commit s was the newest applied one is the state at s.
//
// The leader of the log applies commits after the sync, in their order, so that
// Pebble is never ahead of the log and always a prefix of it. Until then their rows
// are in the tablet's pending table, which writers consult; so a commit resolves its
// keys against pending rows first, and Pebble's newest state behind them.
//
// A tablet of orientation row resolves conflicts itself: Prepare, Stage, Stamp. One
// of a hybrid table only follows: its column tablet decides, and the leader applies
// the same Changes to Pebble.
//
// The package imports storage, storage/vec and the catalog, and knows neither the log
// nor how filters are compiled.
package row
