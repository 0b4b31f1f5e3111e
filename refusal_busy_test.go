package relock

import (
	"context"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// occupy has the server run a script for ever, until the function that it
// returns is called.
func occupy(t *testing.T, r *rig) (free func()) {
	t.Helper()
	if err := r.direct.ConfigSet(bg, "lua-time-limit", "20").Err(); err != nil {
		t.Fatal(err)
	}
	// A client of its own: its reply never comes.
	busy := r.server.Client(func(o *redis.Options) { o.ReadTimeout, o.MaxRetries = time.Minute, -1 })
	ended := make(chan error, 1)
	go func() { ended <- busy.Eval(bg, "while true do end", nil).Err() }()
	eventually(t, "BUSY", func() bool { return redis.HasErrorPrefix(r.direct.Ping(bg).Err(), "BUSY") })
	return func() {
		if err := r.direct.ScriptKill(bg).Err(); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
}

func TestAServerThatIsBusy(t *testing.T) {
	const ttl = 2400 * time.Millisecond
	r := newRig(t)
	c := r.client(t, false)
	lease := lockOf(t, c.Mutex("a", WithTTL(ttl)))
	t.Run("a renewal is tried until it is answered", func(t *testing.T) {
		unlock(t, lockOf(t, c.Mutex("b"))) // so that no renewal is the first to need a connection
		before := lease.ValidUntil()
		free := occupy(t, r)
		patient := make(chan *Lease, 1)
		go func() { patient <- lockOf(t, c.Mutex("c")) }() // waits that out, too
		err := wantByDeadline(t, "Lock", time.Until(before)-ttl/3, lockCall(c.Mutex("b")))
		wantSaid(t, "Lock", err, "BUSY")
		free()
		unlock(t, <-patient)
		eventually(t, "a renewal", func() bool { return lease.Err() != nil || lease.ValidUntil().After(before) })
		if err := lease.Err(); err != nil {
			t.Errorf("the lease was lost though the server was busy for less than its TTL: %v", err)
		}
	})
	t.Run("a lease is lost only by its deadline", func(t *testing.T) {
		free := occupy(t, r)
		wantLostAtDeadline(t, lease, ttl)
		free()
		awaitClean(t, r.direct)
	})
}

func TestAServerWithTooManyClients(t *testing.T) {
	const ttl, within = 6 * time.Second, 1500 * time.Millisecond // time for a renewal
	r := newRig(t)
	lease := lockOf(t, r.client(t, false).Mutex("a", WithTTL(ttl)))
	newcomer := r.client(t, false)
	if err := r.direct.ConfigSet(bg, "maxclients", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context) error{
		"Lock": lockCall(newcomer.Mutex("b")), "TryLock": tryCall(newcomer.Mutex("b")),
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
	if err := r.direct.ConfigSet(bg, "maxclients", "1000").Err(); err != nil {
		t.Fatal(err)
	}
	unlock(t, lease)
	awaitClean(t, r.direct)
}
