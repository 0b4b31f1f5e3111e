package redlock_test

import (
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/redlock"
)

// A detached lock on a quorum has its votes to their end, and the process keeps
// nothing of it.
func TestADetachedQuorumStaysToItsEnd(t *testing.T) {
	r := newRig(t, 3)
	all := redLock(t, r.addrs())
	other := redLock(t, r.addrs())
	unlock(t, lock(t, all.Mutex("a"))) // all nodes are known
	const length = 2 * time.Second
	start := time.Now()
	lease := lock(t, all.Mutex("a", relock.WithLease(length)))
	eventually(t, "all nodes have voted", func() bool { return len(orphans(t, r.direct...)) == 3 })
	if err := lease.Detach(); err != nil {
		t.Fatal(err)
	}
	if st := all.Stats(); st.Detached != 1 || st.Held != 0 {
		t.Errorf("got %+v", st)
	}
	if err := all.Close(); err != nil {
		t.Error(err)
	}
	if _, err := other.Mutex("a").TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) && time.Since(start) < length {
		t.Errorf("another's TryLock says %v, want ErrNotAcquired", err)
	}
	next := lock(t, other.Mutex("a"))
	if took := time.Since(start); took < length {
		t.Errorf("another had it after %v, want no earlier than after %v", took, length)
	}
	unlock(t, next)
}

// Where a request for a vote may be under way the node is told to refuse it; the
// votes that are there stay.
func TestALateVoteForADetachedQuorumIsRefused(t *testing.T) {
	r := newRig(t, 3)
	addrs, proxies := r.between(t, 2)
	all := redLockOf(t, clients(t, addrs, relock.WithCallTimeout(300*time.Millisecond)), redlock.WithNodeTimeout(100*time.Millisecond))
	unlock(t, lock(t, all.Mutex("a")))
	awaitClean(t, r.direct...)
	late := proxies[0].Hold(faultproxy.Word("relock:redlock:{a}"), 1)
	lease := lock(t, all.Mutex("a", relock.WithLease(time.Minute)))
	<-late.Arrived()
	if err := lease.Detach(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the late vote is refused", func() bool {
		return r.direct[2].Exists(bg, "relock:redtombstones:{a}").Val() == 1
	})
	late.Release()
	if err := late.Delivered(bg); err != nil {
		t.Fatal(err)
	}
	if left := orphans(t, r.direct[2]); len(left) > 0 {
		t.Errorf("a late vote left %q", left)
	}
	if left := orphans(t, r.direct[:2]...); len(left) != 2 {
		t.Errorf("got %q on the two nodes that voted, want the lock on each", left)
	}
}
