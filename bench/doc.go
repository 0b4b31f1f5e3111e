// Command bench compares relock with other locks on Redis: on the same server,
// at the same work, in one run.
//
//	go run . -quick     every work, small, in about three minutes
//	go run .            the full comparison, in at most 35 minutes (-time)
//
// It starts its own redis-server on free ports of the loopback interface and
// stops it; redis-server must be installed. It writes results.json, report.md
// and charts (SVG and PNG) into the folder -out, and tables to the terminal.
// Interrupted, it writes what it has.
//
// # Method
//
// Every work has a few points (so many waiters, such a load), and every point
// its entrants: the rivals, and the floors, which are what the work costs
// without a lock. At each point the entrants run in turn, A B C A B C. Every run
// opens clients of its own on an emptied server and warms them up. A figure is
// the median of the rounds, with their least and greatest; its ratio to the
// floor is the median of the ratios within each round. Latencies are taken by
// HdrHistogram.
//
// Wherever locks are contended a counter checks that they exclude. An entrant
// that fails at anything (an error of its own, an error the server counted, an
// overlap, time over) has no figures at that point, but the reason.
//
// Commands are those that the servers executed for clients, by INFO commandstats:
// EVALSHA, EVAL, and what else the rival sends (Kind.Commands), renewals and
// check-ins included. Clients are as a user has them, with default settings; one
// with a hook is an entrant of its own, and its cell fails if the hook did not see
// what the server executed.
//
// Floors that relock's scripts are held against have the keys and arguments that
// relock sends, recorded from the wire when the run begins. A hand-off's floors
// run in the same loops as relock, as warm and as cold.
//
// Goals that are about the version before are judged by a run of it (-before), each
// figure over the floor of its own run.
//
// A new rival is one adapter in package rival.
package main
