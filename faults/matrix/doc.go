// Package matrix is the fault matrix: each fault of a list, injected into each
// kind of lock on each topology where it means something, with what relock must
// do about it asserted on real servers. Its tests are all there is to it.
//
// A fault is written once, as an entry of a table (table_test.go), over a lock
// of any kind in a world of servers (world_test.go). The same table makes the
// list of the faults, FAULTS.md; a test compares the two.
//
// RELOCK_FAULT_ROUNDS is how often each injection is repeated, 1 by default.
// Processes are stopped and killed by signals: the package is for Unix.
package matrix
