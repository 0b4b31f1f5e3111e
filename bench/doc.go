// Command bench compares relock with other locks on Redis: on the same server,
// at the same work, in one run.
//
//	go run . -quick     every work, small, in about two minutes
//	go run .            the full comparison, in at most 25 minutes (-time)
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
// Commands are those that clients sent, by INFO commandstats: EVALSHA, EVAL, and
// what else the rival sends (Kind.Commands).
//
// A new rival is one adapter in package rival.
package main
