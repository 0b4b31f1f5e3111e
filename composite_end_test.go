package relock

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// What ends a wait, or a grant, too early or too late.

// A server that has lost its id is given another. A process that knows the old one
// waits in the order of those that know the new one all the same.
func TestMembersAreWaitedForInOneOrderByOldAndNewProcesses(t *testing.T) {
	c := []*Client{clientOn(t, redistest.StartT(t).Client()), clientOn(t, redistest.StartT(t).Client())}
	process := func() *Composite {
		return compositeOf(t, clientOn(t, c[0].eng.rdb).Mutex("x"), clientOn(t, c[1].eng.rdb).Mutex("x"))
	}
	places := func(c *Composite) (all string) {
		sorted, err := c.order(bg)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range sorted {
			all += fmt.Sprint(p.place, " ")
		}
		return all
	}
	old := process()
	unlock(t, lockOf(t, old))
	before := places(old)
	fresh := old
	for places(fresh) == before { // the new id is as likely to be the lesser as the greater
		if err := c[0].eng.rdb.(*redis.Client).FlushAll(bg).Err(); err != nil {
			t.Fatal(err)
		}
		fresh = process()
	}
	first, second := lockOf(t, c[0].Mutex("x")), lockOf(t, c[1].Mutex("x"))
	ctx, cancel := context.WithTimeout(bg, 10*time.Second)
	defer cancel()
	got := make(chan error, 2)
	for _, p := range []*Composite{old, fresh} {
		go func() {
			l, err := p.Lock(ctx)
			if err == nil {
				err = l.Unlock(bg)
			}
			got <- err
		}()
	}
	eventually(t, "both wait", func() bool {
		a, _ := c[0].Mutex("x").Status(bg)
		b, _ := c[1].Mutex("x").Status(bg)
		return a.Waiters+b.Waiters == 2
	})
	unlock(t, first)
	unlock(t, second)
	for range 2 {
		if err := <-got; err != nil {
			t.Errorf("got %v, want that each has its turn", err)
		}
	}
}

// A server that hangs is asked for its id by each call for itself.
func TestALockOfSeveralEndsWithItsContextWhileOthersAskForAnID(t *testing.T) {
	r, hung := newRig(t), redistest.StartT(t)
	c := compositeOf(t, r.client(t, true).Mutex("x"), clientOn(t, hung.Client()).Mutex("x"))
	asked := r.proxy.Count(faultproxy.Script(enrolScript.source))
	if err := hung.Pause(); err != nil {
		t.Fatal(err)
	}
	var calls sync.WaitGroup
	long, stop := context.WithCancel(bg)
	defer func() {
		stop()
		calls.Wait()
		if err := hung.Resume(); err != nil {
			t.Error(err)
		}
	}()
	const others = 3
	for range others {
		calls.Go(func() { _, _ = c.Lock(long) })
	}
	if err := asked.Wait(patience(t), 1); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(bg, 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := c.Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	// Behind the others it would take a call timeout of 3 s each.
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("returned %v after a context of 100ms had begun", took)
	}
}

func TestALockOfSeveralWaitsOutWhatPassesBeforeItsFixedLeasesBegin(t *testing.T) {
	r := newRig(t)
	c := r.client(t, true, WithCallTimeout(100*time.Millisecond))
	both := compositeOf(t, c.Mutex("a", WithLease(20*time.Second)), c.Mutex("b", WithLease(20*time.Second)))
	unlock(t, lockOf(t, both))
	drop := r.proxy.DropRequest(faultproxy.Script(renewScript.source), 0, faultproxy.Silence)
	got := make(chan error, 1)
	go func() {
		l, err := both.Lock(patience(t))
		if err == nil {
			err = l.Unlock(bg)
		}
		got <- err
	}()
	if err := drop.Wait(patience(t), 6); err != nil { // more than one call asks for
		t.Fatal(err)
	}
	drop.Remove()
	if err := <-got; err != nil {
		t.Errorf("gave up though its context lived: %v", err)
	}
}

// forcer takes a lock away in the instant of its first grant.
type forcer struct {
	m    *Mutex
	once sync.Once
	t    *testing.T
}

func (f *forcer) TraceGrant(context.Context, Granted) {
	f.once.Do(func() {
		if freed, err := f.m.ForceUnlock(bg); err != nil || !freed {
			f.t.Errorf("ForceUnlock: %v, %v", freed, err)
		}
	})
}

func TestAGrantThatItsClientTookAwayIsNoLease(t *testing.T) {
	rdb := redistest.StartT(t).Client()
	for what, lock := range map[string]func(*Mutex) (*Lease, error){
		"TryLock": func(m *Mutex) (*Lease, error) { return m.TryLock(bg) },
		"Lock":    func(m *Mutex) (*Lease, error) { return m.Lock(bg) },
	} {
		f := &forcer{t: t}
		c := clientOn(t, rdb, WithTracer(f))
		f.m = c.Mutex(what, WithLease(time.Minute))
		l, err := lock(f.m)
		if what == "TryLock" {
			if !errors.Is(err, ErrLost) {
				t.Errorf("TryLock: got %v, want ErrLost", err)
			}
			continue
		}
		if err != nil {
			t.Fatalf("Lock: %v", err)
		}
		if st, err := f.m.Status(bg); err != nil || st.Token != l.Token() {
			t.Errorf("Lock: token %d, and the server says %+v, %v", l.Token(), st, err)
		}
		unlock(t, l)
	}
}

// Locks in vain on a server that refuses connections leave nothing to be done: no
// request has left.
func TestLocksThatNeverLeftLeaveNothingToDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { pass(time.Minute) }) // what go-redis does after Close has an end too
		rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", Dialer: func(_ context.Context, network, _ string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}})
		t.Cleanup(func() { _ = rdb.Close() })
		c := clientOn(t, rdb)
		for range 20 {
			ctx, cancel := context.WithTimeout(bg, 10*time.Second)
			if _, err := c.Mutex("a", WithTTL(time.Hour)).Lock(ctx); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("got %v, want that connections are refused", err)
			}
			cancel()
		}
		synctest.Wait()
		c.host.mu.Lock()
		defer c.host.mu.Unlock()
		if n := c.host.tasks; n > 5 { // of those that ended while go-redis dialled nobody can tell
			t.Errorf("%d withdrawals of what never left, of 20 Locks", n)
		}
	})
}
