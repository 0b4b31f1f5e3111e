package chart

import "github.com/relock-go/relock/bench/result"

// aWaiterAClient keeps the crowds in which every waiter is a process of its own.
func aWaiterAClient(c *result.Cell) bool { return c.At["waiters"] == c.At["clients"] }

func fourClients(c *result.Cell) bool { return c.At["clients"] == 4 }

func contenders(c *result.Cell) bool { return fourClients(c) && !c.Floor }

func pictures(r *result.Run) []*picture {
	return []*picture{
		lines{
			work: "names", title: "Many goroutines, a name each: throughput", file: "names",
			x: "goroutines", xLabel: "goroutines of one client", y: result.Pairs, yLabel: "pairs a second",
		}.build(r),
		lines{
			work: "names", title: "Many goroutines, a name each: the slowest pairs", file: "names-p99",
			x: "goroutines", xLabel: "goroutines of one client", y: result.P99, yLabel: "a pair, p99",
		}.build(r),
		lines{
			work: "delay", title: "A server that is 1 ms further away", file: "delay",
			x: "goroutines", xLabel: "goroutines of one client", y: result.P50, yLabel: "a pair, median",
			keep: func(c *result.Cell) bool { return c.At["delay_ms"] == 1 },
		}.build(r),
		lines{
			work: "handoff", title: "Hand-off of clients that are warm, over its floors", file: "handoff-warm",
			x: "clients", xLabel: "clients in a closed loop", y: result.P50, yLabel: "Unlock to next Lock, median",
			keep: func(c *result.Cell) bool { return c.At["warm"] == 1 },
		}.build(r),
		lines{
			work: "handoff", title: "Hand-off of clients that are cold, over its floors", file: "handoff-cold",
			x: "clients", xLabel: "waiting clients", y: result.P50, yLabel: "Unlock to next Lock, median",
			keep: func(c *result.Cell) bool { return c.At["warm"] == 0 },
		}.build(r),
		lines{
			work: "drain", title: "Hand-off, a waiter a client (drain)", file: "handoff",
			x: "waiters", xLabel: "waiting clients", y: result.P50, yLabel: "Unlock to next Lock, median", keep: aWaiterAClient,
		}.build(r),
		lines{
			work: "drain", title: "Hand-off, waiters in 4 clients (drain)", file: "handoff4",
			x: "waiters", xLabel: "waiters", y: result.P50, yLabel: "Unlock to next Lock, median", keep: fourClients,
		}.build(r),
		lines{
			work: "drain", title: "Commands a section, a waiter a client (drain)", file: "commands",
			x: "clients", xLabel: "waiting clients", y: result.Commands, yLabel: "commands a section", keep: aWaiterAClient,
		}.build(r),
		lines{
			work: "drain", title: "What waiters send while they wait", file: "idle",
			x: "clients", xLabel: "clients with one waiter each", y: result.Idle, yLabel: "commands a second", zeroAt: 0.1, keep: aWaiterAClient,
		}.build(r),
		dots{
			work: "closed", title: "Fairness, contenders in 4 clients (closed loop)", file: "fairness",
			metric: result.Jain, label: "Jain's index of the contenders' sections (1 = equal)", from: 0, to: 1.02, keep: contenders,
		}.build(r),
		dots{
			work: "closed", title: "Longest wait, contenders in 4 clients (closed loop)", file: "longest",
			metric: result.Longest, label: "longest wait", logarithmic: true, keep: contenders,
		}.build(r),
		lines{
			work: "open", title: "Waiting time by load (open loop)", file: "load",
			x: "load", xLabel: "load, % of an ideal lock's time", xLinear: true, y: result.Mean, yLabel: "mean wait",
		}.build(r),
		lines{
			work: "leases", title: "Goroutines for held leases", file: "leases-goroutines",
			x: "leases", xLabel: "leases held by one client", y: result.Goroutines, yLabel: "goroutines", zeroAt: 0.3,
		}.build(r),
		lines{
			work: "leases", title: "Memory for held leases", file: "leases-memory",
			x: "leases", xLabel: "leases held by one client", y: result.LeaseBytes, yLabel: "bytes a lease",
			keep: func(c *result.Cell) bool { return c.At["leases"] >= 100 },
		}.build(r),
		dots{
			work: "redlock", title: "Quorum lock with hung nodes", file: "redlock",
			metric: result.P50, label: "Lock, median", logarithmic: true,
		}.build(r),
		lines{
			work: "queue", title: "Server time of a hand-off by length of the queue", file: "queue",
			x: "waiters", xLabel: "waiters the server knows", y: result.HandoffTime, yLabel: "server time a section",
		}.build(r),
	}
}
