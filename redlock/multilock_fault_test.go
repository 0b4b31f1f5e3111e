package redlock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/redlock"
)

// pairLock returns a MultiLock of one name on two servers: their ids must be
// asked before it has an order.
func pairLock(t *testing.T, r *rig, name string) *redlock.MultiLock {
	t.Helper()
	cs := clients(t, r.addrs(), relock.WithCallTimeout(200*time.Millisecond))
	m, err := redlock.NewMultiLock(cs[0].Mutex(name), cs[1].Mutex(name))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Lock waits for a server that is down at its first use, as its members' would.
func TestAMultiLockWaitsForAServerThatIsDownAtFirst(t *testing.T) {
	r := newRig(t, 2)
	m := pairLock(t, r, "x")
	r.servers[0].Kill()
	got := make(chan error, 1)
	go func() {
		lease, err := m.Lock(within(t, 20*time.Second))
		if err == nil {
			err = lease.Unlock(bg)
		}
		got <- err
	}()
	select { // several call timeouts
	case err := <-got:
		t.Fatalf("Lock did not wait: %v", err)
	case <-time.After(time.Second):
	}
	if err := r.servers[0].Restart(bg); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Errorf("Lock: %v", err)
	}
	awaitClean(t, r.direct...)
}

// What a server says all the time is in the error of a Lock that gives up.
func TestAMultiLockSaysWhatItsServersSaid(t *testing.T) {
	r := newRig(t, 2)
	if err := r.direct[0].Do(bg, "replicaof", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for _, known := range []bool{false, true} {
		m := pairLock(t, r, "x")
		if known {
			r.direct[0].Do(bg, "replicaof", "no", "one")
			unlock(t, lock(t, m))
			r.direct[0].Do(bg, "replicaof", "127.0.0.1", "1")
		}
		// The sooner it gives up the more likely it has heard nothing yet.
		var err error
		for d := 50 * time.Millisecond; d < 20*time.Second; d *= 2 {
			if _, err = m.Lock(within(t, d)); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("order known %v, within %v: got %v, want the deadline", known, d, err)
			}
			if redis.HasErrorPrefix(err, "READONLY") {
				break
			}
		}
		if !redis.HasErrorPrefix(err, "READONLY") {
			t.Errorf("order known %v: got %v, want READONLY as well", known, err)
		}
	}
}
