package relock

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/redistest"
)

// patience bounds what a test of a topology waits for.
func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func failOver(t *testing.T, s *redistest.Sentinels) *redistest.Server {
	t.Helper()
	s.Data.Primary.Kill()
	next, err := s.AwaitFailover(patience(t), s.Data.Primary)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// inTurn has n clients wait for a lock one behind the other, and returns where
// each sends its number and its lease.
func inTurn(t *testing.T, status *Mutex, clients []*Client) <-chan turn {
	t.Helper()
	turns := make(chan turn, len(clients))
	for i, c := range clients {
		go func() {
			lease, err := c.Mutex(status.Name()).Lock(bg)
			turns <- turn{i, lease, err}
		}()
		awaitWaiters(t, status, i+1)
	}
	return turns
}

type turn struct {
	waiter int
	lease  *Lease
	err    error
}

// nextTurn waits for the next turn, and unlocks for the one after.
func nextTurn(t *testing.T, turns <-chan turn, within time.Duration) (waiter int, token Token) {
	t.Helper()
	select {
	case got := <-turns:
		if got.err != nil {
			t.Fatalf("waiter %d: %v", got.waiter, got.err)
		}
		unlock(t, got.lease)
		return got.waiter, got.lease.Token()
	case <-time.After(within):
		t.Fatalf("nobody got the lock within %v", within)
	}
	return 0, 0
}

// wantTurn is nextTurn, and the i-th waiter's.
func wantTurn(t *testing.T, turns <-chan turn, i int, within time.Duration) Token {
	t.Helper()
	waiter, token := nextTurn(t, turns, within)
	if waiter != i {
		t.Errorf("waiter %d has the lock, want waiter %d", waiter, i)
	}
	return token
}

func TestAHolderAndItsWaitersOutliveAFailover(t *testing.T) {
	redistest.Slow(t, "an election of sentinels")
	t.Parallel()
	const interval, waiters = 3 * time.Second, 3
	s := redistest.StartSentinelsT(t)
	client := func() *Client { return clientOn(t, s.FailoverClient(), WithCheckInterval(interval)) }
	holder := client()
	lease := lockOf(t, holder.Mutex("a", WithTTL(9*time.Second))) // longer than the failover takes
	var clients []*Client
	for range waiters {
		clients = append(clients, client())
	}
	turns := inTurn(t, holder.Mutex("a"), clients)
	if err := s.Data.WaitSync(patience(t)); err != nil {
		t.Fatal(err)
	}

	primary := failOver(t, s).Client()
	eventually(t, "every waiter listens on the new primary", func() bool {
		channels, _ := primary.PubSubChannels(bg, DefaultPrefix+":*").Result()
		return len(channels) == waiters
	})
	// One that is slow to come back is passed over in the meantime, and has its
	// place again with its next check-in.
	since := primary.Time(bg).Val().UnixMilli()
	eventually(t, "every waiter has checked in on the new primary", func() bool {
		entries := primary.HVals(bg, keyOf(DefaultPrefix, kindWaiters, "a")).Val()
		return len(entries) == waiters && !slices.ContainsFunc(entries, func(entry string) bool {
			seen, _, _ := strings.Cut(entry, " ")
			ms, err := strconv.ParseInt(seen, 10, 64)
			return err != nil || ms < since
		})
	})
	before := lease.ValidUntil()
	eventually(t, "a renewal on the new primary", func() bool { return lease.Err() != nil || lease.ValidUntil().After(before) })
	if err := lease.Err(); err != nil {
		t.Fatalf("the replica has the lock and its holder says %v", err)
	}
	start := time.Now()
	unlock(t, lease)
	// In their order, but for one whose connection Sentinel cuts once more just
	// now: it is passed over, and keeps its place.
	last := lease.Token()
	had := map[int]bool{}
	for range waiters {
		waiter, token := nextTurn(t, turns, 10*time.Second)
		if token <= last {
			t.Errorf("token %d after %d", token, last)
		}
		last, had[waiter] = token, true
	}
	if len(had) != waiters {
		t.Errorf("%v had the lock, want %d waiters", had, waiters)
	}
	if took := time.Since(start); took > 2*interval {
		t.Errorf("%d turns took %v: messages are not heard", waiters, took)
	}
	awaitClean(t, primary)
}

// The replica that is promoted does not know of the last acquire: two hold the
// lock, and the first is told, refused by the storage, and never outranks the
// second.
func TestAFailoverThatLosesTheLock(t *testing.T) {
	redistest.Slow(t, "an election of sentinels")
	t.Parallel()
	const ttl = 6 * time.Second // longer than the failover takes, so that the deadline tells nobody
	s := redistest.StartSentinelsT(t)
	old := clientOn(t, s.FailoverClient(), WithTTL(ttl))
	unlock(t, lockOf(t, old.Mutex("a")))
	if err := s.Data.WaitSync(patience(t)); err != nil {
		t.Fatal(err)
	}
	store := redistest.StartT(t).Client()
	guard := NewGuard(store)

	for i := range s.Data.Replicas {
		if err := s.Data.DetachReplica(bg, i); err != nil {
			t.Fatal(err)
		}
	}
	lease := lockOf(t, old.Mutex("a"))
	if err := guard.Set(bg, "data", lease.Sequencer(), "first", 0); err != nil {
		t.Fatal(err)
	}
	failOver(t, s)
	start := time.Now()

	next := lockOf(t, clientOn(t, s.FailoverClient()).Mutex("a"))
	if next.Token() <= lease.Token() {
		t.Errorf("token %d after the failover, %d before", next.Token(), lease.Token())
	}
	if err := guard.Claim(bg, "data", next.Sequencer()); err != nil {
		t.Fatal(err)
	}
	if err := guard.Set(bg, "data", lease.Sequencer(), "late", 0); !errors.Is(err, ErrStaleToken) {
		t.Errorf("the overtaken holder's write: got %v, want ErrStaleToken", err)
	}
	if got := store.Get(bg, "data").Val(); got != "first" {
		t.Errorf("the data are %q", got)
	}
	<-lease.Context().Done()
	if took, renew := time.Since(start), ttl/3+ttl/30; took > renew+slack {
		t.Errorf("the first holder was told after %v, want within its renew period of %v", took, renew)
	}
	if cause := context.Cause(lease.Context()); !errors.Is(cause, ErrLost) {
		t.Errorf("got cause %v, want ErrLost", cause)
	}
	if err := next.Err(); err != nil {
		t.Errorf("the second holder's lease says %v", err)
	}
	if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
		t.Errorf("the first holder's Unlock says %v, want ErrLost", err)
	}
	unlock(t, next)
}
