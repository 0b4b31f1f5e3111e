package redisengine_test

import (
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// occupy has the server run a script for ever, until the function that it
// returns is called.
func occupy(t *testing.T, r *behaviour.Rig) (free func()) {
	t.Helper()
	if err := r.Direct.ConfigSet(behaviour.Bg, "lua-time-limit", "20").Err(); err != nil {
		t.Fatal(err)
	}
	// A client of its own: its reply never comes.
	busy := r.Server.Client(func(o *redis.Options) { o.ReadTimeout, o.MaxRetries = time.Minute, -1 })
	ended := make(chan error, 1)
	go func() { ended <- busy.Eval(behaviour.Bg, "while true do end", nil).Err() }()
	behaviour.Eventually(t, "BUSY", func() bool { return redis.HasErrorPrefix(r.Direct.Ping(behaviour.Bg).Err(), "BUSY") })
	return func() {
		if err := r.Direct.ScriptKill(behaviour.Bg).Err(); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
}

func TestAServerThatIsBusy(t *testing.T) {
	const ttl = 4 * time.Second
	r := behaviour.NewRig(t)
	c := r.Client(t, false)
	lease := behaviour.LockOf(t, c.Mutex("a", relock.WithTTL(ttl)))
	t.Run("a renewal is tried until it is answered", func(t *testing.T) {
		behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("b"))) // so that no renewal is the first to need a connection
		before := lease.ValidUntil()
		free := occupy(t, r)
		patient := make(chan *relock.Lease, 1)
		go func() { patient <- behaviour.LockOf(t, c.Mutex("c")) }() // waits that out, too
		err := wantByDeadline(t, "Lock", time.Until(before)-ttl/3, behaviour.LockCall(c.Mutex("b")))
		behaviour.WantSaid(t, "Lock", err, "BUSY")
		free()
		behaviour.Unlock(t, <-patient)
		behaviour.Eventually(t, "a renewal", func() bool { return lease.Err() != nil || lease.ValidUntil().After(before) })
		if err := lease.Err(); err != nil {
			t.Errorf("the lease was lost though the server was busy for less than its TTL: %v", err)
		}
	})
	t.Run("a lease is lost only by its deadline", func(t *testing.T) {
		free := occupy(t, r)
		wantLostAtDeadline(t, lease, ttl)
		free()
		behaviour.AwaitClean(t, r.Direct)
	})
}

func TestAServerWithTooManyClients(t *testing.T) {
	const ttl, within = 6 * time.Second, 1500 * time.Millisecond // time for a renewal
	r := behaviour.NewRig(t)
	lease := behaviour.LockOf(t, r.Client(t, false).Mutex("a", relock.WithTTL(ttl)))
	newcomer := r.Client(t, false)
	if err := r.Direct.ConfigSet(behaviour.Bg, "maxclients", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"Lock": behaviour.LockCall(newcomer.Mutex("b")), "TryLock": behaviour.TryCall(newcomer.Mutex("b")),
	} {
		// The server closes the connection with its answer, and go-redis, which writes
		// first, mostly finds it closed.
		err := wantByDeadline(t, name, within, call)
		if !redis.HasErrorPrefix(err, "ERR max number of clients") && !errors.Is(err, syscall.EPIPE) &&
			!errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %v, want the refusal of the connection", name, err)
		}
	}
	if err := lease.Err(); err != nil {
		t.Errorf("the lease of a connected client says %v", err)
	}
	if err := r.Direct.ConfigSet(behaviour.Bg, "maxclients", "1000").Err(); err != nil {
		t.Fatal(err)
	}
	behaviour.Unlock(t, lease)
	behaviour.AwaitClean(t, r.Direct)
}
