package matrix

import (
	"sync"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// Messages that do not arrive, and many that do.

var pubsub = []fault{
	{
		number:    17,
		name:      "a subscription is lost",
		injection: "CLIENT KILL TYPE pubsub; the connection frozen, half open",
		asserted: "the waiter subscribes anew and asks again, and has the lock within min(PTTL, P); a silent subscription is found within " +
			"two check intervals",
		see: "TestWaitersCheckInOnANewSubscription, TestASilentSubscriptionIsFoundWithinTwoCheckIntervals",
		checks: []check{
			{of: "killed", kinds: every, run: subscriptionKilled},
			{of: "half open", kinds: every, run: subscriptionFrozen},
		},
	},
	{
		number:    18,
		name:      "a message is lost",
		injection: "the proxy swallows every message; the unlock falls between the first try and SUBSCRIBE",
		asserted:  "nobody queues before the subscription is confirmed; a lost message delays a turn by the check interval at most",
		see:       "TestAWaiterWithoutMessagesHasTheLockWithinTheCheckInterval",
		checks: []check{
			{of: "every message", kinds: every, run: messagesLost},
			{of: "the lock is freed before the subscription", kinds: every, run: freedBeforeSubscribing},
		},
	},
	{
		number:    34,
		name:      "a thundering herd",
		injection: "120 goroutines in 4 processes, and 24 processes with one each, for one lock",
		asserted: "a release wakes one waiter: on one server at most 1.5 and 2.5 commands a section, the first of each process included; " +
			"on a RedLock at most 6 a section and node",
		see: "TestCommandsOfAContendedSection, TestOneRoundTrip",
		checks: []check{
			{of: "in 4 processes", kinds: []kind{mutex, reentrant}, run: herd(4, 30, 1.5)},
			{of: "in 24 processes", kinds: []kind{mutex, reentrant}, run: herd(24, 1, 2.5)},
			{of: "in 8 processes", kinds: []kind{multi, minority}, run: herd(8, 1, 6)},
		},
	},
}

func subscriptionKilled(w *world) {
	holder, waiter := w.beside(), w.behind(relock.WithCheckInterval(interval))
	for range 2 {
		lease := w.hold(holder.lock(relock.WithTTL(long)))
		got := w.waiter(w.soon(), waiter.lock(relock.WithTTL(long)))
		w.awaitWaiters(1)
		w.command("client", "kill", "type", "pubsub")
		w.unlock(lease)
		w.unlock(w.granted(got, interval))
		w.awaitClean()
	}
}

func subscriptionFrozen(w *world) {
	holder, waiter := w.beside(), w.behind()
	lease := w.hold(holder.lock(relock.WithTTL(long)))
	got := w.waiter(w.soon(), waiter.lock(relock.WithTTL(long)))
	w.awaitWaiters(1)
	w.strike(func(n *node) error { n.proxy.Freeze(faultproxy.Both); return nil }) // the requests' connections too
	w.unlock(lease)
	w.unlock(w.granted(got, call+2*interval))
	w.awaitClean()
}

func messagesLost(w *world) {
	holder, waiter := w.beside(), w.behind()
	w.strike(func(n *node) error { n.proxy.DropPush(faultproxy.Any, 0); return nil })
	for range 3 {
		lease := w.hold(holder.lock(relock.WithTTL(long)))
		got := w.waiter(w.soon(), waiter.lock(relock.WithTTL(long)))
		w.awaitWaiters(1)
		w.unlock(lease)
		w.unlock(w.granted(got, interval))
		w.awaitClean()
	}
}

func freedBeforeSubscribing(w *world) {
	for range 2 {
		holder, waiter := w.beside(), w.behind(relock.WithCallTimeout(10*time.Second)) // a subscription of its own
		lease := w.hold(holder.lock(relock.WithTTL(long)))
		var subscriptions []*faultproxy.Held
		w.strike(func(n *node) error {
			subscriptions = append(subscriptions, n.proxy.Hold(faultproxy.Command("subscribe"), 0))
			return nil
		})
		got := w.waiter(w.soon(), waiter.lock(relock.WithTTL(long)))
		select {
		case <-subscriptions[0].Arrived():
		case lease := <-got: // a quorum's coordinator may be a node that was not struck
			w.Fatalf("the lock is held, and a second Lock returned %v", lease)
		case <-time.After(2 * interval):
		}
		w.unlock(lease)
		for _, s := range subscriptions {
			s.Release()
		}
		w.unlock(w.granted(got, interval))
		w.awaitClean()
	}
}

// herd has n goroutines in each of some processes take turns and bounds the
// commands a section, on the node that was asked most.
func herd(processes, n int, most float64) func(w *world) {
	const turns = 5
	return func(w *world) {
		var locks []relock.Locker
		for range processes { // each knows its nodes from here on
			p := w.beside(relock.WithCheckInterval(15*time.Second), relock.WithCallTimeout(10*time.Second))
			locks = append(locks, p.lock(relock.WithTTL(time.Minute)))
			w.unlock(w.hold(locks[len(locks)-1]))
		}
		w.awaitClean()
		before := w.commands()
		inside, sections := 0, 0 // the lock is their guard
		var wg sync.WaitGroup
		for _, l := range locks {
			for range n {
				wg.Go(func() {
					for range turns {
						lease, err := l.Lock(w.within(time.Minute))
						if err != nil {
							w.Errorf("Lock: %v", err)
							return
						}
						if inside++; inside != 1 {
							w.Errorf("%d inside", inside)
						}
						sections++
						inside--
						w.unlock(lease)
					}
				})
			}
		}
		wg.Wait()
		got := float64(w.commands()-before) / float64(sections)
		if sections != turns*n*processes || got > most {
			w.Errorf("%d sections, want %d; %.2f commands a section, want %.2f at most", sections, turns*n*processes, got, most)
		}
		w.Logf("%.2f commands a section", got)
		w.awaitClean()
	}
}

// commands is how many scripts the busiest node has run.
func (w *world) commands() (most int64) {
	w.Helper()
	for _, n := range w.nodes {
		calls, err := redistest.CommandCalls(bg, n.server.Client(), "evalsha", "eval")
		if err != nil {
			w.Fatal(err)
		}
		most = max(most, calls["evalsha"]+calls["eval"])
	}
	return most
}
