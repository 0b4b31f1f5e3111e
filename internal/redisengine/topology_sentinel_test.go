package redisengine_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/internal/redistest"
)

func failOver(t *testing.T, s *redistest.Sentinels) *redistest.Server {
	t.Helper()
	s.Data.Primary.Kill()
	next, err := s.AwaitFailover(behaviour.Patience(t), s.Data.Primary)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// inTurn has n clients wait for a lock one behind the other, and returns where
// each sends its number and its lease.
func inTurn(t *testing.T, status *relock.Mutex, clients []*relock.Client) <-chan turn {
	t.Helper()
	turns := make(chan turn, len(clients))
	for i, c := range clients {
		go func() {
			lease, err := c.Mutex(status.Name()).Lock(behaviour.Bg)
			turns <- turn{i, lease, err}
		}()
		behaviour.AwaitWaiters(t, status, i+1)
	}
	return turns
}

type turn struct {
	waiter int
	lease  *relock.Lease
	err    error
}

// nextTurn waits for the next turn, and unlocks for the one after.
func nextTurn(t *testing.T, turns <-chan turn, within time.Duration) (waiter int, token relock.Token) {
	t.Helper()
	select {
	case got := <-turns:
		if got.err != nil {
			t.Fatalf("waiter %d: %v", got.waiter, got.err)
		}
		behaviour.Unlock(t, got.lease)
		return got.waiter, got.lease.Token()
	case <-time.After(within):
		t.Fatalf("nobody got the lock within %v", within)
	}
	return 0, 0
}

// wantTurn is nextTurn, and the i-th waiter's.
func wantTurn(t *testing.T, turns <-chan turn, i int, within time.Duration) relock.Token {
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
	client := func() *relock.Client {
		return behaviour.ClientOn(t, s.FailoverClient(), relock.WithCheckInterval(interval))
	}
	holder := client()
	lease := behaviour.LockOf(t, holder.Mutex("a", relock.WithTTL(9*time.Second))) // longer than the failover takes
	var clients []*relock.Client
	for range waiters {
		clients = append(clients, client())
	}
	turns := inTurn(t, holder.Mutex("a"), clients)
	if err := s.Data.WaitSync(behaviour.Patience(t)); err != nil {
		t.Fatal(err)
	}

	primary := failOver(t, s).Client()
	behaviour.Eventually(t, "every waiter listens on the new primary", func() bool {
		channels, _ := primary.PubSubChannels(behaviour.Bg, relock.DefaultPrefix+":*").Result()
		return len(channels) == waiters
	})
	// One that is slow to come back is passed over in the meantime, and has its
	// place again with its next check-in.
	since := primary.Time(behaviour.Bg).Val().UnixMilli()
	behaviour.Eventually(t, "every waiter has checked in on the new primary", func() bool {
		entries := primary.HVals(behaviour.Bg, redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindWaiters, "a")).Val()
		return len(entries) == waiters && !slices.ContainsFunc(entries, func(entry string) bool {
			seen, _, _ := strings.Cut(entry, " ")
			ms, err := strconv.ParseInt(seen, 10, 64)
			return err != nil || ms < since
		})
	})
	before := lease.ValidUntil()
	behaviour.Eventually(t, "a renewal on the new primary", func() bool { return lease.Err() != nil || lease.ValidUntil().After(before) })
	if err := lease.Err(); err != nil {
		t.Fatalf("the replica has the lock and its holder says %v", err)
	}
	start := time.Now()
	behaviour.Unlock(t, lease)
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
	// A message that is lost, since Sentinel cuts a connection, costs an interval.
	if took := time.Since(start); took > waiters*interval+behaviour.Slack {
		t.Errorf("%d turns took %v: more than their check-ins take", waiters, took)
	}
	behaviour.AwaitClean(t, primary)
}

// The replica that is promoted does not know of the last acquire: two hold the
// lock, and the first is told, refused by the storage, and never outranks the
// second.
func TestAFailoverThatLosesTheLock(t *testing.T) {
	redistest.Slow(t, "an election of sentinels")
	t.Parallel()
	const ttl = 6 * time.Second // longer than the failover takes, so that the deadline tells nobody
	s := redistest.StartSentinelsT(t)
	old := behaviour.ClientOn(t, s.FailoverClient(), relock.WithTTL(ttl))
	behaviour.Unlock(t, behaviour.LockOf(t, old.Mutex("a")))
	if err := s.Data.WaitSync(behaviour.Patience(t)); err != nil {
		t.Fatal(err)
	}
	store := redistest.StartT(t).Client()
	guard := relock.NewGuard(store)

	for i := range s.Data.Replicas {
		if err := s.Data.DetachReplica(behaviour.Bg, i); err != nil {
			t.Fatal(err)
		}
	}
	lease := behaviour.LockOf(t, old.Mutex("a"))
	if err := guard.Set(behaviour.Bg, "data", lease.Sequencer(), "first", 0); err != nil {
		t.Fatal(err)
	}
	failOver(t, s)
	start := time.Now()

	next := behaviour.LockOf(t, behaviour.ClientOn(t, s.FailoverClient()).Mutex("a"))
	if next.Token() <= lease.Token() {
		t.Errorf("token %d after the failover, %d before", next.Token(), lease.Token())
	}
	if err := guard.Claim(behaviour.Bg, "data", next.Sequencer()); err != nil {
		t.Fatal(err)
	}
	if err := guard.Set(behaviour.Bg, "data", lease.Sequencer(), "late", 0); !errors.Is(err, relock.ErrStaleToken) {
		t.Errorf("the overtaken holder's write: got %v, want ErrStaleToken", err)
	}
	if got := store.Get(behaviour.Bg, "data").Val(); got != "first" {
		t.Errorf("the data are %q", got)
	}
	<-lease.Context().Done()
	if took, renew := time.Since(start), ttl/3+ttl/30; took > renew+behaviour.Slack {
		t.Errorf("the first holder was told after %v, want within its renew period of %v", took, renew)
	}
	if cause := context.Cause(lease.Context()); !errors.Is(cause, relock.ErrLost) {
		t.Errorf("got cause %v, want ErrLost", cause)
	}
	if err := next.Err(); err != nil {
		t.Errorf("the second holder's lease says %v", err)
	}
	if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
		t.Errorf("the first holder's Unlock says %v, want ErrLost", err)
	}
	behaviour.Unlock(t, next)
}
