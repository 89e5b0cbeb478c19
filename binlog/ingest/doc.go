// Package ingest runs subscriptions: it takes messages from a source, has a format
// decode them, and applies the changes to the target table, each batch in one commit
// together with the positions that the source was read to. So every message has its
// effect exactly once, whatever crashes between.
//
// Sources are sub-packages that register themselves by the scheme of a connection
// string; formats are those of package format. The two know nothing of each other.
//
//	source → jobs of messages, in order → decoders, in parallel → commits, in order
//
// What is under way is bounded by bytes; when it is full, the source is not asked
// for more.
package ingest
