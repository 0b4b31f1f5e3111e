package relock

// Stats are what a client's locks have come to since it was made, and how many
// there are now. Each number is exact, but they are read one after the other:
// while nothing is under way,
//
//	Acquired = Held + Released + Unanswered + Lost + Ended + Detached + Closed
//
// The locks of a RedLock are counted by the RedLock, and not by the clients of
// its nodes. Those of a MultiLock count as its members do, each at its client.
type Stats struct {
	Held    int // leases now
	Waiting int // calls of Lock and TryLock that are under way now

	Acquired    uint64 // leases had
	HandOffs    uint64 // of Acquired: passed on by a release to a call that waited
	CheckIns    uint64 // of Acquired: found by asking again: a holder's time had run out, or a message was lost
	NotAcquired uint64 // calls that ended with ErrNotAcquired
	Failed      uint64 // calls that ended with another error, of those that a Tracer is told of

	Renewals      uint64 // answered
	RenewFailures uint64 // not answered, or refused; the lease may have been renewed by a later one

	Released   uint64 // leases given back, and that was answered
	Unanswered uint64 // leases given back, and that was not answered in time: the release goes on in the background
	Lost       uint64 // leases that ended with ErrLost and were not meant to, those included that Unlock found lost
	Ended      uint64 // leases that were over by WithLease or WithMaxHold before Unlock was called: ErrLost, but no loss (a Tracer is told of Detached ones as Ended, too, by their Reason)
	Detached   uint64 // leases that Detach left to their end
	Closed     uint64 // leases that Close ended
	Forced     uint64 // locks freed by ForceUnlock
}

// Stats returns what the client's locks have come to. It asks no server.
func (c *Client) Stats() Stats { return Stats(c.life.Stats()) }
