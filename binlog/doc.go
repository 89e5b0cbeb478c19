// Package binlog is how changes of tables are read: positions in a table's binlog,
// readers that follow it, and slots, which are named positions that keep what they
// still need. The binlog itself is written and stored by package storage, as a table
// whose rows are the changes; formats, subscriptions and what publishes changes to the
// outside are in the sub-packages.
//
// A consumer keeps the Position of its Reader with what it made of the records, and
// opens the next Reader there: nothing is lost, nothing comes twice. What cannot be
// read any more is an error, never a silent gap.
package binlog
