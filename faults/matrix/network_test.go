package matrix

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
)

// What a network does between a client and its servers.

var network = []fault{
	{
		number:    5,
		name:      "a client sends a request twice",
		injection: "go-redis with retries and a read timeout of 30 ms, on a server whose replies are held up for 100 ms",
		asserted:  "one Lock is one hold, however often it was executed: after k Locks and k Unlocks the key is gone",
		see:       "TestOneLostReplyCountsNothingTwice",
		checks:    []check{{kinds: every, run: sentTwice}},
	},
	{
		number:    6,
		name:      "a reply is lost",
		injection: "the proxy passes the request on and swallows its reply, with the connection open, closed or reset",
		asserted: "Lock is sent again under the same hold id and counts once; Unlock, sent again, returns nil and frees no successor; " +
			"a Lock that gives up leaves nothing",
		remark: "a RedLock's Unlock may return a QuorumError where the replies of a majority are lost: the release goes on in the background",
		see:    "TestOneLostReplyCountsNothingTwice, TestAnAcquireAfterItsWithdrawalIsRefused",
		checks: []check{{kinds: every, run: replyLost}, {of: "of a Lock that gives up", kinds: every, run: replyLostForGood}},
	},
	{
		number:    7,
		name:      "the network is parted",
		injection: "the proxy swallows requests, or refuses connections",
		asserted: "the lease ends as lost at its deadline, not before, and Unlock returns ErrLost; others have the lock within T + P; " +
			"a RedLock is not concerned while a quorum can be reached",
		see: "TestACutOffHolderLosesItsLeaseBeforeAnotherHasTheLock",
		checks: []check{
			{of: "requests are swallowed", kinds: every, run: strike{begin: blackhole, end: restore}.run},
			{of: "connections are refused", kinds: every, run: strike{
				begin: func(w *world) { w.strike(func(n *node) error { n.proxy.Cut(faultproxy.Refuse); return nil }) }, end: restore,
			}.run},
			{of: "others go on", kinds: decided, run: othersGoOn},
		},
	},
	{
		number: 8,
		name:   "the network is slow, or tears replies",
		injection: "latency beyond the TTL; connections reset at random moments; a reply cut off in its middle; " +
			"every read and write in pieces of 1 to 5 bytes",
		asserted: "a grant that is too old when it arrives is no grant, and is given back; a torn reply is a lost one; pieces change nothing",
		see:      "TestLateAcquiresLeaveNoOrphan",
		checks: []check{
			{of: "latency beyond the TTL", kinds: decided, run: tooSlow},
			{of: "resets", kinds: every, run: resets},
			{of: "a reply is torn", kinds: every, run: tornReply},
			{of: "in pieces", kinds: []kind{mutex, reentrant, multi}, run: inPieces},
		},
	},
}

func blackhole(w *world) {
	w.strike(func(n *node) error { n.proxy.Blackhole(faultproxy.Both); return nil })
}

func restore(w *world) {
	w.Helper()
	w.strike(func(n *node) error { return n.proxy.Restore() })
}

// onKey matches the scripts about the world's lock.
func (w *world) onKey() faultproxy.Match {
	return faultproxy.All(faultproxy.Command("evalsha", "eval"), faultproxy.Word(w.key("lock")))
}

// wantCount checks that the lock is held n times on a node that was struck.
func (w *world) wantCount(lease *relock.Lease, n string) {
	w.Helper()
	for _, m := range lease.Members() { // the first member is the second node's
		lease = m
	}
	server := w.struck()[0].server.Client()
	w.await("its owner's hold on the server", func() bool {
		return server.HGet(bg, w.key("lock"), "owner:"+string(lease.Owner())).Val() != ""
	})
	if got := server.HGet(bg, w.key("lock"), "owner:"+string(lease.Owner())).Val(); got != n {
		w.Errorf("held %s times, want %s", got, n)
	}
}

func sentTwice(w *world) {
	impatient := &process{w: w}
	for _, n := range w.nodes {
		rdb := redis.NewClient(&redis.Options{Addr: n.proxy.Addr(), ReadTimeout: 30 * time.Millisecond, MaxRetries: 3})
		w.Cleanup(func() { _ = rdb.Close() })
		impatient.add(rdb, nil)
	}
	l := impatient.lock(relock.WithTTL(long))
	w.unlock(w.hold(l))
	for range 3 {
		w.strike(func(n *node) error { n.proxy.Delay(faultproxy.Down, 100*time.Millisecond); return nil })
		heal := time.AfterFunc(200*time.Millisecond, func() {
			for _, n := range w.struck() {
				n.proxy.Delay(faultproxy.Down, 0)
			}
		})
		lease := w.hold(l)
		w.wantCount(lease, "1")
		w.unlock(lease)
		heal.Stop()
		restore(w)
		w.awaitClean()
	}
}

func replyLost(w *world) {
	a, b := w.behind(), w.beside()
	w.unlock(w.hold(a.lock()))
	for _, then := range []faultproxy.Then{faultproxy.Silence, faultproxy.Close, faultproxy.Reset} {
		drop := func() (rules []*faultproxy.Rule) {
			for _, n := range w.struck() {
				rules = append(rules, n.proxy.DropReply(w.onKey(), 1, then))
			}
			return rules
		}
		rules := drop()
		lease := w.hold(a.lock(relock.WithTTL(long)))
		w.wantCount(lease, "1")
		for _, rule := range rules {
			w.await("a lost reply", func() bool { return rule.Hits() == 1 })
		}
		next := w.waiter(w.soon(), b.lock(relock.WithTTL(long)))
		w.awaitWaiters(1)
		drop()
		var quorum *relock.QuorumError
		if err := lease.Unlock(w.soon()); err != nil && !errors.As(err, &quorum) {
			w.Errorf("Unlock: %v", err)
		}
		second := w.granted(next, long)
		if err := second.Err(); err != nil {
			w.Errorf("the next holder's lease says %v", err)
		}
		w.wantTaken(a)
		w.wantCount(second, "1")
		w.unlock(second)
		w.awaitClean()
	}
}

func replyLostForGood(w *world) {
	a := w.behind()
	w.unlock(w.hold(a.lock()))
	w.strike(func(n *node) error { n.proxy.Blackhole(faultproxy.Down); return nil })
	if w.kind.outlives {
		w.unlock(w.hold(a.lock()))
	} else {
		w.wantRefused(a)
	}
	restore(w)
	w.wantFree(w.beside(), relock.DefaultTTL/30)
}

func othersGoOn(w *world) {
	lease := w.hold(w.behind().lock(relock.WithTTL(short)))
	got := w.waiter(w.soon(), w.beside().lock(relock.WithTTL(long)))
	w.awaitWaiters(1)
	blackhole(w)
	next := w.granted(got, short+interval+time.Second)
	w.want(lease.Err(), relock.ErrLost) // before another was let in
	w.wantLostAtDeadline(lease)
	w.unlock(next)
	restore(w)
	w.awaitClean()
}

func tooSlow(w *world) {
	p := w.behind(relock.WithCallTimeout(3 * time.Second))
	w.unlock(w.hold(p.lock()))
	const ttl = 200 * time.Millisecond
	w.strike(func(n *node) error { n.proxy.Delay(faultproxy.Down, 2*ttl); return nil })
	lease, err := p.lock(relock.WithTTL(ttl)).Lock(w.within(5 * ttl))
	if lease != nil {
		w.Error("a grant that was over when it arrived was taken for one")
	}
	w.want(err, context.DeadlineExceeded)
	if errors.Is(err, relock.ErrNotAcquired) {
		w.Errorf("got %v, and nobody said that the lock is taken", err)
	}
	w.strike(func(n *node) error { n.proxy.Delay(faultproxy.Down, 0); return nil })
	w.wantFree(w.beside(), ttl)
}

func resets(w *world) {
	p := w.behind()
	w.unlock(w.hold(p.lock()))
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			case <-time.After(15 * time.Millisecond):
				w.strike(func(n *node) error { n.proxy.ResetAll(); return nil })
			}
		}
	}()
	for range 10 {
		lease := w.hold(p.lock(relock.WithTTL(long)))
		w.wantTaken(w.beside())
		// Where each answer was torn off it goes on in the background.
		if err := lease.Unlock(w.soon()); errors.Is(err, relock.ErrLost) || errors.Is(err, relock.ErrNotHeld) {
			w.Errorf("Unlock: %v", err)
		}
	}
	close(stop)
	<-ended
	w.awaitClean()
}

func tornReply(w *world) {
	p := w.behind()
	w.unlock(w.hold(p.lock()))
	for range 3 {
		w.strike(func(n *node) error { n.proxy.DropReply(w.onKey(), 1, faultproxy.Truncate); return nil })
		lease := w.hold(p.lock(relock.WithTTL(long)))
		w.wantCount(lease, "1")
		w.unlock(lease)
		w.awaitClean()
	}
}

// sliced is a connection whose every read and write is of a few bytes.
type sliced struct {
	net.Conn
	n int
}

func (s *sliced) size(most int) int {
	s.n = s.n%5 + 1
	return min(s.n, most)
}

func (s *sliced) Read(b []byte) (int, error) { return s.Conn.Read(b[:s.size(len(b))]) }

func (s *sliced) Write(b []byte) (written int, err error) {
	for written < len(b) && err == nil {
		var n int
		n, err = s.Conn.Write(b[written : written+s.size(len(b)-written)])
		written += n
	}
	return written, err
}

func inPieces(w *world) {
	pieces := func() *process {
		p := &process{w: w}
		for _, n := range w.nodes {
			rdb := redis.NewClient(&redis.Options{Addr: n.server.Addr(), Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				return &sliced{Conn: conn}, err
			}})
			w.Cleanup(func() { _ = rdb.Close() })
			p.add(rdb, nil)
		}
		return p
	}
	a, b := pieces(), pieces()
	w.name += strings.Repeat("-long", 20)
	for range 3 {
		lease := w.hold(a.lock(relock.WithTTL(long)))
		got := w.waiter(w.soon(), b.lock(relock.WithTTL(long)))
		w.awaitWaiters(1)
		w.unlock(lease)
		w.unlock(w.granted(got, long))
	}
	w.awaitClean()
}
