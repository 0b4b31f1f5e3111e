// Package redisengine keeps locks on one Redis deployment: a server, Sentinel, or
// a Cluster. It makes the commands, sends them, and says of each what came of it;
// what to do then is for package lifecycle to say.
//
// Where things are: the keys in keys.go, the scripts' arguments and replies in
// engine.go and scripts.go, a command and its last word in command.go. A request is
// in request.go; it leaves by its caller (inline.go), by the dispatcher of its server
// (dispatcher.go, unit.go, limit.go; which one: batching.go, shards.go) or in a goroutine
// of its own, in copies (copies.go); the watchdog's leave in batches (batch.go). What
// an error means is in failure.go;
// a node of a quorum in node.go, a Guard's writes in guard.go.
//
// # Keys
//
// All keys of a lock share one hash tag; see keys.go for the mapping.
//
//	relock:lock:{name}        hash    owner:<owner> -> hold count
//	                                  hold:<id>     -> end of that hold, server ms
//	                                  hold:<id>/kept -> end of the minimum that it left
//	                                  token, since
//	relock:fence:{name}       string  the last token
//	relock:queue:{name}       zset    hold id -> arrival, server us
//	relock:waiters:{name}     hash    hold id -> last check-in, life, TTL, subscribed here, channel, owner
//	relock:tombstones:{name}  zset    hold id -> until when it is refused
//	relock:wake:<client>      channel of one client
//	relock:guard:{key}        hash    token, owner: the last holder seen at key
//
// The lock's key lives as long as its longest hold. Each hold has an end of its
// own, so that a crashed process that shared an owner does not keep the lock. The
// fence lives for the fence retention (an hour) after its last grant; the queue
// for a waiter's life after the last check-in; a tombstone for a minute.
//
// # Requests
//
// Acquire grants a free lock: token, count 1, TTL. The same owner gets a further
// hold with the same token. Another joins the queue at the place of its arrival
// (the server's clock less the time it says it has waited: a duration, so no
// clocks are compared), or is told that the lock is taken. The same id again
// renews a holder and checks in a waiter.
//
// Release takes the hold away and, with the last one, grants the lock to the
// head of the queue in the same script, and publishes that to the head's client
// alone. The message is the grant: it carries hold id, token and TTL, and no
// further round trip is needed. The caller may name its own next waiter, which
// joins the queue at its place and, if it is the head, is granted in the reply.
// So a section costs one command within a process and two between processes.
//
// Such a grant lives no longer than three check intervals until it is renewed, so
// that a waiter that died unnoticed costs that much and not a whole TTL.
//
// What most calls find - a free lock, one hold of another, one hold and at most a
// first waiter that hears of it, a vote for a fresh token - has a short way at the
// beginning of its script: straight-line code, which leaves what is unusual to the long
// way behind it, and does what that would. A request has arguments for a wait, a
// tombstone, a next or a minimum only where it has those, and what was granted anew, or
// released with no more to say, is answered by one number. The commands are those of
// Redis 5: SET with GET, of 6.2, would save one, but not give back the end of a fence
// that is not ours.
//
// Where an acquire may still be under way (a lost reply, a cancelled call), what
// gives its hold up leaves a tombstone, and the late copy is refused: nothing
// else orders two connections.
//
// Where a request has left and has no answer for a twelfth of the call timeout
// (relock.WithCallTimeout), or for four times what answers take if that is longer, up to a
// quarter of it, a copy of it leaves on another connection, and then one more each
// twelfth, up to ten: a router may have forgotten a pooled connection and told
// neither end. The first answer counts. Each copy that is not answered itself is an
// acquire that may be under way; "gone", as the answer to a release of which there
// are copies, is the work of one of them. A client has no more than 32 copies under
// way, so that a server that stalls is not flooded. Guards, the nodes of a RedLock
// and an AutoPipeliner that does not block send none.
//
// A lease with a minimum (relock.WithMinHold) is given back early by the same request,
// which then renames its hold: hold:<id> goes, and hold:<id>/kept has the lock until
// the minimum is over, counted from when the owner took it, with the owner's last
// hold under the owner !kept, whom nobody is. So a renewal, an acquire or a withdrawal
// of <id> that comes late neither prolongs nor frees it (and where an acquire may be
// under way, the id has a tombstone), a copy of the request is told the same, and a process
// that knows of no minimum takes it for a hold. Its token stays, by which it can be
// forced. The server is asked to grant for the TTL or the minimum, whichever is
// longer, so that a lock whose release never arrives is taken for as long; the lease
// is believed for its TTL. Only what a caller was given keeps: a wait that was given
// up, a grant that was too old or for nobody, one that was not confirmed and a
// member of a whole that is not to be are free at once.
//
// Nothing on the server ends a minimum by itself, and those who wait believe in the
// end of a hold that is gone. So the release tells the first two of the queue how
// much is left ("<hold id> kept <ms> <key>": no grant, since its token is no number),
// and they check in then; and the client that released, if it lives, sends the
// release again at the end, which passes the free lock on.
//
// While a server answers quickly and few are under way, requests leave in the
// goroutine that makes them, and are given up after 20 ms. Else they go by a dispatcher, one
// a server or a shard of a Cluster: what comes while as many are under way as the
// server has use for leaves together, as a pipeline of 64 at the most, renewals and
// releases in front. How many may be under way is read off what answers take (limit.go).
// Where hooks look on, unless relock.WithBatching(true), and for what has no dispatcher, each
// request has a goroutine of its own, since go-redis does not give up a reply that it
// waits for. Either way a call ends with its context.
//
// A request that is given up while it waits there is taken out, and was never
// sent: nothing is withdrawn for it. One that is on its way counts as unanswered, and
// its withdrawal leaves when it is written. The waiting copies of a request that is
// answered are taken out, and so are the renewals of a hold that is given back.
//
// A pipeline without an answer for 20 ms, or four times what answers take, gives its place
// away; no more than four may be so beside those that may be under way, and one more for
// renewals and releases. It is given up at a third of the call timeout, or twice what
// answers take if that is longer; one at a time only at the call timeout, so that
// connections that are dead are soon tried through, and a server that is slow is
// found to be so.
//
// A release succeeds when memory is full, since it deletes before it writes, and
// when its user may not publish; a waiter then finds its grant at its check-in.
package redisengine
