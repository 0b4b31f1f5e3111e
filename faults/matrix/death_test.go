package matrix

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// A server that dies, stops, or comes back with old data.

var serverDeath = []fault{
	{
		number:    1,
		name:      "a server without persistence dies",
		injection: "SIGKILL; restart with no data",
		asserted: "the holder is told by its next renewal, Unlock returns ErrLost; the lock is had again once the server is back, under a " +
			"greater token; a RedLock gives a node that came back empty no vote: with a majority of them nothing is had until the " +
			"node ids are deleted on all, with a minority the lease lives on",
		see:    "TestTokensRiseThoughTheServerForgets, TestAServerThatIsDown",
		checks: []check{{kinds: []kind{mutex, reentrant, multi}, run: comesBackEmpty}, {kinds: []kind{majority, minority}, run: nodesComeBackEmpty}},
	},
	{
		number:    2,
		name:      "a server with an append-only file dies",
		injection: "SIGKILL under appendfsync always and everysec; restart",
		asserted: "with always the lock survives with its token, a RedLock even the death of all its nodes; with everysec it survives, or the " +
			"holder is told by its next renewal and the token rises; a TTL goes on while the server is down",
		remark: "everysec is no promise even without a power failure: while an fsync is under way Redis puts off the write for up to two " +
			"seconds and replies all the same",
		checks: []check{
			{of: "appendfsync always", kinds: every, args: appendOnly("always"), run: outlivesRestart},
			{of: "appendfsync everysec", kinds: []kind{mutex, reentrant, multi, minority}, args: appendOnly("everysec"), run: mayOutliveRestart},
			{of: "the holder is gone", kinds: decided, args: appendOnly("always"), run: expiresWhileDown},
		},
	},
	{
		number:    3,
		name:      "a server is restored from an older copy",
		injection: "the data folder is copied; more locks are had; SIGKILL; the server starts on the copy",
		asserted:  "tokens rise all the same, by the server's clock; a Guard elsewhere refuses the holder from before",
		remark:    "a RedLock's proof wants nodes that remember (2Q - n >= k + 1): here too its tokens rise by the clock",
		checks:    []check{{kinds: every, args: appendOnly("always"), run: restored}},
	},
	{
		number:    4,
		name:      "a server stops and goes on",
		injection: "SIGSTOP, SIGCONT",
		asserted: "the holder is lost at its deadline; a Lock that gave up meanwhile, and is executed when the server goes on, " +
			"leaves nothing, or for its TTL at most",
		see: "TestACancelledLockReturnsThoughTheServerHangs, TestHungNodesLeaveNoOrphan",
		checks: []check{
			{of: "for longer than the TTL", kinds: every, run: strike{begin: pause, end: resume}.run},
			{of: "for less than the TTL", kinds: every, run: briefStop},
		},
	},
}

func appendOnly(fsync string) []string {
	return []string{"--appendonly", "yes", "--appendfsync", fsync}
}

func pause(w *world) {
	w.Helper()
	w.strike(func(n *node) error { return n.server.Pause() })
}

func resume(w *world) {
	w.Helper()
	w.strike(func(n *node) error { return n.server.Resume() })
}

func kill(w *world) { w.strike(func(n *node) error { n.server.Kill(); return nil }) }

func restart(w *world) {
	w.Helper()
	w.strike(func(n *node) error { return n.server.Restart(w.soon()) })
}

func comesBackEmpty(w *world) {
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(other.lock()))
	lease := w.holdEverywhere(holder.lock(relock.WithTTL(told)))
	kill(w)
	w.wantRefused(other)
	restart(w)
	w.wantLostWithin(lease, time.Now(), renewal(told))
	w.wantFree(other, told)
	w.wantFree(w.behind(), 0) // one that has seen no token
}

func nodesComeBackEmpty(w *world) {
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(other.lock()))
	lease := w.holdEverywhere(holder.lock(relock.WithTTL(told)))
	kill(w)
	restart(w)
	if w.kind.outlives {
		w.wantKept(lease)
		w.wantTaken(other)
		w.wantTaken(w.behind())
		w.unlock(lease)
		w.wantFree(other, 0)
		return
	}
	w.wantLostWithin(lease, time.Now(), renewal(told))
	for _, p := range []*process{other, w.behind()} {
		_, err := p.another().TryLock(w.soon())
		var quorum *relock.QuorumError
		if !errors.As(err, &quorum) {
			w.Errorf("with a majority of nodes that have forgotten: got %v, want a QuorumError", err)
		}
	}
	for _, n := range w.nodes { // a new list, as the documentation says
		n.server.Client().Del(bg, "relock:rednode")
	}
	w.wantFree(w.behind(), told)
}

func outlivesRestart(w *world) {
	hit := w.kind.nodes // a RedLock survives the death of all
	if w.kind.nodes == 2 {
		hit = w.kind.hit
	}
	w.kind.hit = hit
	holder, other := w.behind(), w.behind()
	lease := w.holdEverywhere(holder.lock(relock.WithTTL(long)))
	kill(w)
	restart(w)
	w.wantTaken(other)
	w.wantKept(lease)
	w.unlock(lease)
	w.wantFree(other, 0)
}

func mayOutliveRestart(w *world) {
	holder, other := w.behind(), w.behind()
	lease := w.holdEverywhere(holder.lock(relock.WithTTL(told)))
	kill(w)
	restart(w)
	start, before := time.Now(), lease.ValidUntil()
	w.await("a renewal, or the loss", func() bool { return lease.Err() != nil || lease.ValidUntil().After(before) })
	if lease.Err() != nil && !w.kind.outlives {
		w.wantLostWithin(lease, start, renewal(told))
	} else {
		w.wantTaken(other)
		w.unlock(lease)
	}
	w.wantFree(other, 0)
}

func expiresWhileDown(w *world) {
	lease := w.hold(w.behind().lock(relock.WithLease(short)))
	kill(w)
	w.wantLostAtDeadline(lease)
	<-time.After(short / 10) // the server's own end: drift, and the way there
	restart(w)
	fresh, err := w.beside().lock().TryLock(w.soon())
	if err != nil {
		w.Fatalf("the time that the server was down does not count: %v", err)
	}
	w.wantRisen(fresh)
	w.unlock(fresh)
}

func restored(w *world) {
	old := w.behind()
	w.unlock(w.holdEverywhere(old.lock()))
	w.awaitClean()
	copies := w.TempDir()
	for i, n := range w.struck() {
		if err := os.CopyFS(filepath.Join(copies, string(rune('a'+i))), os.DirFS(n.server.Dir())); err != nil {
			w.Fatal(err)
		}
	}
	guard, key := relock.NewGuard(redistest.StartT(w.T).Client()), "data"
	for range 3 {
		w.unlock(w.hold(old.lock()))
	}
	lease := w.holdEverywhere(old.lock(relock.WithTTL(told)))
	early := sequencer(lease)
	w.want(guard.Claim(bg, key, early), nil)
	kill(w)
	for i, n := range w.struck() {
		if err := os.RemoveAll(n.server.Dir()); err != nil {
			w.Fatal(err)
		}
		if err := os.CopyFS(n.server.Dir(), os.DirFS(filepath.Join(copies, string(rune('a'+i))))); err != nil {
			w.Fatal(err)
		}
	}
	restart(w)
	start := time.Now()
	if w.kind.outlives {
		w.unlock(lease)
	}
	p := w.behind() // has seen nothing
	next := w.hold(p.lock(relock.WithTTL(long)))
	w.want(guard.Claim(bg, key, sequencer(next)), nil)
	w.want(guard.Set(bg, key, early, "late", 0), relock.ErrStaleToken)
	w.want(guard.Set(bg, key, sequencer(next), "timely", 0), nil)
	w.unlock(next)
	if !w.kind.outlives {
		w.wantLostWithin(lease, start, renewal(told))
	}
}

// sequencer is that of a lease, or of its last member: the struck node's.
func sequencer(l *relock.Lease) relock.Sequencer {
	for _, m := range l.Members() {
		l = m
	}
	return l.Sequencer()
}

func briefStop(w *world) {
	holder, other := w.behind(), w.behind()
	w.unlock(w.hold(other.lock()))
	lease := w.hold(holder.lock(relock.WithTTL(long)))
	pause(w)
	if !w.kind.outlives {
		w.wantRefused(other) // what it sent is executed when the server goes on
	}
	resume(w)
	w.wantKept(lease)
	w.wantTaken(other)
	w.unlock(lease)
	w.wantFree(other, 0)
}
