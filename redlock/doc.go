// Package redlock holds several locks as one: a [RedLock] is one lock on a
// quorum of independent Redis servers, a [MultiLock] is many locks of any kind,
// all or none. Both are [relock.Locker]s with the leases, the watchdog and the
// errors of package relock.
//
//	one server, Sentinel, Cluster  fastest; a failover may lose what was not replicated
//	RedLock of n                   survives the loss of a minority of the servers
//	MultiLock                      survives nothing that its members do not; holds them together
//
// # A lock on a quorum
//
// Lock asks all nodes at once and returns when a quorum (n/2+1, or [WithQuorum])
// has granted, not when the slowest has answered. The validity counts from
// before the requests left and is that of the quorum's shortest grant, less the
// drift; below a minimum ([WithMinValidity]) the attempt fails. Lock gives back what
// was granted short of a quorum, also what is granted late: each attempt has a
// hold id of its own, the requests of one hold to one node leave
// in order, and a release that follows an unanswered request has the node refuse
// it from then on. A node that has kept us waiting for the node timeout
// ([WithNodeTimeout]) is not asked again until it has answered: a node that
// hangs costs one request.
//
// A quorum decides renewals, [relock.Lease.Extend] and Unlock likewise. A renewal
// also asks the nodes that had no vote to give or whose vote has run out, so that a
// hold which began on few nodes outlives them. It does not ask a node again that
// lost the hold before its time. A vote that comes late counts once it is certain
// that nobody held the lock meanwhile: where the node has accepted no greater
// token, or a quorum without it was renewed since.
//
// TryLock returns [relock.QuorumError], with what each node said, if too few
// nodes answered for either decision; Lock waits until they do, and returns it
// beside the cause of its context, but at once where so many nodes refuse for
// good (no rights, full memory, a foreign key) that the others are no quorum. A
// quorum that says "taken", and split votes, are [relock.ErrNotAcquired].
//
// # Order
//
// Nobody polls, and nobody keeps a minority of the votes while waiting. A waiter that
// is refused gives back its votes and queues at the coordinator: the first live
// node in the order of the node ids. The waiter that is granted there queues at the
// other nodes, and is alone in that. The queues are by arrival, as on one server. So
// waiters are served first come, first served, as long as they agree on the
// coordinator; a newcomer may come first at the moment of a hand-over, once, since
// what it sees then sends it to the coordinator next time.
//
// If the coordinator dies its waiters go on at the next node, each when it notices
// that: at its next check-in. They bring the time they have waited, so that the
// waiters there are served in the order of arrival; only if the lock is free by then
// may one that notices early be served before an older one that notices late.
// While they disagree on which node is the coordinator two may collect votes at
// once, and one of them gives way at its next check-in, by chance.
//
// # Tokens
//
// Tokens rise without the nodes agreeing on anything but the lock, and without
// trust in clocks:
//
//   - A node accepts a fresh token only above the greatest it has accepted, and
//     only from the hold that has its vote. A node without a record takes its
//     clock for that, and no node accepts what is an hour ahead of its clock.
//   - A token is issued when a quorum has accepted the very same token from the
//     same attempt. A node never mints or changes one.
//   - An owner's further holds take its token. A node accepts that again where
//     the owner has it, or where nothing greater was accepted (without a record:
//     where one would still be there). An owner named in
//     several processes therefore asks before it proposes; if it cannot be told
//     that its token is still good, it gets a greater one.
//
// Two quorums share a node. Say t was issued before u was proposed: the shared
// node had accepted t by then, and accepts u only above it, so u > t. If they
// were proposed at the same time the shared node has accepted them one after the
// other, and the later one is the greater: no two holders have the same token.
// If u is an owner's token that is taken again, each node of its quorum either
// has had the owner's hold since it accepted u, and so has accepted nothing of
// others, or has accepted nothing above u; so no greater one was issued in
// between.
//
// A lock that nobody competes for takes one round trip: the first token proposed
// is 10 ms ahead of the clock. A refusal tells what would be accepted, and the
// second round proposes that, unless it is half an hour ahead of the clock and of
// what others want: such nodes are done without, as long as the others are a
// quorum.
//
// The proof needs nodes that remember: an issued token stays known if k nodes
// forget and 2Q - n >= k + 1 (Q: the quorum). Five nodes with the default quorum
// of three tolerate none, a quorum of four tolerates two, of five four. Run the
// nodes with appendfsync always, or keep a restarted node away for the longest
// TTL. A node that has lost everything is found by its id and refused, see below;
// it does not vote again. The proof also needs one list of nodes for all; one fence
// retention ([relock.WithFenceRetention]); and clocks of nodes that are not set
// back by more than that, since a node whose record has expired goes by its clock.
//
// # Nodes
//
// Each node keeps an id of its own and, once all were seen, the ids of all, in
// the hash <prefix>:rednode, which never expires. At first use they tell one
// server that is listed twice, and a list that differs from what others use
// ([relock.ErrInvalid], with the addresses), from a node that has lost its data
// or was replaced, which has no vote: what it held nobody knows. After the
// longest TTL in use, delete that key on every node to begin with a new list.
//
// A node's keys are those of package relock, under kinds that begin with "red":
//
//	<prefix>:redlock:{<name>}   <prefix>:redfence:{<name>}   <prefix>:redqueue:{<name>} ...
//
// # Several locks together
//
// A MultiLock first tries all members at once; those of one client and slot are
// taken by one script. If one is taken it holds nothing and takes them one after
// the other, in the order of their names and, for names alike, of their servers'
// ids, for which it asks each of them: the id then stays there, in the hash
// <prefix>:rednode. All processes use that order, so none waits in a circle. The
// watchdog keeps what is held meanwhile; a fixed lease begins when all are held.
package redlock
