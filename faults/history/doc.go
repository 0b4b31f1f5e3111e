// Package history records what processes did to locks and to the data that they
// protect, and judges it.
//
// A history is the events of all worker processes, each one call with its start
// and its end on a clock that they share, and the windows in which faults were
// injected. The checks are named as RELIABILITY.md names them:
//
//	S1  tokens rise: a token returned before another's call is smaller, and no two owners share one;
//	    what an owner enters again in a failover is issued no token, and is left out of S4 too
//	S2  the fenced store: no write of an overtaken holder, no update lost, no acknowledged one missing
//	S3  no two owners believe in one lock at one time
//	S4  the fenced reentrant mutex, with holds that may expire, is linearizable
//	S5  a second or late Unlock or Extend says so, and changes nothing
//	S6  after the run nothing is left: no lock, queue or subscription
//	L1  after a fault is healed each lock is had again
//	L2  a waiter whose messages are lost has the lock at its check-in
//	L3  a lease is lost by its deadline, and never before it without a cause
//	L4  no key of a lock outlives its holder
//
// S1, the log of S2 and S3 are exact and linear in size but for a sort. S2 and S4 are also
// judged by Porcupine, a partition a lock; a partition that it cannot decide in
// its time, or that is too large for it, is counted as unknown and never as fine.
package history
