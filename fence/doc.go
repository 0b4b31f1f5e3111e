// Package fence takes fencing tokens to storages other than Redis: it has what a
// fenced storage has in common ([Claimer]), what it refuses unseen ([Check]), and
// the way of a [relock.Sequencer] over HTTP ([Transport], [Middleware]), signed if
// need be ([Signer]). Data in Redis have [relock.Guard]; SQL databases have
// package sqlfence, a module of its own.
//
// The rule is the same for all. A holder claims a resource before its first read,
// from then on earlier holders are refused there, and every write is checked. One
// lock guards a resource: tokens of different locks say nothing about each other.
package fence
