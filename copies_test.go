package relock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
)

// dead is how many connections a router has forgotten.
const dead = 8

// forgotten returns a client on a proxy that has dead connections in the pool of
// its commands and in that of its pipelines, none of which go-redis gives up, and
// the function that has them forgotten: new ones work.
func forgotten(t *testing.T, r *rig, opts ...Option) (c *Client, forget func()) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: r.proxy.Addr(), PoolSize: 2 * dead, PipelinePoolSize: 2 * dead, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = rdb.Close() })
	warm := func(ping func()) {
		held := r.proxy.Hold(faultproxy.Command("ping"), dead)
		var wg sync.WaitGroup
		for range dead {
			wg.Go(ping)
		}
		for range dead {
			<-held.Arrived()
		}
		held.Release()
		wg.Wait()
	}
	warm(func() { _ = rdb.Ping(bg).Err() })
	warm(func() {
		pipe := rdb.Pipeline()
		pipe.Ping(bg)
		_, _ = pipe.Exec(bg)
	})
	return clientOn(t, rdb, opts...), func() { r.proxy.Freeze(faultproxy.Both) }
}

// Whatever is asked finds a connection that works, within the time of one call.
func TestDeadConnectionsDoNotCostTheCall(t *testing.T) {
	for _, tc := range []struct {
		name string
		call func(c *Client, lease *Lease) error
	}{
		{"TryLock", func(c *Client, _ *Lease) error { return tryCall(c.Mutex("b"))(bg) }},
		{"Lock", func(c *Client, _ *Lease) error { return within(DefaultCallTimeout, lockCall(c.Mutex("b")))(bg) }},
		{"Extend", func(_ *Client, lease *Lease) error { return lease.Extend(bg, time.Hour) }},
		{"Unlock", func(_ *Client, lease *Lease) error { return lease.Unlock(bg) }},
		{"Status", func(c *Client, _ *Lease) error { _, err := c.Mutex("a").Status(bg); return err }},
		{"Statuses", func(c *Client, _ *Lease) error {
			_, errs := c.Inspector().Statuses(bg, []string{"a"})
			return errs[0]
		}},
		{"ForceUnlock", func(c *Client, _ *Lease) error { _, err := c.Mutex("b").ForceUnlock(bg); return err }},
		{"MultiLock.TryLock", func(c *Client, _ *Lease) error {
			multi, err := NewComposite(engine.Members{c.Mutex("b"), c.Mutex("c")})
			if err != nil {
				return err
			}
			return tryCall(multi)(bg)
		}},
	} {
		for _, near := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, asked directly before: %v", tc.name, near), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				c, forget := forgotten(t, r)
				lease := lockOf(t, c.Mutex("a"))
				if near {
					eventually(t, "it is asked directly", func() bool {
						unlock(t, lockOf(t, c.Mutex("b")))
						return c.eng.direct.quick.Load() == directProof
					})
				}
				forget()
				start := time.Now()
				err := tc.call(c, lease)
				t.Logf("%v", time.Since(start).Round(time.Millisecond))
				if err != nil {
					t.Errorf("got %v, though a new connection works", err)
				}
			})
		}
	}
}

// The watchdog's batches go by pipelines, and outlive dead connections too.
func TestALeaseOutlivesDeadConnections(t *testing.T) {
	const ttl, call = 3 * time.Second, 600 * time.Millisecond
	r := newRig(t)
	c, forget := forgotten(t, r, WithCallTimeout(call))
	lease := lockOf(t, c.Mutex("a", WithTTL(ttl)))
	forget()
	renewed(t, lease, "past connections that are dead")
	if err := r.proxy.Restore(); err != nil {
		t.Fatal(err)
	}
	unlock(t, lease)
}

// The copy that is late finds the tombstone, as it counts as under way; once it is
// answered itself there is nothing to bury.
func TestALateCopyCountsAsUnderWay(t *testing.T) {
	for _, answered := range []bool{false, true} {
		t.Run(fmt.Sprintf("answered before the Unlock: %v", answered), func(t *testing.T) {
			r := newRig(t)
			c := r.client(t, true)
			unlock(t, lockOf(t, c.Mutex("a")))
			late := r.proxy.Hold(faultproxy.Script(acquireScript.source), 1)
			lease, err := c.Mutex("a").TryLock(bg)
			if err != nil {
				t.Fatal(err)
			}
			unsure := &lease.o.(*hold).unsure
			if n := unsure.Load(); n != 1 {
				t.Errorf("%d copies count as under way, want the one that is held up", n)
			}
			deliver := func() {
				late.Release()
				if err := late.Delivered(patience(t)); err != nil {
					t.Fatal(err)
				}
			}
			if answered {
				deliver()
				eventually(t, "it counts no more", func() bool { return unsure.Load() == 0 })
			}
			unlock(t, lease)
			if !answered {
				deliver()
			}
			if left := keysLeft(t, r.direct); len(left) > 0 {
				t.Errorf("a late copy has left %q", left)
			}
			buried := r.direct.Exists(bg, keyOf(DefaultPrefix, kindTombstones, "a")).Val() == 1
			if buried == answered {
				t.Errorf("a tombstone is there: %v", buried)
			}
		})
	}
}

// "Gone" may be the answer to the copy of a release that was executed: that is no
// loss, and the waiter that it handed over is not forgotten.
func TestTheCopyOfAReleaseIsNoLoss(t *testing.T) {
	for _, waits := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a waiter: %v", waits), func(t *testing.T) {
			r := newRig(t)
			c := r.client(t, true)
			unlock(t, lockOf(t, c.Mutex("a"))) // loads the scripts
			lease := lockOf(t, c.Mutex("a"))
			got := make(chan *Lease, 1)
			if waits {
				go func() { got <- lockOf(t, c.Mutex("a")) }()
				eventually(t, "it waits", func() bool { return !c.host.Idle() })
			}
			lost := r.proxy.DropReply(faultproxy.Script(releaseScript.source), 1, faultproxy.Silence)
			start := time.Now()
			unlock(t, lease)
			if took := time.Since(start); took >= DefaultCallTimeout {
				t.Errorf("took %v: no copy was sent", took)
			}
			if lost.Hits() != 1 {
				t.Errorf("%d replies lost, want 1", lost.Hits())
			}
			if waits {
				unlock(t, <-got)
			}
			awaitClean(t, r.direct)
		})
	}
}

// A server that stalls is sent no more copies than a client has to spare.
func TestAServerThatStallsIsSentFewCopies(t *testing.T) {
	const callers, call = 15, 900 * time.Millisecond
	r := newRig(t)
	rdb := redis.NewClient(&redis.Options{Addr: r.proxy.Addr(), PoolSize: 20 * callers})
	defer rdb.Close()
	c := clientOn(t, rdb, WithCallTimeout(call))
	unlock(t, lockOf(t, c.Mutex("a")))
	held := r.proxy.Hold(faultproxy.Command("evalsha"), 0)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			if _, err := c.Mutex(fmt.Sprint("name", i)).TryLock(bg); !errors.Is(err, engine.ErrUnknown) {
				t.Errorf("got %v, want no answer", err)
			}
		})
	}
	wg.Wait()
	if n := held.Hits(); n < callers || n > 2*callers+spareCopies {
		t.Errorf("%d requests of %d callers and their withdrawals, want no more than %d copies", n, callers, spareCopies)
	}
	held.Release()
}

// fakeCopy is a transmission that has left.
type fakeCopy struct{ id int }

func (*fakeCopy) transmit(context.Context, Redis) (any, error) { return nil, nil }
func (*fakeCopy) hangs() bool                                  { return true }

// In whatever order copies land, or are given up, what counts as under way is the
// copies of which nobody knows: with one by whoever sent the request, until it has
// an outcome that is certain.
func TestAFlightCountsTheCopiesThatMayComeLate(t *testing.T) {
	results := []error{nil, saying("BUSY"), engine.ErrUnsent, engine.ErrUnknown}
	seen := 0
	// Every sequence of moves is played anew: a copy leaves (L), the oldest or the
	// newest under way lands with each result, or the flight is given up (G).
	play := func(moves []int) {
		r := &engine.Request{Copies: new(atomic.Int32)}
		f := &flight{decided: make(chan struct{})}
		first := &fakeCopy{}
		f.join(first, nil)
		flying, uncertain, path, gaveUp := []*fakeCopy{first}, 0, "", false
		for _, m := range moves {
			switch {
			case m == 0:
				c := &fakeCopy{len(path)}
				if f.join(c, []*engine.Request{r}) {
					flying = append(flying, c)
				}
				path += " leaves"
			case m == 1:
				if f.over { // it is waited for no longer
					return
				}
				gaveUp = true
				f.abandon(context.Canceled)
				path += " given-up"
			case len(flying) == 0:
				return
			default:
				k, err := (m-2)/len(results)*(len(flying)-1), results[(m-2)%len(results)]
				c := flying[k]
				flying = append(flying[:k:k], flying[k+1:]...)
				if errors.Is(err, engine.ErrUnknown) {
					uncertain++
				}
				f.land(c, outcome{err: err})
				path += fmt.Sprintf(" lands-%d:%v", k, err)
			}
		}
		seen++
		if !f.over || f.copies == 1 {
			return
		}
		own := 0
		if gaveUp || errors.Is(f.best.err, engine.ErrUnknown) {
			own = 1
		}
		if got, want := int(r.Copies.Load())+own, len(flying)+uncertain; got != want {
			t.Errorf("%s: %d count as under way, %d are", path, got, want)
		}
	}
	var all func(moves []int, depth int)
	all = func(moves []int, depth int) {
		play(moves)
		if depth == 0 {
			return
		}
		for m := range 2 + 2*len(results) {
			all(append(moves[:len(moves):len(moves)], m), depth-1)
		}
	}
	all(nil, 5)
	t.Logf("%d sequences", seen)
}

func TestOneSlowAnswerLeavesACallTimeForCopies(t *testing.T) {
	s := newSender(nil, DefaultCallTimeout)
	s.usual.Store(int64(DefaultCallTimeout))
	if dead := s.patience() + 8*s.every; dead >= DefaultCallTimeout {
		t.Errorf("the eighth copy leaves after %v, and a call has %v", dead, DefaultCallTimeout)
	}
}
