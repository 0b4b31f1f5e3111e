package relocktest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/redlock"
	"github.com/relock-go/relock/relocktest"
)

var bg = context.Background()

// deployment is what a Server and Nodes have in common.
type deployment struct {
	mutex func(name string, opts ...relock.LockOption) relock.Locker
	take  func(name string) func()
	lose  func(*relock.Lease)
	down  func()
	up    func()
}

var deployments = map[string]func(t testing.TB) deployment{
	"a Server": func(t testing.TB) deployment {
		srv := relocktest.New(t)
		client := srv.Client()
		return deployment{
			mutex: func(name string, opts ...relock.LockOption) relock.Locker { return client.Mutex(name, opts...) },
			take:  srv.Take, lose: srv.Lose, down: srv.Down, up: srv.Up,
		}
	},
	"Nodes": func(t testing.TB) deployment {
		nodes := relocktest.NewNodes(t, 3)
		red := nodes.RedLock()
		each := func(f func(*relocktest.Server)) func() {
			return func() {
				for _, s := range nodes[:2] { // a quorum of them
					f(s)
				}
			}
		}
		return deployment{
			mutex: func(name string, opts ...relock.LockOption) relock.Locker { return red.Mutex(name, opts...) },
			take:  nodes.Take, lose: nodes.Lose,
			down: each((*relocktest.Server).Down), up: each((*relocktest.Server).Up),
		}
	},
}

// everywhere runs check on each deployment, in a bubble and out of it.
func everywhere(t *testing.T, check func(t *testing.T, d deployment)) {
	t.Helper()
	for name, deploy := range deployments {
		t.Run(name+", in real time", func(t *testing.T) {
			t.Parallel()
			check(t, deploy(t))
		})
		t.Run(name+", in a bubble", func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { check(t, deploy(t)) })
		})
	}
}

func lockOf(t testing.TB, l relock.Locker) *relock.Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(bg, time.Minute)
	defer cancel()
	lease, err := l.Lock(ctx)
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	return lease
}

func TestTakenByAnother(t *testing.T) {
	everywhere(t, func(t *testing.T, d deployment) {
		release := d.take("invoices")
		if _, err := d.mutex("invoices").TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
			t.Errorf("got %v, want ErrNotAcquired", err)
		}
		if lease := lockOf(t, d.mutex("receipts")); lease.Err() != nil {
			t.Errorf("another lock is taken too: %v", lease.Err())
		}
		had := make(chan *relock.Lease)
		go func() { had <- lockOf(t, d.mutex("invoices")) }()
		release()
		lease := <-had
		if err := lease.Unlock(bg); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		release() // again: nothing
	})
}

// Everything that a holder can ask says it when Lose returns.
func TestLost(t *testing.T) {
	everywhere(t, func(t *testing.T, d deployment) {
		for _, opts := range [][]relock.LockOption{
			nil,
			{relock.WithLease(time.Minute)},
			{relock.WithMaxHold(time.Minute)},
		} {
			lease := lockOf(t, d.mutex("invoices", opts...))
			ctx := lease.Context()
			d.lose(lease)
			if !errors.Is(lease.Err(), relock.ErrLost) || !errors.Is(context.Cause(ctx), relock.ErrLost) {
				t.Errorf("got %v and cause %v, want ErrLost", lease.Err(), context.Cause(ctx))
			}
			if err := lease.Unlock(bg); !errors.Is(err, relock.ErrLost) {
				t.Errorf("got %v from Unlock, want ErrLost", err)
			}
			d.take("invoices")() // it is free
		}
	})
}

func TestLostWhereExtendIsNoWayAndOfSeveralHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := relocktest.New(t)
		client := srv.Client()
		short := lockOf(t, client.Mutex("short", relock.WithMaxHold(relock.MinTTL)))
		<-time.After(time.Millisecond)
		srv.Lose(short)
		if err := short.Err(); !errors.Is(err, relock.ErrLost) {
			t.Errorf("got %v, want ErrLost", err)
		}
		books := client.Reentrant("books")
		outer := lockOf(t, books)
		inner, err := books.Lock(outer.Context())
		if err != nil {
			t.Fatal(err)
		}
		srv.Lose(inner)
		start := time.Now()
		<-outer.Context().Done()
		if took := time.Since(start); took == 0 || took > relock.DefaultTTL/2 {
			t.Errorf("the other hold learnt of it after %v", took)
		}
	})
}

func TestAWaiterHasTheLockThatWasLost(t *testing.T) {
	everywhere(t, func(t *testing.T, d deployment) {
		lease := lockOf(t, d.mutex("invoices"))
		had := make(chan *relock.Lease)
		go func() { had <- lockOf(t, d.mutex("invoices")) }()
		d.lose(lease)
		if next := <-had; next.Token() <= lease.Token() {
			t.Errorf("got token %d after %d", next.Token(), lease.Token())
		}
	})
}

func TestATTLPassesInNoTime(t *testing.T) {
	start := time.Now()
	synctest.Test(t, func(t *testing.T) {
		srv := relocktest.New(t)
		lease := lockOf(t, srv.Client().Mutex("invoices", relock.WithLease(30*time.Second)))
		began := time.Now()
		<-lease.Context().Done()
		if passed := time.Since(began); passed < 29*time.Second {
			t.Errorf("ended after %v of virtual time", passed)
		}
		<-time.After(time.Second)
		if st, err := srv.Client().Mutex("invoices").Status(bg); err != nil || st.Held {
			t.Errorf("got %+v and %v, want a free lock", st, err)
		}
	})
	took := time.Since(start)
	t.Logf("a TTL of 30 s passed in %v", took)
	if took > 10*time.Second {
		t.Errorf("it took %v of real time", took)
	}
}

// Each test has a server of its own.
func TestServersAreApart(t *testing.T) {
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			srv := relocktest.New(t)
			defer srv.Take("invoices")()
			if srv.Redis().Options().Addr == relocktest.New(t).Redis().Options().Addr {
				t.Error("two servers of one address: a RedLock refuses them")
			}
		})
	}
}

func TestOptionsAreThoseOfAllClients(t *testing.T) {
	srv := relocktest.New(t, relock.WithPrefix("billing"))
	release := srv.Take("invoices")
	mutex := srv.Client(relock.WithTTL(time.Minute)).Mutex("invoices")
	if _, err := mutex.TryLock(bg); !errors.Is(err, relock.ErrNotAcquired) {
		t.Errorf("got %v, want ErrNotAcquired", err)
	}
	release()
	lease := lockOf(t, mutex)
	if left := time.Until(lease.ValidUntil()); left < 31*time.Second {
		t.Errorf("%v left of a TTL of a minute", left)
	}
	srv.Lose(lease)
}

func TestAMultiLockIsLostByAMember(t *testing.T) {
	a, b := relocktest.New(t), relocktest.New(t)
	both, err := redlock.NewMultiLock(a.Client().Mutex("from"), b.Client().Mutex("to"))
	if err != nil {
		t.Fatal(err)
	}
	lease := lockOf(t, both)
	b.Lose(lease.Members()[1])
	if err := lease.Err(); !errors.Is(err, relock.ErrLost) {
		t.Errorf("got %v, want ErrLost", err)
	}
	<-lease.Context().Done()
}

// A mistake of the test fails it, in words that say what to do.
func TestMistakesFailTheTest(t *testing.T) {
	srv := relocktest.New(t)
	client := srv.Client()
	ended := lockOf(t, client.Mutex("ended"))
	_ = ended.Unlock(bg)
	for what, mistake := range map[string]func(tb testing.TB){
		"a lock that is taken":      func(tb testing.TB) { s := relocktest.New(tb); s.Take("a"); s.Take("a") },
		"a name that none can have": func(tb testing.TB) { relocktest.New(tb).Take("") },
		"a lease that has ended":    func(tb testing.TB) { relocktest.New(tb).Lose(ended) },
		"a zero lease":              func(tb testing.TB) { relocktest.New(tb).Lose(&relock.Lease{}) },
		"a lease of another server": func(tb testing.TB) { relocktest.New(tb).Lose(lockOf(t, client.Mutex("a"))) },
		"an option that is refused": func(tb testing.TB) { relocktest.New(tb).Client(relock.WithTTL(0)) },
		"a quorum of no servers":    func(tb testing.TB) { relocktest.NewNodes(tb, 0) },
		"a quorum of too few":       func(tb testing.TB) { relocktest.NewNodes(tb, 3).RedLock(redlock.WithQuorum(1)) },
		"a lease of another prefix": func(tb testing.TB) {
			s := relocktest.New(tb)
			s.Lose(lockOf(t, s.Client(relock.WithPrefix("b")).Mutex("a")))
		},
		"a lease whose lock another has": func(tb testing.TB) {
			s := relocktest.New(tb)
			lease := lockOf(t, s.Client().Mutex("a"))
			if _, err := s.Client().Mutex("a").ForceUnlock(bg); err != nil {
				t.Error(err)
			}
			defer s.Take("a")()
			s.Lose(lease)
		},
		"Redis is down": func(tb testing.TB) {
			s := relocktest.New(tb, relock.WithCallTimeout(50*time.Millisecond))
			s.Down()
			s.Take("a")
		},
	} {
		t.Run(what, func(t *testing.T) {
			f := &failing{TB: t}
			done := make(chan struct{})
			go func() {
				defer close(done)
				mistake(f)
			}()
			<-done
			if f.said == "" {
				t.Error("the test goes on")
			}
			t.Log(f.said)
		})
	}
}
