// Package relock is distributed locks on Redis: reentrant, fenced by a rising
// token, handed on by pub/sub instead of polling, and renewed by a watchdog.
//
// A [Client] makes locks on one Redis deployment (a server, Sentinel, a
// Cluster). [Client.Mutex] is a plain lock, [Client.Reentrant] one that its
// owner may take again. Lock returns a [Lease]: Unlock gives it back, Context
// ends when it is lost, and Token is what a storage needs to refuse a holder
// that a later one has overtaken ([Guard]). [Do] is all of this in one call, and
// [DoValue] for a function with a result. Package relocktest is for tests of code
// that locks. [Lead] and [Elector] have one process of many lead, by a lock.
// Packages fence and fence/sqlfence take tokens to other storages.
//
// What follows is the specification.
//
// # Promises
//
// Fenced writes are never accepted out of order, whatever fails, as long as the
// storage that keeps the fence loses nothing it acknowledged.
//
// Two holders never believe in one lock at one time, as long as no server loses
// what it acknowledged (by a failover, a restart, eviction, or a key that others
// delete), no server's clock is stepped, no virtual machine is suspended (its
// clock stands still) and no process pauses between reading Err and what it does
// next for longer than the validity that is left. A lease alone can promise no
// more: that is what the token is for.
//
// A holder learns of its loss in time. [Lease.Err] reads the clock and is never
// nil past the local deadline, which counts from before the last successful
// request was sent; [Lease.Context] ends then too. Redis need not be reachable.
//
// No request counts twice, late or never. A lost reply, a resend, or a copy that
// arrives after its lock was given up leaves no lock held twice, freed early or
// held by nobody.
//
// No waiter polls for its turn. A turn costs a fixed number of commands whatever
// the number of waiters; a lost message delays it by at most the check interval.
//
// First come, first served: by the time of the Lock call, across goroutines,
// processes and machines, each by its own measure of how long it has waited.
// Owners named by [WithOwner] that hold the lock already go first.
//
// Not promised: exclusion of two goroutines with one owner; that a TryLock
// succeeds on a lock that is being handed on; any order among MultiLocks.
//
// # Words
//
// A lease is one time-bounded grant. An owner is the identity of a holder and
// may hold a lock several times; each granted Lock call is a hold, and their
// number is the hold count. The token is the fencing token and nothing else. The
// TTL is configured; ValidUntil is an instant; validity is the time left, local
// and conservative. A waiter's repeated request is its check-in.
//
// # The life of a lock
//
//	       +--------------------- again: the grant was too old to use
//	       v                     |
//	    asking ------------> granted ----> held ----> unlocked
//	     ^  |                 ^  ^           |
//	     |  v    by message,  |  |           +------> lost: deadline, or "not yours"
//	     | queued ------------+  |           +------> ended, as WithLease or WithMaxHold says
//	     |        or check-in    |           +------> detached, to end so
//	     |                       |           +------> closed
//	parked --> successor --------+
//	             by the reply to a release
//
// Who is parked waits behind others of its own client, and the server knows nothing
// of it; a successor is named by the release of the hold before it. Each may be
// given up before it is held: the wait's context ends, or the client
// is closed. What may have reached the server is then withdrawn.
//
// The shape that makes the rest easy: every Lock call is one hold with an id of
// its own, every request is idempotent by that id, and the life above is written
// once, over four requests (acquire, renew, release, withdraw), for every kind
// of lock. Withdraw is a release that does not know its token. The keys on the
// server, and what each request does there, are described in
// internal/redisengine.
//
// # Hooks
//
// What relock sends goes through the client that was handed to [New], under the
// hooks that it has at the time: each run of a script and each WAIT, by whichever
// goroutine, and each connection that they need. A hook is given the context of
// the call that made the request, with an end of the request's own, unless
// WithBatching(true) has it leave in a pipeline with others; renewals,
// check-ins and what goes on in the background have no caller. While a server
// answers quickly a hook runs in its caller's goroutine, and delays the caller if
// it does not mind its context.
//
// The rest is go-redis's. A pipeline has one context for all that is in it, and an
// AutoPipeliner drops those of what it queues. Subscriptions know dial hooks only.
// The hooks of a cluster client do not see what its nodes' clients send, on which
// OnNewNode can put others: the scan by which the command relock lists the locks;
// and the renewals and WAITs of [WithReplicas], where the cluster client would
// part the two, since its routing policies are the servers' own
// (NewDynamicResolver) or the key's slot is on no shard that it knows of.
//
// # Refusals
//
// What Redis says is told at once, with what to do, unless it passes by itself: a
// server that is loading, busy or full of clients, and a cluster between two
// masters, are waited for by Lock until its context ends, and by every other call
// for a call timeout. A server that sends its client elsewhere is such a case for
// a client that goes there. A *redis.Client on one node of a Cluster does not:
// MOVED is an error at once. Nor does one with the address of a replica find the
// primary: READONLY is an error after a call timeout, in which a failover may come
// to its end. What cannot be known, as of an AutoPipeliner, is given ten.
//
// A request of which nothing was written to a connection (refused connections, a
// full pool, an open breaker, a hook that does not pass it on) has no effect and
// leaves nothing to withdraw. TryLock, Status and ForceUnlock return that error at
// once; Lock asks again until its context ends. Extend and Unlock wait for a
// connection, for a call timeout, but not for a breaker.
//
// # Waiting
//
// The goroutines of a client wait for a name in memory, and only the first of
// them is registered with the server; none is while a local hold lasts, since
// that hold's release names the next. Owners given by [WithOwner] register on
// their own. A waiter checks in every check interval (a third of its TTL, if that
// is less); the head of the queue also when the holder's time is up, and the second
// too where that is the end of a minimum. An entry
// without a check-in for three intervals is passed over and dropped.
//
// There is one subscription a client, opened at the first contention, confirmed
// before a waiter registers, and closed when nobody has waited for a check
// interval. On a new subscription every waiter checks in, and one that was asking
// asks again: what it is told may be from before a grant that nobody heard. A
// connection that is half open is found within two check intervals, or two round
// trips where those are longer.
//
// An entry whose client was subscribed at the lock's own server when it last
// checked in, and is not any more, is passed over, and keeps its place: its client
// has died, or is reconnecting. The scripts themselves ask that server (PUBSUB
// NUMSUB), at the check-in and before the grant is published; what it says of its
// topology does not count, since a client may read from replicas, or be behind a
// proxy. A message also reaches the subscribers of replicas and of a cluster's
// other nodes, so an entry whose client may be subscribed there is granted by it in
// its turn, and one that is passed over is sent none. A waiter that was passed over
// and checks in again is not passed over until the check-in after that one, so none
// is for ever. For a user without the right to ask, the grant goes to the first all
// the same; one whose client is gone costs its entry's life.
//
// Where there is no subscription (the connection cannot be made, or breaks), and
// where the server answers SUBSCRIBE with an error that does not pass by itself (no
// right to it, a command renamed, a proxy without it), waiters queue all the same
// and check in every 100 ms. An error is logged once, and SUBSCRIBE tried again every
// 30 s while somebody waits.
//
// # Validity
//
//	validity = (when the request was sent) + (what the server granted) - drift
//	drift    = 1 % + 2 ms
//
// on the local monotonic clock. For a grant by message it counts from the last
// check-in that was answered "waiting": the grant came after that. Renewals are
// sent a third into what was granted, or into the TTL where an Extend granted
// more, with jitter, many in one pipeline; errors are retried until the validity
// ends, and "not yours" ends the lease at once.
//
// The rules of validity and drift are those of
// https://redis.io/docs/latest/develop/use/patterns/distributed-locks/.
//
// # Ends
//
// A release, an end and a loss are three things. What is sent when a lease ends
// depends on which it is:
//
//	Unlock, Close                at once: the hold is released; by Close many in one
//	                             pipeline, but for a RedLock's
//	"not yours", ForceUnlock     at once, in the background: a late copy of its acquire
//	                             may have put the hold back
//	deadline, end of WithMaxHold the same; but while the function that [Do] runs has
//	                             not returned, not before the last instant at which the
//	                             server may hold it
//	end of WithLease             the hold stays to its end on the server, a drift later; the
//	                             release then finds it gone, unless the server's clock has
//	                             stepped back
//	Detach                       the hold stays to its end on the server; where an acquire
//	                             may be under way, its id is refused from now on
//
// A function that leads ([Lead]) is waited for by Close, too, for a call timeout: if
// it has not returned then, the hold stays to its end on the server.
//
// The context of a lease ends first, in each case. A lease whose Extend had no answer
// ends as one of WithMaxHold, since the server may have given it more.
//
// # Tokens
//
// A token is issued when a free lock is granted, and is the greatest of the
// fence plus one, the server's clock in microseconds, and the greatest token that
// the client has seen plus one (not believed if it is an hour ahead of the
// clock). So tokens rise though the fence is lost: by a restart, a failover,
// FLUSHALL or eviction. Only a server that loses its fence and whose clock also
// steps back can repeat one, to a client that has seen none. They stay below
// 2^53, the last number that Lua counts exactly.
//
// A re-entry issues nothing: it repeats the token of the hold that is there. After
// a failover or a restore that token can be below one that another owner has been
// issued since; a [Guard] that has seen the greater one refuses it.
//
// # Elections
//
// [Lead] is a loop of terms: Lock, the function, Unlock. It adds nothing to what is on
// the server, so a candidate is a waiter, the leader a holder, and `relock ls`,
// `relock inspect` and a [Tracer] show them as such. Two functions do not run at once
// where two holders do not believe at once, since neither a loss by the deadline nor
// Close passes the lock on while one runs; but a loss by "not yours" does not wait, and
// a function that runs on past the server's end of its lease is not waited for either.
// Tokens rise from leader to leader, and so are those that order holders alone
// accepted: not a MultiLock's, nor a Reentrant's.
//
// # Seeing it
//
// [Client.Stats] counts what the client's locks have come to; [WithTracer] has a
// [Tracer] told of each step of each hold; [WithLogger] logs what no caller can be
// told. They are part of the life above, which is written once, so a lock on a
// quorum and the members of a MultiLock show the same. Every lease that was had
// is held, or was released, lost, ended, detached or closed, and is counted as one of
// these.
//
// # Fencing in SQL
//
// Package fence/sqlfence does for SQL databases what [Guard] does for Redis data.
// By hand it takes two columns, fence (0 at first) and fence_owner (empty), and one
// transaction. A holder raises the fence before its first read, and reads on the
// condition that the fence is its own:
//
//	UPDATE account SET fence = $1, fence_owner = $2
//	 WHERE id = $3 AND (fence < $1 OR fence = $1 AND fence_owner = $2);  -- claim
//	SELECT balance FROM account
//	 WHERE id = $3 AND fence = $1 AND fence_owner = $2;                  -- no row: stale
//	UPDATE account SET balance = $4 WHERE id = $3;                       -- write
//
// with lease.Token(), lease.Owner(). The owner is compared too, since a failover
// can issue one number twice. It is the second statement that tells: the first may
// change no row for a holder that claims again (MySQL and MariaDB count none then),
// and after it nobody else can claim the row until the transaction ends.
package relock
