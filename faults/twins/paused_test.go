package twins

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

// A counter that holders of a lock read, add one to, and write.
type counter struct {
	t            *testing.T
	rdb          *redis.Client
	guard        *relock.Guard // nil: no fence
	acknowledged int
}

const key = "counter"

func (c *counter) read(l *relock.Lease) int {
	c.t.Helper()
	if c.guard != nil {
		if err := c.guard.Claim(bg, key, l.Sequencer()); err != nil {
			c.t.Fatal(err)
		}
	}
	return c.value()
}

func (c *counter) value() int {
	n, err := c.rdb.Get(bg, key).Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		c.t.Fatal(err)
	}
	return n
}

func (c *counter) write(l *relock.Lease, n int) {
	c.t.Helper()
	var err error
	if c.guard != nil {
		err = c.guard.Set(bg, key, l.Sequencer(), n, 0)
	} else {
		err = c.rdb.Set(bg, key, n, 0).Err()
	}
	switch {
	case err == nil:
		c.acknowledged++
	case !errors.Is(err, relock.ErrStaleToken):
		c.t.Fatal(err)
	}
}

// A client is paused between its read and its write, for longer than its lease.
// That it looked at its lease before the pause saves nothing.
func TestAPausedClientLosesUpdatesUnlessAGuardStandsThere(t *testing.T) {
	const rounds = 50
	for name, tc := range map[string]struct{ looks, guarded bool }{
		"no fence":                             {},
		"no fence, and a look at Err before":   {looks: true},
		"a Guard, and a Claim before the read": {guarded: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Cleanup(func() { <-time.After(time.Minute) }) // what go-redis does after Close has an end too
				m, rdb := redistest.EmbeddedInMemory(t)
				other := redistest.InMemoryClient(m)
				t.Cleanup(func() { _ = other.Close() })
				c := &counter{t: t, rdb: rdb}
				if tc.guarded {
					c.guard = relock.NewGuard(rdb)
				}
				paused, next := clientOn(t, rdb), clientOn(t, other)
				for range rounds {
					c.pausedRound(paused, next, tc.looks)
				}
				lost := c.acknowledged - c.value()
				if tc.guarded && lost != 0 {
					t.Errorf("%d of %d acknowledged updates are lost behind a Guard", lost, c.acknowledged)
				}
				if !tc.guarded && lost != rounds {
					t.Errorf("%d of %d acknowledged updates are lost, want each that a paused client overwrote: %d", lost, c.acknowledged, rounds)
				}
			})
		})
	}
}

// pausedRound has one client paused in its section, and another in between.
func (c *counter) pausedRound(paused, next *relock.Client, looks bool) {
	c.t.Helper()
	// A fixed lease: the watchdog of a process that stands still does so too.
	lease := lock(c.t, paused.Mutex("m", relock.WithLease(time.Second)))
	n := c.read(lease)
	if looks && lease.Err() != nil {
		c.t.Fatal("lost before the pause")
	}
	<-time.After(2 * time.Second)
	second := lock(c.t, next.Mutex("m"))
	c.write(second, c.read(second)+1)
	unlock(c.t, second)
	c.write(lease, n+1) // the first thing that it does when it goes on
	if err := lease.Unlock(bg); !errors.Is(err, relock.ErrLost) {
		c.t.Errorf("the paused client's Unlock says %v, want ErrLost", err)
	}
}
