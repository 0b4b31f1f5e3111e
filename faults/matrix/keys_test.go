package matrix

import (
	"errors"
	"time"

	"github.com/relock-go/relock"
)

// What others do to the keys of a lock, and what becomes of its counter.

var keysAndCounters = []fault{
	{
		number:    30,
		name:      "somebody deletes, renames or persists the lock's key",
		injection: "DEL, RENAME, PEXPIRE 1, PERSIST on the key of a held lock",
		asserted: "the holder is told by its next renewal, and nothing creates the key again; a key without a TTL has one again with " +
			"the next renewal",
		see: "TestAKeyThatIsTakenAway, TestAKeyWithoutTTLIsRepairedByTheNextRenewal, TestAKeyWithoutTTLIsNotSpunOn",
		checks: []check{
			{of: "DEL", kinds: every, run: strike{begin: onTheKey("del"), end: nothing, fate: losesAtRenewal, open: true}.run},
			{of: "RENAME", kinds: every, run: strike{begin: onTheKey("rename", "elsewhere"), end: nothing, fate: losesAtRenewal, open: true}.run},
			{of: "PEXPIRE", kinds: every, run: strike{begin: onTheKey("pexpire", 1), end: nothing, fate: losesAtRenewal, open: true}.run},
			{of: "PERSIST", kinds: every, run: persisted},
		},
	},
	{
		number:    31,
		name:      "the lock's key is something else",
		injection: "SET and HSET on the key of a lock, an RPUSH on its fence",
		asserted:  "ErrWrongType, reachable through a QuorumError too, at once; the key is left as it is",
		see:       "TestWhatIsNotOursIsLeftAlone",
		checks: []check{
			{of: "a string", kinds: every, run: foreign("lock", "set", "x")},
			{of: "a hash", kinds: every, run: foreign("lock", "hset", "field", "x")},
			{of: "a list for the fence", kinds: []kind{mutex, reentrant, multi}, run: foreign("fence", "rpush", "x")},
		},
	},
	{
		number:    32,
		name:      "the counter is lost",
		injection: "DEL of the fence; FLUSHALL while the lock is free, and under its holder",
		asserted:  "the next token is greater, from a process that has seen the last and from one that has not; a holder is told by its next renewal",
		remark: "FLUSHALL on a majority of a RedLock's nodes takes their ids as well: it is refused until the ids are deleted on all, as in " +
			"fault 1. On a node eviction of the counter is fault 20",
		see: "TestTokensRiseThoughTheServerForgets",
		checks: []check{
			{of: "DEL", kinds: every, run: fenceDeleted},
			{of: "FLUSHALL", kinds: []kind{mutex, reentrant, multi, minority}, run: flushed},
		},
	},
	{
		number:    33,
		name:      "the counter is near its end",
		injection: "SET of the fence to 2^53 - 1, 2^63 - 1 and beyond",
		asserted: "a token is never rounded: the lock is refused before 2^53, with an error that says so, and nothing is left; it is had " +
			"again once the fence was deleted",
		remark: "a RedLock that cannot agree on a token says so when its context ends: another attempt might",
		checks: []check{
			{of: "2^53 - 1", kinds: every, run: exhausted("9007199254740991")},
			{of: "2^63 - 1", kinds: every, run: exhausted("9223372036854775807")},
			{of: "20 digits", kinds: every, run: exhausted("99999999999999999999")},
		},
	},
}

func nothing(*world) {}

// onTheKey sends a command about the lock's key.
func onTheKey(command string, args ...any) func(w *world) {
	return func(w *world) {
		w.command(append([]any{command, w.key("lock")}, args...)...)
		for _, n := range w.struck() {
			w.await("the key is gone", func() bool { return n.server.Client().Exists(bg, w.key("lock")).Val() == 0 })
		}
	}
}

func persisted(w *world) {
	lease := w.hold(w.behind().lock(relock.WithTTL(told)))
	w.command("persist", w.key("lock"))
	for _, n := range w.struck() {
		rdb := n.server.Client()
		w.await("the key has a TTL again", func() bool { return rdb.PTTL(bg, w.key("lock")).Val() > 0 })
	}
	w.wantKept(lease)
	w.unlock(lease)
	w.wantFree(w.behind(), 0)
}

func foreign(kind string, command string, args ...any) func(w *world) {
	return func(w *world) {
		p := w.behind()
		w.unlock(w.hold(p.another()))
		w.command(append([]any{command, w.key(kind)}, args...)...)
		rdb := w.struck()[0].server.Client()
		before := rdb.Dump(bg, w.key(kind)).Val()
		for _, l := range []relock.Locker{p.lock(), w.behind().lock()} {
			if w.kind.outlives {
				w.unlock(w.hold(l))
				continue
			}
			start := time.Now()
			_, err := l.Lock(w.within(10 * time.Second))
			w.want(err, relock.ErrWrongType)
			if took := time.Since(start); took > call+slack {
				w.Errorf("Lock took %v to say so", took)
			}
		}
		if rdb.Dump(bg, w.key(kind)).Val() != before || rdb.PTTL(bg, w.key(kind)).Val() != -1 {
			w.Error("the key was changed")
		}
		w.command("del", w.key(kind))
		w.wantFree(p, 0)
	}
}

func fenceDeleted(w *world) {
	p := w.behind()
	for _, next := range []*process{p, w.behind(), p} {
		w.unlock(w.hold(next.lock()))
		w.awaitClean()
		w.command("del", w.key("fence"))
	}
	w.wantFree(w.behind(), 0)
}

func flushed(w *world) {
	p := w.behind()
	w.unlock(w.hold(p.lock()))
	w.awaitClean()
	w.command("flushall")
	lease := w.hold(w.behind().lock(relock.WithTTL(told)))
	w.command("flushall")
	start := time.Now()
	if w.kind.outlives {
		w.wantKept(lease)
		w.wantTaken(p)
		w.unlock(lease)
	} else {
		next := w.hold(w.behind().lock(relock.WithTTL(long)))
		w.wantLostWithin(lease, start, renewal(told))
		w.unlock(next)
	}
	w.wantFree(w.behind(), 0)
}

func exhausted(value string) func(w *world) {
	return func(w *world) {
		p := w.behind()
		w.unlock(w.hold(p.another()))
		w.command("set", w.key("fence"), value)
		if w.kind.outlives {
			lease := w.hold(p.lock())
			w.wantExact(lease)
			w.unlock(lease)
		} else {
			lease, err := p.lock().Lock(w.within(time.Second))
			if lease != nil || err == nil {
				w.Fatalf("had the lock under token %d", lease.Token())
			}
			if errors.Is(err, relock.ErrNotAcquired) {
				w.Errorf("got %v, and nobody said that the lock is taken", err)
			}
		}
		w.awaitClean()
		w.command("del", w.key("fence"))
		lease := w.hold(p.lock())
		w.wantExact(lease)
		w.unlock(lease)
	}
}

// wantExact checks that a double can hold the tokens.
func (w *world) wantExact(lease *relock.Lease) {
	w.Helper()
	for _, token := range tokens(lease) {
		if token <= 0 || token >= 1<<53 {
			w.Errorf("token %d is not below 2^53", token)
		}
	}
}
