package redisengine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redisengine"
)

// What others do to the keys of a lock.

// Somebody else takes the key from under its holder: the next renewal tells.
func TestAKeyThatIsTakenAway(t *testing.T) {
	t.Parallel()
	const ttl = 900 * time.Millisecond
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	key := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, "a")
	for _, admin := range []struct {
		name string
		does func() error
	}{
		{"deleted", func() error { return r.Direct.Del(behaviour.Bg, key).Err() }},
		{"renamed", func() error { return r.Direct.Rename(behaviour.Bg, key, "elsewhere").Err() }},
		{"expired", func() error { return r.Direct.PExpire(behaviour.Bg, key, time.Millisecond).Err() }},
	} {
		t.Run(admin.name, func(t *testing.T) {
			lease := behaviour.LockOf(t, c.Mutex("a", relock.WithTTL(ttl)))
			if err := admin.does(); err != nil {
				t.Fatal(err)
			}
			<-lease.Context().Done() // how soon is told in virtual time
			if !errors.Is(lease.Err(), relock.ErrLost) {
				t.Errorf("got %v, want ErrLost", lease.Err())
			}
			behaviour.ResetStats(t, r.Direct)
			for range 3 { // what would renew or release again
				<-time.After(ttl / 6)
				if exists(t, r.Direct, key) {
					t.Fatal("the key was created again")
				}
			}
			if n := behaviour.Calls(t, r.Direct, "evalsha", "eval"); n > 2 {
				t.Errorf("%d scripts were run for a lease that is lost", n)
			}
			if err := lease.Unlock(behaviour.Bg); !errors.Is(err, relock.ErrLost) {
				t.Errorf("Unlock says %v, want ErrLost", err)
			}
		})
	}
}

func TestAKeyWithoutTTLIsRepairedByTheNextRenewal(t *testing.T) {
	const ttl = 900 * time.Millisecond
	r := behaviour.NewRig(t)
	key := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, "a")
	lease := behaviour.LockOf(t, r.Client(t, false).Mutex("a", relock.WithTTL(ttl)))
	if err := r.Direct.Persist(behaviour.Bg, key).Err(); err != nil {
		t.Fatal(err)
	}
	behaviour.Eventually(t, "the key has a TTL again", func() bool { return r.Direct.PTTL(behaviour.Bg, key).Val() > 0 })
	if err := lease.Err(); err != nil {
		t.Errorf("the lease says %v", err)
	}
	behaviour.Unlock(t, lease)
	behaviour.AwaitClean(t, r.Direct)
}

// A dead holder's key without TTL ends with its hold, and a waiter does not ask
// faster because of it.
func TestAKeyWithoutTTLIsNotSpunOn(t *testing.T) {
	t.Parallel()
	const ttl, interval = 900 * time.Millisecond, 300 * time.Millisecond
	r := behaviour.NewRig(t)
	key := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindLock, "a")
	dead := r.Client(t, true, relock.WithCallTimeout(200*time.Millisecond)) // bounds its Close
	lease := behaviour.LockOf(t, dead.Mutex("a", relock.WithLease(ttl)))
	if err := r.Direct.Persist(behaviour.Bg, key).Err(); err != nil {
		t.Fatal(err)
	}
	r.Proxy.Cut(faultproxy.Refuse)
	behaviour.ResetStats(t, r.Direct)
	start := time.Now()
	next := behaviour.LockOf(t, r.Client(t, false, relock.WithCheckInterval(interval)).Mutex("a"))
	if took := time.Since(start); took > ttl+behaviour.Slack {
		t.Errorf("had the lock after %v, want when the hold ends, within %v", took, ttl)
	}
	if n, most := behaviour.Calls(t, r.Direct, "evalsha", "eval"), int64(ttl/interval+6); n > most {
		t.Errorf("%d scripts were run by one waiter in %v, want at most %d", n, ttl, most)
	}
	if next.Token() <= lease.Token() {
		t.Errorf("token %d after %d", next.Token(), lease.Token())
	}
	behaviour.Unlock(t, next)
}

// Only who waits needs the key of the waiters.
func TestWhatIsNotOursForTheWaiters(t *testing.T) {
	r := behaviour.NewRig(t)
	key := redisengine.KeyOf(relock.DefaultPrefix, redisengine.KindWaiters, "a")
	r.Direct.Set(behaviour.Bg, key, "x", 0)
	holder, waiter := r.Client(t, false), r.Client(t, false)
	lease := behaviour.LockOf(t, holder.Mutex("a"))
	if _, err := waiter.Mutex("a").Lock(behaviour.Patience(t)); !errors.Is(err, relock.ErrWrongType) {
		t.Errorf("one that is to wait: got %v, want ErrWrongType", err)
	}
	behaviour.Unlock(t, lease)
	if left := behaviour.KeysLeft(t, r.Direct); len(left) != 1 || left[0] != key || r.Direct.Get(behaviour.Bg, key).Val() != "x" {
		t.Errorf("left %q, want the foreign key as it was", left)
	}
}

func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	for _, foreign := range []struct {
		name, kind string
		make       func(key string) error
	}{
		{"a string for the lock", redisengine.KindLock, func(key string) error { return r.Direct.Set(behaviour.Bg, key, "x", 0).Err() }},
		{"a hash of an admin's for the lock", redisengine.KindLock, func(key string) error { return r.Direct.HSet(behaviour.Bg, key, "f", "x").Err() }},
		{"a list for the fence", redisengine.KindFence, func(key string) error { return r.Direct.RPush(behaviour.Bg, key, "x").Err() }},
		{"text for the fence", redisengine.KindFence, func(key string) error { return r.Direct.Set(behaviour.Bg, key, "x", 0).Err() }},
		{"a string for the queue", redisengine.KindQueue, func(key string) error { return r.Direct.Set(behaviour.Bg, key, "x", 0).Err() }},
		{"a string for the tombstones", redisengine.KindTombstones, func(key string) error { return r.Direct.Set(behaviour.Bg, key, "x", 0).Err() }},
	} {
		t.Run(foreign.name, func(t *testing.T) {
			name := foreign.name
			key := redisengine.KeyOf(relock.DefaultPrefix, foreign.kind, name)
			if err := foreign.make(key); err != nil {
				t.Fatal(err)
			}
			before := r.Direct.Dump(behaviour.Bg, key).Val()
			behaviour.ResetStats(t, r.Direct)
			m := c.Mutex(name)
			for call, do := range map[string]func(context.Context) error{"Lock": behaviour.LockCall(m), "TryLock": behaviour.TryCall(m)} {
				err := wantByDeadline(t, call, 10*time.Second, do)
				if !errors.Is(err, relock.ErrWrongType) {
					t.Errorf("%s: got %v, want ErrWrongType", call, err)
				}
			}
			if foreign.kind == redisengine.KindLock {
				if _, err := m.Status(behaviour.Bg); !errors.Is(err, relock.ErrWrongType) {
					t.Errorf("Status: got %v, want ErrWrongType", err)
				}
				if _, err := m.ForceUnlock(behaviour.Bg); !errors.Is(err, relock.ErrWrongType) {
					t.Errorf("ForceUnlock: got %v, want ErrWrongType", err)
				}
			}
			if after := r.Direct.Dump(behaviour.Bg, key).Val(); after != before || r.Direct.PTTL(behaviour.Bg, key).Val() != -1 {
				t.Error("the key was changed")
			}
			<-time.After(200 * time.Millisecond)
			if n := behaviour.Calls(t, r.Direct, "evalsha", "eval"); n > 10 {
				t.Errorf("%d scripts were run: it spins", n)
			}
		})
	}
}

func TestATryThatFindsTheLockTakenIsOneCommand(t *testing.T) {
	r := behaviour.NewRig(t)
	lease := behaviour.LockOf(t, r.Client(t, false).Mutex("a"))
	c := r.Client(t, false)
	behaviour.ResetStats(t, r.Direct)
	const tries = 10
	for range tries {
		if _, err := c.Mutex("a").TryLock(behaviour.Bg); !errors.Is(err, relock.ErrNotAcquired) {
			t.Fatalf("got %v, want ErrNotAcquired", err)
		}
	}
	if err := c.Close(); err != nil { // when it returns, nothing is under way
		t.Error(err)
	}
	if got := behaviour.Calls(t, r.Direct, "evalsha", "eval"); got != tries {
		t.Errorf("got %d commands for %d tries, want one each", got, tries)
	}
	behaviour.Unlock(t, lease)
}
