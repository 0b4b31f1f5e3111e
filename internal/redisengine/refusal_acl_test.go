package redisengine_test

import (
	"context"
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/lifecycle"
)

// ruleOfSecurity is the command of SECURITY.md that makes a user.
func ruleOfSecurity(t *testing.T) (args []any) {
	t.Helper()
	text, err := os.ReadFile("../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for word := range strings.FieldsSeq(regexp.MustCompile(`(?m)^ACL SETUSER .*$`).FindString(string(text))) {
		args = append(args, word)
	}
	return args
}

// takesWhatALockDoes has clients lock, wait, extend, unlock and force.
func takesWhatALockDoes(t *testing.T, client func() *relock.Client) {
	t.Helper()
	c, other := client(), client()
	lease := behaviour.LockOf(t, c.Mutex("a"))
	next := make(chan *relock.Lease)
	go func() { next <- behaviour.LockOf(t, other.Mutex("a")) }()
	behaviour.AwaitWaiters(t, c.Mutex("a"), 1)
	if err := lease.Extend(behaviour.Bg, time.Minute); err != nil {
		t.Error(err)
	}
	behaviour.Unlock(t, lease)
	behaviour.Unlock(t, <-next)
	nested := behaviour.LockOf(t, c.Reentrant("b"))
	if freed, err := other.Reentrant("b").ForceUnlock(behaviour.Bg); err != nil || !freed {
		t.Errorf("ForceUnlock: %v, %v", freed, err)
	}
	_ = nested.Unlock(behaviour.Bg)
}

// The user that SECURITY.md gives may do all that a lock takes, and no harm to
// what is not relock's.
func TestTheUserOfSecurity(t *testing.T) {
	r := behaviour.NewRig(t)
	if err := r.Direct.Do(behaviour.Bg, ruleOfSecurity(t)...).Err(); err != nil {
		t.Fatal(err)
	}
	login := func(o *redis.Options) { o.Username, o.Password = "relock", "secret" }
	takesWhatALockDoes(t, func() *relock.Client { return behaviour.ClientOn(t, r.Server.Client(login)) })
	r.Direct.Set(behaviour.Bg, "data", "precious", 0)
	rdb := r.Server.Client(login)
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
		if err := rdb.Do(behaviour.Bg, harm...).Err(); !redis.HasErrorPrefix(err, "NOPERM") {
			t.Errorf("%v: got %v, want NOPERM", harm, err)
		}
	}
}

func TestAUserWhoMayNot(t *testing.T) {
	r := behaviour.NewRig(t)
	for _, tc := range []struct {
		name, says string
		rdb        *redis.Client
	}{
		{"run scripts", "NOPERM", r.User(t, "noscripts", "-@scripting")},
		{"touch the keys", "NOPERM", r.User(t, "nokeys", "resetkeys", "~other:*")},
		{"log in", "WRONGPASS", r.Server.Client(func(o *redis.Options) { o.Username, o.Password = "nobody", "wrong" })},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := behaviour.ClientOn(t, tc.rdb, relock.WithCallTimeout(500*time.Millisecond))
			for name, call := range map[string]func(context.Context) error{
				"Lock": behaviour.LockCall(c.Mutex("a")), "TryLock": behaviour.TryCall(c.Mutex("a")),
				"Status": func(ctx context.Context) error { _, err := c.Mutex("a").Status(ctx); return err },
				"Claim": func(ctx context.Context) error {
					return relock.NewGuard(tc.rdb).Claim(ctx, "k", behaviour.TokensFromNow()(0, "me"))
				},
			} {
				behaviour.WantSaid(t, name, wantByDeadline(t, name, 2*time.Second, call), tc.says)
			}
			if left := behaviour.KeysLeft(t, r.Direct); len(left) > 0 {
				t.Errorf("keys left: %q", left)
			}
		})
	}
	if err := r.Direct.ConfigSet(behaviour.Bg, "requirepass", "secret").Err(); err != nil {
		t.Fatal(err)
	}
	anonymous := behaviour.ClientOn(t, r.Server.Client(), relock.WithCallTimeout(500*time.Millisecond)).Mutex("a")
	err := wantByDeadline(t, "Lock", 2*time.Second, behaviour.LockCall(anonymous))
	var said redis.Error
	// A command of more than ten words is refused as a breach of the protocol.
	if !errors.As(err, &said) || !strings.Contains(strings.ToLower(said.Error()), "auth") {
		t.Errorf("without a password: got %v, want that Redis asks for one", err)
	}
}

// Without the right to subscribe a lock works, and waiters ask often instead.
func TestAUserWithoutChannels(t *testing.T) {
	r := behaviour.NewRig(t)
	log, said := behaviour.Logged()
	c := behaviour.ClientOn(t, r.User(t, "nochannels", "resetchannels"), relock.WithLogger(log), relock.WithCheckInterval(time.Minute))
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("free")))
	if said() != "" {
		t.Errorf("logged without contention: %s", said())
	}
	r.Direct.ACLLogReset(behaviour.Bg)
	for i := range 3 {
		lease := behaviour.LockOf(t, r.Client(t, false).Mutex("a"))
		got := make(chan *relock.Lease, 1)
		go func() { got <- behaviour.LockOf(t, c.Mutex("a")) }()
		behaviour.AwaitWaiters(t, c.Mutex("a"), 1)
		start := time.Now()
		behaviour.Unlock(t, lease)
		next := <-got
		if took := time.Since(start); took > lifecycle.PollInterval+behaviour.Slack {
			t.Errorf("round %d: had the lock after %v, want within %v", i, took, lifecycle.PollInterval)
		}
		behaviour.Unlock(t, next)
	}
	if n := strings.Count(said(), "SUBSCRIBE is refused"); n != 1 {
		t.Errorf("said %d times in the log, want once:\n%s", n, said())
	}
	t.Run("checks in every 100ms", func(t *testing.T) {
		lease := behaviour.LockOf(t, r.Client(t, false).Mutex("a"))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		defer cancel()
		ended := make(chan error, 1)
		go func() { _, err := c.Mutex("a").Lock(ctx); ended <- err }()
		behaviour.AwaitWaiters(t, c.Mutex("a"), 1)
		behaviour.ResetStats(t, r.Direct)
		const checks = 8
		<-time.After(checks * lifecycle.PollInterval)
		if n := behaviour.Calls(t, r.Direct, "evalsha", "eval"); n < checks/2 || n > checks+2 {
			t.Errorf("%d check-ins in %v, want about %d", n, checks*lifecycle.PollInterval, checks)
		}
		cancel()
		<-ended
		behaviour.Unlock(t, lease)
		behaviour.AwaitClean(t, r.Direct)
	})
}

// A release succeeds though its user may not publish, and the waiter, who hears
// nothing, has the lock by its check-in.
func TestAUserWhoMayNotPublishReleases(t *testing.T) {
	t.Parallel()
	const interval = 300 * time.Millisecond
	r := behaviour.NewRig(t)
	for name, rules := range map[string][]string{"no channels": {"resetchannels"}, "no PUBLISH": {"-publish"}} {
		t.Run(name, func(t *testing.T) {
			mute := behaviour.ClientOn(t, r.User(t, "mute", rules...))
			lease := behaviour.LockOf(t, mute.Mutex("a"))
			got := make(chan *relock.Lease, 1)
			waiter := r.Client(t, false, relock.WithCheckInterval(interval))
			go func() { got <- behaviour.LockOf(t, waiter.Mutex("a")) }()
			behaviour.AwaitWaiters(t, waiter.Mutex("a"), 1)
			start := time.Now()
			behaviour.Unlock(t, lease)
			next := <-got
			if took := time.Since(start); took > interval+behaviour.Slack {
				t.Errorf("the waiter had the lock after %v, want by its check-in within %v", took, interval)
			}
			if next.Token() <= lease.Token() {
				t.Errorf("token %d after %d", next.Token(), lease.Token())
			}
			behaviour.Unlock(t, next)
			behaviour.AwaitClean(t, r.Direct)
		})
	}
}

func TestAUserWhoIsDeletedWhileHolding(t *testing.T) {
	t.Parallel()
	const ttl = 1200 * time.Millisecond
	r := behaviour.NewRig(t)
	c := behaviour.ClientOn(t, r.User(t, "leaver"), relock.WithCallTimeout(500*time.Millisecond))
	lease := behaviour.LockOf(t, c.Mutex("a", relock.WithTTL(ttl)))
	if err := r.Direct.ACLDelUser(behaviour.Bg, "leaver").Err(); err != nil {
		t.Fatal(err)
	}
	wantLostAtDeadline(t, lease, ttl)
	behaviour.WantSaid(t, "Lock", wantByDeadline(t, "Lock", 2*time.Second, behaviour.LockCall(c.Mutex("b"))), "WRONGPASS")
	behaviour.AwaitClean(t, r.Direct)
}
