// Package elle checks the isolation of concurrent transactions the way of Elle's
// list-append test (Kingsbury and Alvaro, VLDB 2020): transactions append values of
// their own to lists and read them, so that the order of all versions of a list can
// be read from the list itself, and with it which transaction must have come before
// which.
//
// What must have come before what is a graph over points of time: the snapshot of
// each read and the commit of each transaction. Under snapshot isolation all reads of
// a transaction, and what its writes are based on, are one point; under READ
// COMMITTED each statement has its own. A cycle is a violation: G0 (of writes alone),
// G1c (of writes and reads of what others wrote), G-single (with one read of what was
// overwritten: read skew, a lost update), G-nonadjacent (with several, as snapshot
// isolation forbids). Write skew, two such reads side by side, is no cycle here.
// Sessions that wait for an answer before the next transaction make edges too.
package elle
