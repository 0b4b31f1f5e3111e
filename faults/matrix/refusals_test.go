package matrix

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// What a server refuses while it is up.

var refusals = []fault{
	{
		number:    13,
		name:      "a server holds its clients up",
		injection: "CLIENT PAUSE, of writes and of all; FAILOVER to a replica",
		asserted: "no false success: the holder keeps its lock if the pause is shorter than its TTL, and is lost at its deadline if not; " +
			"others are served when it is over; a lock goes along with a planned failover",
		checks: []check{
			{of: "writes, for longer than the TTL", kinds: every, run: strike{begin: clientPause("write"), end: pauseOver}.run},
			{of: "all, for longer than the TTL", kinds: every, run: strike{begin: clientPause("all"), end: pauseOver}.run},
			{of: "for less than the TTL", kinds: every, run: briefPause},
			{of: "a planned failover", on: "a primary with a replica", kinds: plain, world: replicated, run: plannedFailover},
		},
	},
	{
		number:    16,
		name:      "a server has forgotten the scripts",
		injection: "SCRIPT FLUSH before each request",
		asserted:  "each request is sent once more with its source, and counts once",
		checks: []check{
			{kinds: every, run: scriptsFlushed},
			{of: "beside WAIT", on: "a primary with a replica", kinds: plain, world: replicated, run: scriptsFlushedBesideWait},
		},
	},
	{
		number:    19,
		name:      "memory is full",
		injection: "CONFIG SET maxmemory 1, noeviction",
		asserted: "Lock returns what Redis said (OOM), reachable by errors.As; renewals pass; Unlock succeeds, and passes the lock on " +
			"to one who is in the queue already",
		remark: "a RedLock, and a MultiLock whose other member it is, must ask anew to be let in, and is refused",
		see:    "TestFullMemory",
		checks: []check{
			{kinds: []kind{mutex, reentrant, minority}, run: fullMemory},
			{of: "nobody can be let in", kinds: []kind{multi, majority}, run: strike{begin: fill, end: drain, says: []string{"OOM"}, fate: keeps}.run},
		},
	},
	{
		number:    20,
		name:      "a server evicts the lock",
		injection: "maxmemory with volatile-lru and with allkeys-lru, and data until the key is gone",
		asserted:  "the holder is told by its next renewal; the lock is had again under a greater token, though allkeys evicts the counter too",
		remark: "a warning at first use would need CONFIG or INFO, which many users may not run: `relock doctor` warns of a policy " +
			"other than noeviction instead",
		checks: []check{
			{of: "volatile-lru", kinds: every, run: evicts("volatile-lru")},
			{of: "allkeys-lru", kinds: decided[:3], run: evicts("allkeys-lru")},
		},
	},
	{
		number:    21,
		name:      "a client is pointed at a replica",
		injection: "the replica of a primary in the primary's place; the primary becomes one under a holder",
		asserted:  "READONLY, by the end of ctx, reachable by errors.As, never a success; a holder is lost at its deadline",
		see:       "TestAReadOnlyReplica",
		checks: []check{
			{kinds: every, run: strike{begin: demote, end: promote, says: []string{"READONLY"}, fate: losesAtDeadline}.run},
		},
	},
	{
		number:    22,
		name:      "the user may not",
		injection: "ACL SETUSER -@scripting and off, ACL DELUSER, requirepass; a user without channels, or without PUBLISH",
		asserted: "the error is what Redis said (NOPERM, WRONGPASS, NOAUTH), not that the lock is taken; a holder is lost at its deadline; " +
			"a user that is off keeps its connections and its locks; without channels the lock is had by check-ins",
		see: "TestAUserWhoMayNot, TestAUserWithoutChannels, TestAUserWhoMayNotPublishReleases",
		checks: []check{
			{of: "scripts", kinds: every, run: forbidden("NOPERM", "-@scripting")},
			{of: "deleted", kinds: every, run: deletedUser},
			{of: "off", kinds: every, run: userOff},
			{of: "channels", kinds: every, run: withoutChannels},
		},
	},
	{
		number:    23,
		name:      "a server cannot save its data",
		injection: "a failed BGSAVE with save points set: MISCONF",
		asserted:  "every write is refused, PEXPIRE too: the holder is lost at its deadline and not before; the release goes on until it is taken",
		see:       "TestAServerThatCannotSave",
		checks:    []check{{kinds: every, run: strike{begin: failSaves, end: repairSaves, says: []string{"MISCONF"}}.run}},
	},
	{
		number:    24,
		name:      "a server is busy with a script",
		injection: "EVAL 'while true do end'",
		asserted:  "BUSY is waited out: a renewal is tried until the deadline, a Lock until the end of its context",
		see:       "TestAServerThatIsBusy",
		checks: []check{
			{of: "for longer than the TTL", kinds: every, run: strike{begin: occupy, end: free, says: []string{"BUSY"}}.run},
			{of: "for less than the TTL", kinds: decided, run: busyForAWhile},
		},
	},
	{
		number:    25,
		name:      "a server has too many clients",
		injection: "CONFIG SET maxclients 1",
		asserted:  "a client without a connection is told so by the end of ctx; who has one goes on, renewals too",
		see:       "TestAServerWithTooManyClients",
		checks:    []check{{kinds: every, run: tooManyClients}},
	},
}

func clientPause(what string) func(w *world) {
	return func(w *world) { w.command("client", "pause", (3 * short).Milliseconds(), what) }
}

// pauseOver waits for the end of a pause: nothing is executed before it, that
// would end it.
func pauseOver(w *world) {
	w.strike(func(n *node) error {
		return n.server.Client(func(o *redis.Options) { o.ReadTimeout = time.Minute }).Set(bg, "any", "write", time.Minute).Err()
	})
}

func briefPause(w *world) {
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(other.lock()))
	lease := w.hold(holder.lock(relock.WithTTL(long)))
	got := w.waiter(w.soon(), other.lock(relock.WithTTL(long)))
	w.awaitWaiters(1)
	w.command("client", "pause", 400, "write")
	w.unlock(lease)
	w.unlock(w.granted(got, time.Second))
	w.awaitClean()
}

func scriptsFlushed(w *world) {
	a, b := w.behind(), w.behind()
	flush := func() { w.command("script", "flush") }
	for range 3 {
		flush()
		lease := w.hold(a.lock(relock.WithTTL(long)))
		w.wantCount(lease, "1")
		flush()
		if err := lease.Extend(w.soon(), long); err != nil {
			w.Errorf("Extend: %v", err)
		}
		flush()
		got := w.waiter(w.soon(), b.lock(relock.WithTTL(long)))
		w.awaitWaiters(1)
		flush()
		w.unlock(lease)
		flush()
		w.unlock(w.granted(got, long))
		w.awaitClean()
	}
}

func fullMemory(w *world) {
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(other.lock()))
	lease := w.holdEverywhere(holder.lock(relock.WithTTL(long)))
	got := w.waiter(w.soon(), other.lock(relock.WithTTL(told)))
	w.awaitWaiters(1)
	fill(w)
	if !w.kind.outlives {
		w.wantRefused(w.behind(), "OOM")
	}
	w.wantKept(lease)
	w.unlock(lease)
	next := w.granted(got, interval)
	w.wantKept(next)
	w.unlock(next)
	drain(w)
	w.wantFree(w.behind(), 0)
}

func fill(w *world)  { w.command("config", "set", "maxmemory", 1) }
func drain(w *world) { w.command("config", "set", "maxmemory", 0) }

func evicts(policy string) func(w *world) {
	return func(w *world) {
		holder, other := w.behind(), w.behind()
		w.unlock(w.hold(other.lock()))
		lease := w.holdEverywhere(holder.lock(relock.WithTTL(told)))
		w.command("config", "set", "maxmemory-policy", policy)
		w.strike(w.evict)
		start := time.Now()
		w.command("config", "set", "maxmemory", 0)
		if w.kind.outlives {
			w.wantKept(lease)
			w.wantTaken(other)
			w.unlock(lease)
		} else {
			w.wantLostWithin(lease, start, renewal(told))
		}
		w.wantFree(w.behind(), told)
	}
}

// evict writes until the lock's key has been evicted.
func (w *world) evict(n *node) error {
	rdb := n.server.Client()
	used, err := n.server.Info(bg, "memory")
	if err != nil {
		return err
	}
	if err := rdb.ConfigSet(bg, "maxmemory", used["used_memory"]).Err(); err != nil {
		return err
	}
	for i := range 10_000 {
		_ = rdb.Set(bg, fmt.Sprint("filling-", i), make([]byte, 4096), time.Hour).Err() // refused when nothing is left to evict
		if gone, err := rdb.Exists(bg, w.key("lock")).Result(); err != nil || gone == 0 {
			return err
		}
	}
	return errors.New("the lock was not evicted")
}

func demote(w *world)  { w.command("replicaof", "127.0.0.1", 1) }
func promote(w *world) { w.command("replicaof", "no", "one") }

func failSaves(w *world) {
	w.command("config", "set", "save", "3600 100000")
	w.strike(func(n *node) error {
		if err := os.RemoveAll(n.server.Dir()); err != nil {
			return err
		}
		_, _ = n.server.Do(bg, "bgsave")
		w.await("a save fails", func() bool {
			info, err := n.server.Info(bg, "persistence")
			return err == nil && info["rdb_last_bgsave_status"] == "err"
		})
		return nil
	})
}

func repairSaves(w *world) { w.command("config", "set", "save", "") }

func occupy(w *world) {
	w.command("config", "set", "lua-time-limit", 20)
	w.strike(func(n *node) error {
		busy := n.server.Client(func(o *redis.Options) { o.ReadTimeout, o.MaxRetries = time.Minute, -1 })
		go busy.Eval(bg, "while true do end", nil)
		w.await("BUSY", func() bool {
			_, err := n.server.Do(bg, "ping")
			return redis.HasErrorPrefix(err, "BUSY")
		})
		return nil
	})
}

func free(w *world) { w.command("script", "kill") }

func busyForAWhile(w *world) {
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(other.lock()))
	lease := w.hold(holder.lock(relock.WithTTL(told)))
	occupy(w)
	patient := make(chan *relock.Lease, 1)
	go func() {
		another, err := other.another().Lock(w.soon())
		if err != nil {
			w.Errorf("a Lock that could wait: %v", err)
		}
		patient <- another
	}()
	<-time.After(long / 6) // the first renewal falls into it
	free(w)
	if another := <-patient; another != nil {
		w.unlock(another)
	}
	w.wantKept(lease)
	w.unlock(lease)
	w.wantFree(other, 0)
}

func tooManyClients(w *world) {
	holder := w.behind()
	w.unlock(w.hold(holder.lock()))
	lease := w.hold(holder.lock(relock.WithTTL(told)))
	newcomer := w.behind()
	var admins []*redis.Client // connected by then
	w.strike(func(n *node) error {
		admin := n.server.Client(func(o *redis.Options) { o.PoolSize = 1 })
		admins = append(admins, admin)
		return admin.ConfigSet(bg, "maxclients", "1").Err()
	})
	if !w.kind.outlives {
		w.wantRefused(newcomer)
	}
	w.wantKept(lease)
	for _, admin := range admins {
		if err := admin.ConfigSet(bg, "maxclients", "1000").Err(); err != nil {
			w.Fatal(err)
		}
	}
	w.unlock(lease)
	w.wantFree(newcomer, 0)
}
