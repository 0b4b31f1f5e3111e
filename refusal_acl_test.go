package relock

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// user makes a user of the server and returns a client in its name.
func (r *rig) user(t *testing.T, name string, rules ...string) *redis.Client {
	t.Helper()
	args := []any{"acl", "setuser", name, "reset", "on", ">secret", "~*", "&*", "+@all"}
	for _, rule := range rules {
		args = append(args, rule)
	}
	if err := r.direct.Do(bg, args...).Err(); err != nil {
		t.Fatal(err)
	}
	return r.server.Client(func(o *redis.Options) { o.Username, o.Password = name, "secret" })
}

// ruleOfSecurity is the command of SECURITY.md that makes a user.
func ruleOfSecurity(t *testing.T) (args []any) {
	t.Helper()
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(string(text))) {
		args = append(args, word)
	}
	return args
}

// takesWhatALockDoes has clients lock, wait, extend, unlock and force.
func takesWhatALockDoes(t *testing.T, client func() *Client) {
	t.Helper()
	c, other := client(), client()
	lease := lockOf(t, c.Mutex("a"))
	next := make(chan *Lease)
	go func() { next <- lockOf(t, other.Mutex("a")) }()
	awaitWaiters(t, c.Mutex("a"), 1)
	if err := lease.Extend(bg, time.Minute); err != nil {
		t.Error(err)
	}
	unlock(t, lease)
	unlock(t, <-next)
	nested := lockOf(t, c.Reentrant("b"))
	if freed, err := other.Reentrant("b").ForceUnlock(bg); err != nil || !freed {
		t.Errorf("ForceUnlock: %v, %v", freed, err)
	}
	_ = nested.Unlock(bg)
}

// The user that SECURITY.md gives may do all that a lock takes, and no harm to
// what is not relock's.
func TestTheUserOfSecurity(t *testing.T) {
	r := newRig(t)
	if err := r.direct.Do(bg, ruleOfSecurity(t)...).Err(); err != nil {
		t.Fatal(err)
	}
	login := func(o *redis.Options) { o.Username, o.Password = "relock", "secret" }
	takesWhatALockDoes(t, func() *Client { return clientOn(t, r.server.Client(login)) })
	r.direct.Set(bg, "data", "precious", 0)
	rdb := r.server.Client(login)
	for _, harm := range [][]any{
		{"flushall"},
		{"flushdb"},
		{"swapdb", 0, 1},
		{"client", "kill", "type", "normal"},
		{"keys", "*"},
		{"del", "data"},
		{"get", "data"},
		{"config", "get", "*"},
		{"shutdown"},
	} {
		if err := rdb.Do(bg, harm...).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("%v: got %v, want NOPERM", harm, err)
		}
	}
}

// logged is a logger and what it was told.
func logged() (*slog.Logger, func() string) {
	var mu sync.Mutex
	var buf bytes.Buffer
	return slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			return buf.Write(p)
		}), nil)), func() string {
			mu.Lock()
			defer mu.Unlock()
			return buf.String()
		}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAUserWhoMayNot(t *testing.T) {
	r := newRig(t)
	for _, tc := range []struct {
		name, says string
		rdb        *redis.Client
	}{
		{"run scripts", "NOPERM", r.user(t, "noscripts", "-@scripting")},
		{"touch the keys", "NOPERM", r.user(t, "nokeys", "resetkeys", "~other:*")},
		{"log in", "WRONGPASS", r.server.Client(func(o *redis.Options) { o.Username, o.Password = "nobody", "wrong" })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := clientOn(t, tc.rdb, WithCallTimeout(500*time.Millisecond))
			for name, call := range map[string]func(context.Context) error{
				"Lock": lockCall(c.Mutex("a")), "TryLock": tryCall(c.Mutex("a")),
				"Status": func(ctx context.Context) error { _, err := c.Mutex("a").Status(ctx); return err },
				"Claim": func(ctx context.Context) error {
					return NewGuard(tc.rdb).Claim(ctx, "k", tokensFromNow()(0, "me"))
				},
			} {
				wantSaid(t, name, wantByDeadline(t, name, 2*time.Second, call), tc.says)
			}
			if left := keysLeft(t, r.direct); len(left) > 0 {
				t.Errorf("keys left: %q", left)
			}
		})
	}
	if err := r.direct.ConfigSet(bg, "requirepass", "secret").Err(); err != nil {
		t.Fatal(err)
	}
	anonymous := clientOn(t, r.server.Client(), WithCallTimeout(500*time.Millisecond)).Mutex("a")
	err := wantByDeadline(t, "Lock", 2*time.Second, lockCall(anonymous))
	var said redis.Error
	// A command of more than ten words is refused as a breach of the protocol.
	if !errors.As(err, &said) || !strings.Contains(strings.ToLower(said.Error()), "auth") {
		t.Errorf("without a password: got %v, want that Redis asks for one", err)
	}
}

// Without the right to subscribe a lock works, and waiters ask often instead.
func TestAUserWithoutChannels(t *testing.T) {
	r := newRig(t)
	log, said := logged()
	c := clientOn(t, r.user(t, "nochannels", "resetchannels"), WithLogger(log), WithCheckInterval(time.Minute))
	unlock(t, lockOf(t, c.Mutex("free")))
	if said() != "" {
		t.Errorf("logged without contention: %s", said())
	}
	r.direct.ACLLogReset(bg)
	for i := range 3 {
		lease := lockOf(t, r.client(t, false).Mutex("a"))
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, c.Mutex("a")) }()
		awaitWaiters(t, c.Mutex("a"), 1)
		start := time.Now()
		unlock(t, lease)
		next := <-got
		if took := time.Since(start); took > deafCheck+slack {
			t.Errorf("round %d: had the lock after %v, want within %v", i, took, deafCheck)
		}
		unlock(t, next)
	}
	if n := strings.Count(said(), "SUBSCRIBE is refused"); n != 1 {
		t.Errorf("said %d times in the log, want once:\n%s", n, said())
	}
	t.Run("checks in every 100ms", func(t *testing.T) {
		lease := lockOf(t, r.client(t, false).Mutex("a"))
		ctx, cancel := context.WithCancel(bg)
		defer cancel()
		ended := make(chan error, 1)
		go func() { _, err := c.Mutex("a").Lock(ctx); ended <- err }()
		awaitWaiters(t, c.Mutex("a"), 1)
		resetStats(t, r.direct)
		const checks = 8
		<-time.After(checks * deafCheck)
		if n := calls(t, r.direct, "evalsha", "eval"); n < checks/2 || n > checks+2 {
			t.Errorf("%d check-ins in %v, want about %d", n, checks*deafCheck, checks)
		}
		cancel()
		<-ended
		unlock(t, lease)
		awaitClean(t, r.direct)
	})
}

// A release succeeds though its user may not publish, and the waiter, who hears
// nothing, has the lock by its check-in.
func TestAUserWhoMayNotPublishReleases(t *testing.T) {
	t.Parallel()
	const interval = 300 * time.Millisecond
	r := newRig(t)
	for name, rules := range map[string][]string{"no channels": {"resetchannels"}, "no PUBLISH": {"-publish"}} {
		t.Run(name, func(t *testing.T) {
			mute := clientOn(t, r.user(t, "mute", rules...))
			lease := lockOf(t, mute.Mutex("a"))
			got := make(chan *Lease, 1)
			waiter := r.client(t, false, WithCheckInterval(interval))
			go func() { got <- lockOf(t, waiter.Mutex("a")) }()
			awaitWaiters(t, waiter.Mutex("a"), 1)
			start := time.Now()
			unlock(t, lease)
			next := <-got
			if took := time.Since(start); took > interval+slack {
				t.Errorf("the waiter had the lock after %v, want by its check-in within %v", took, interval)
			}
			if next.Token() <= lease.Token() {
				t.Errorf("token %d after %d", next.Token(), lease.Token())
			}
			unlock(t, next)
			awaitClean(t, r.direct)
		})
	}
}

func TestAUserWhoIsDeletedWhileHolding(t *testing.T) {
	t.Parallel()
	const ttl = 1200 * time.Millisecond
	r := newRig(t)
	c := clientOn(t, r.user(t, "leaver"), WithCallTimeout(500*time.Millisecond))
	lease := lockOf(t, c.Mutex("a", WithTTL(ttl)))
	if err := r.direct.ACLDelUser(bg, "leaver").Err(); err != nil {
		t.Fatal(err)
	}
	wantLostAtDeadline(t, lease, ttl)
	wantSaid(t, "Lock", wantByDeadline(t, "Lock", 2*time.Second, lockCall(c.Mutex("b"))), "WRONGPASS")
	awaitClean(t, r.direct)
}
