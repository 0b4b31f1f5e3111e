package redlock_test

import (
	"testing"
	"time"

	"github.com/relock-go/relock"
)

// Where the nodes take no SUBSCRIBE waiters ask often, long before the check
// interval is over.
func TestNodesThatTakeNoSubscribe(t *testing.T) {
	r := newRig(t, 3, "--rename-command", "SUBSCRIBE", "")
	const ttl = 5 * time.Minute
	holder := redLock(t, r.addrs()).Mutex("a")
	waiter := redLockOf(t, clients(t, r.addrs(), relock.WithCheckInterval(time.Minute), relock.WithTTL(ttl))).Mutex("a", relock.WithTTL(ttl))
	lease := lock(t, holder)
	got := make(chan *relock.Lease, 1)
	go func() { got <- lock(t, waiter) }()
	eventually(t, "it waits", func() bool {
		st, err := holder.Status(bg)
		return err == nil && st.Waiters > 0
	})
	unlock(t, lease)
	unlock(t, <-got)
	awaitClean(t, r.direct...)
}
