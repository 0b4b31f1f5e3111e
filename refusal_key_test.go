package relock

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/faultproxy"
)

// What others do to the keys of a lock.

// Somebody else takes the key from under its holder: the next renewal tells.
func TestAKeyThatIsTakenAway(t *testing.T) {
	t.Parallel()
	const ttl = 900 * time.Millisecond
	r := newRig(t)
	c := r.client(t, false)
	key := keyOf(DefaultPrefix, kindLock, "a")
	for _, admin := range []struct {
		name string
		does func() error
	}{
		{"deleted", func() error { return r.direct.Del(bg, key).Err() }},
		{"renamed", func() error { return r.direct.Rename(bg, key, "elsewhere").Err() }},
		{"expired", func() error { return r.direct.PExpire(bg, key, time.Millisecond).Err() }},
	} {
		t.Run(admin.name, func(t *testing.T) {
			lease := lockOf(t, c.Mutex("a", WithTTL(ttl)))
			if err := admin.does(); err != nil {
				t.Fatal(err)
			}
			<-lease.Context().Done() // how soon is told in virtual time
			if !errors.Is(lease.Err(), ErrLost) {
				t.Errorf("got %v, want ErrLost", lease.Err())
			}
			resetStats(t, r.direct)
			for range 3 { // what would renew or release again
				<-time.After(ttl / 6)
				if exists(t, r.direct, key) {
					t.Fatal("the key was created again")
				}
			}
			if n := calls(t, r.direct, "evalsha", "eval"); n > 2 {
				t.Errorf("%d scripts were run for a lease that is lost", n)
			}
			if err := lease.Unlock(bg); !errors.Is(err, ErrLost) {
				t.Errorf("Unlock says %v, want ErrLost", err)
			}
		})
	}
}

func TestAKeyWithoutTTLIsRepairedByTheNextRenewal(t *testing.T) {
	const ttl = 900 * time.Millisecond
	r := newRig(t)
	key := keyOf(DefaultPrefix, kindLock, "a")
	lease := lockOf(t, r.client(t, false).Mutex("a", WithTTL(ttl)))
	if err := r.direct.Persist(bg, key).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key has a TTL again", func() bool { return r.direct.PTTL(bg, key).Val() > 0 })
	if err := lease.Err(); err != nil {
		t.Errorf("the lease says %v", err)
	}
	unlock(t, lease)
	awaitClean(t, r.direct)
}

// A dead holder's key without TTL ends with its hold, and a waiter does not ask
// faster because of it.
func TestAKeyWithoutTTLIsNotSpunOn(t *testing.T) {
	t.Parallel()
	const ttl, interval = 900 * time.Millisecond, 300 * time.Millisecond
	r := newRig(t)
	key := keyOf(DefaultPrefix, kindLock, "a")
	dead := r.client(t, true, WithCallTimeout(200*time.Millisecond)) // bounds its Close
	lease := lockOf(t, dead.Mutex("a", WithLease(ttl)))
	if err := r.direct.Persist(bg, key).Err(); err != nil {
		t.Fatal(err)
	}
	r.proxy.Cut(faultproxy.Refuse)
	resetStats(t, r.direct)
	start := time.Now()
	next := lockOf(t, r.client(t, false, WithCheckInterval(interval)).Mutex("a"))
	if took := time.Since(start); took > ttl+slack {
		t.Errorf("had the lock after %v, want when the hold ends, within %v", took, ttl)
	}
	if n, most := calls(t, r.direct, "evalsha", "eval"), int64(ttl/interval+6); n > most {
		t.Errorf("%d scripts were run by one waiter in %v, want at most %d", n, ttl, most)
	}
	if next.Token() <= lease.Token() {
		t.Errorf("token %d after %d", next.Token(), lease.Token())
	}
	unlock(t, next)
}

// Only who waits needs the key of the waiters.
func TestWhatIsNotOursForTheWaiters(t *testing.T) {
	r := newRig(t)
	key := keyOf(DefaultPrefix, kindWaiters, "a")
	r.direct.Set(bg, key, "x", 0)
	holder, waiter := r.client(t, false), r.client(t, false)
	lease := lockOf(t, holder.Mutex("a"))
	if _, err := waiter.Mutex("a").Lock(patience(t)); !errors.Is(err, ErrWrongType) {
		t.Errorf("one that is to wait: got %v, want ErrWrongType", err)
	}
	unlock(t, lease)
	if left := keysLeft(t, r.direct); len(left) != 1 || left[0] != key || r.direct.Get(bg, key).Val() != "x" {
		t.Errorf("left %q, want the foreign key as it was", left)
	}
}

func TestWhatIsNotOursIsLeftAlone(t *testing.T) {
	r := newRig(t)
	c := r.client(t, false)
	for _, foreign := range []struct {
		name, kind string
		make       func(key string) error
	}{
		{"a string for the lock", kindLock, func(key string) error { return r.direct.Set(bg, key, "x", 0).Err() }},
		{"a hash of an admin's for the lock", kindLock, func(key string) error { return r.direct.HSet(bg, key, "f", "x").Err() }},
		{"a list for the fence", kindFence, func(key string) error { return r.direct.RPush(bg, key, "x").Err() }},
		{"text for the fence", kindFence, func(key string) error { return r.direct.Set(bg, key, "x", 0).Err() }},
		{"a string for the queue", kindQueue, func(key string) error { return r.direct.Set(bg, key, "x", 0).Err() }},
		{"a string for the tombstones", kindTombstones, func(key string) error { return r.direct.Set(bg, key, "x", 0).Err() }},
	} {
		t.Run(foreign.name, func(t *testing.T) {
			name := foreign.name
			key := keyOf(DefaultPrefix, foreign.kind, name)
			if err := foreign.make(key); err != nil {
				t.Fatal(err)
			}
			before := r.direct.Dump(bg, key).Val()
			resetStats(t, r.direct)
			m := c.Mutex(name)
			for call, do := range map[string]func(context.Context) error{"Lock": lockCall(m), "TryLock": tryCall(m)} {
				err := wantByDeadline(t, call, 10*time.Second, do)
				if !errors.Is(err, ErrWrongType) {
					t.Errorf("%s: got %v, want ErrWrongType", call, err)
				}
			}
			if foreign.kind == kindLock {
				if _, err := m.Status(bg); !errors.Is(err, ErrWrongType) {
					t.Errorf("Status: got %v, want ErrWrongType", err)
				}
				if _, err := m.ForceUnlock(bg); !errors.Is(err, ErrWrongType) {
					t.Errorf("ForceUnlock: got %v, want ErrWrongType", err)
				}
			}
			if after := r.direct.Dump(bg, key).Val(); after != before || r.direct.PTTL(bg, key).Val() != -1 {
				t.Error("the key was changed")
			}
			<-time.After(200 * time.Millisecond)
			if n := calls(t, r.direct, "evalsha", "eval"); n > 10 {
				t.Errorf("%d scripts were run: it spins", n)
			}
		})
	}
}

func TestATryThatFindsTheLockTakenIsOneCommand(t *testing.T) {
	r := newRig(t)
	lease := lockOf(t, r.client(t, false).Mutex("a"))
	c := r.client(t, false)
	resetStats(t, r.direct)
	const tries = 10
	for range tries {
		if _, err := c.Mutex("a").TryLock(bg); !errors.Is(err, ErrNotAcquired) {
			t.Fatalf("got %v, want ErrNotAcquired", err)
		}
	}
	if err := c.Close(); err != nil { // when it returns, nothing is under way
		t.Error(err)
	}
	if got := calls(t, r.direct, "evalsha", "eval"); got != tries {
		t.Errorf("got %d commands for %d tries, want one each", got, tries)
	}
	unlock(t, lease)
}
