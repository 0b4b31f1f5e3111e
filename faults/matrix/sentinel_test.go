package matrix

import (
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// together stands for the kinds of one deployment, on which a fault is injected
// once for all of them.
var together = kind{name: "Mutex, Reentrant and MultiLock", nodes: 1, hit: 1}

// siblings are worlds of these kinds on the nodes of w, with locks in one slot.
func (w *world) siblings() (all []*world) {
	for _, k := range plain {
		s := *w
		s.kind, s.name = k, "{"+w.name+"}-"+k.name
		all = append(all, &s)
	}
	return all
}

func sentinels(t *testing.T, k kind) *world {
	t.Helper()
	w := emptyWorld(t, k)
	w.sentinels = redistest.StartSentinelsT(t)
	w.nodes = []*node{{server: w.sentinels.Data.Primary, connect: func(bool) relock.Redis { return w.sentinels.FailoverClient() }}}
	return w
}

// A pair is a lock that is held and waited for.
type pair struct {
	*world
	lease *relock.Lease
	got   <-chan *relock.Lease
	other *process
}

func (w *world) pairs(ttl time.Duration, waited bool) (all []*pair) {
	for _, s := range w.siblings() {
		holder := s.behind()
		s.unlock(s.hold(holder.lock()))
		p := &pair{world: s, lease: s.hold(holder.lock(relock.WithTTL(ttl))), other: s.behind()}
		if waited {
			p.got = s.waiter(s.soon(), p.other.lock(relock.WithTTL(long)))
			s.awaitWaiters(1)
		}
		all = append(all, p)
	}
	return all
}

// failOver kills the primary and waits for the next.
func (w *world) failOver() {
	w.Helper()
	w.sentinels.Data.Primary.Kill()
	next, err := w.sentinels.AwaitFailover(w.soon(), w.sentinels.Data.Primary)
	if err != nil {
		w.Fatal(err)
	}
	w.nodes[0].server = next
}

// outage is longer than a failover takes, so that no lease ends by its deadline.
const outage = 12 * time.Second

func sentinelFailover(w *world) {
	pairs := w.pairs(outage, true)
	if err := w.sentinels.Data.WaitSync(w.soon()); err != nil {
		w.Fatal(err)
	}
	w.failOver()
	for _, p := range pairs {
		p.passedOn()
	}
}

// passedOn checks that the holder is renewed where the lock is now, and that its
// waiter has its turn.
func (p *pair) passedOn() {
	p.Helper()
	p.wantKept(p.lease)
	p.unlock(p.lease)
	next := p.granted(p.got, interval+2*time.Second) // a waiter that is connecting anew hears no message
	p.wantKept(next)
	p.unlock(next)
	p.awaitClean()
}

func lossySentinelFailover(w *world) {
	for _, s := range w.siblings()[:1] { // the scripts, and the way to the primary
		s.unlock(s.hold(s.behind().lock()))
	}
	for i := range w.sentinels.Data.Replicas {
		if err := w.sentinels.Data.DetachReplica(bg, i); err != nil {
			w.Fatal(err)
		}
	}
	const ttl = outage / 2
	pairs := w.pairs(ttl, false)
	w.failOver()
	start := time.Now()
	for _, p := range pairs {
		next := p.hold(p.other.lock(relock.WithTTL(long)))
		p.wantLostWithin(p.lease, start, renewal(ttl))
		p.unlock(next)
	}
}
