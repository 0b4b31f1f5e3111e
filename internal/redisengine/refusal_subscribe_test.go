package redisengine_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/lifecycle"
	"github.com/relock-go/relock/internal/redistest"
)

// waitsFor has a goroutine wait for m, however long.
func waitsFor(t *testing.T, m *relock.Mutex) <-chan *relock.Lease {
	t.Helper()
	got := make(chan *relock.Lease, 1)
	go func() {
		lease, err := m.Lock(behaviour.Bg)
		if err != nil {
			t.Error(err)
		}
		got <- lease
	}()
	synctest.Wait()
	return got
}

// refusedFor is for how long a refused SUBSCRIBE is not tried again.
const refusedFor = 30 * time.Second

func TestARefusedSubscribeIsPolledAroundAndTriedAgain(t *testing.T) {
	for name, says := range map[string]string{
		"no right":        "NOPERM this user has no permissions to run the 'subscribe' command",
		"unknown command": "ERR unknown command 'SUBSCRIBE', with args beginning with: ",
		"a proxy's text":  "ERR Pub/Sub is not available on this endpoint",
		"not logged in":   "NOAUTH Authentication required.",
	} {
		t.Run(name, func(t *testing.T) {
			behaviour.InBubble(t, func(b *behaviour.Bubble) {
				t := b.T
				g := b.Gatekeeper()
				g.Refuse("SUBSCRIBE", says)
				holder, _ := b.Client()
				log, said := behaviour.Logged()
				c, _ := b.Client(relock.WithLogger(log))
				lease := behaviour.LockOf(t, holder.Mutex("a"))
				start := time.Now()
				got := waitsFor(t, c.Mutex("a"))
				if st, err := holder.Mutex("a").Status(behaviour.Bg); err != nil || st.Waiters != 1 || time.Since(start) > 0 {
					t.Errorf("%d waiters, %v, after %v; want 1 at once", st.Waiters, err, time.Since(start))
				}
				behaviour.Pass(3*refusedFor + time.Second)
				tried := g.Times("SUBSCRIBE")
				if len(tried) != 4 {
					t.Fatalf("SUBSCRIBE sent at %v, want 4 times in %v", tried, time.Since(start))
				}
				for i := range tried[1:] {
					if d := tried[i+1].Sub(tried[i]); d < refusedFor || d > refusedFor+2*lifecycle.PollInterval {
						t.Errorf("SUBSCRIBE sent again after %v, want %v", d, refusedFor)
					}
				}
				if n := strings.Count(said(), "SUBSCRIBE is refused"); n != 1 || !strings.Contains(said(), says[:20]) {
					t.Errorf("refusal logged %d times, want once with the server's words:\n%s", n, said())
				}
				released := time.Now()
				behaviour.Unlock(t, lease)
				lease = <-got
				if took := time.Since(released); took > lifecycle.PollInterval {
					t.Errorf("had the lock after %v, want within %v", took, lifecycle.PollInterval)
				}

				g.Refuse("SUBSCRIBE", "")
				next := waitsFor(t, holder.Mutex("a"))
				behaviour.Unlock(t, lease)
				lease = <-next
				got = waitsFor(t, c.Mutex("a"))
				behaviour.Pass(refusedFor)
				if !behaviour.EngineOf(c).Listening() || behaviour.EngineOf(c).CannotSubscribe() {
					t.Error("not subscribed, though SUBSCRIBE is accepted now")
				}
				released = time.Now()
				behaviour.Unlock(t, lease)
				behaviour.Unlock(t, <-got)
				if took := time.Since(released); took > 0 {
					t.Errorf("had the lock after %v, want by a message, at once", took)
				}
				if n := strings.Count(said(), "SUBSCRIBE is accepted"); n != 1 {
					t.Errorf("acceptance logged %d times, want once:\n%s", n, said())
				}
				t.Log(said())
			})
		})
	}
}

// Nothing runs while nobody waits, and the first that waits again has SUBSCRIBE be
// tried.
func TestARefusedSubscribeIsNotTriedWhileNobodyWaits(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		t := b.T
		g := b.Gatekeeper()
		g.Refuse("SUBSCRIBE", "ERR no")
		holder, _ := b.Client()
		c, wire := b.Client()
		contend := func() {
			lease := behaviour.LockOf(t, holder.Mutex("a"))
			got := waitsFor(t, c.Mutex("a"))
			behaviour.Unlock(t, lease)
			behaviour.Unlock(t, <-got)
		}
		contend()
		behaviour.Pass(time.Minute)
		before := wire.Writes.Load()
		behaviour.Pass(time.Hour)
		if n := wire.Writes.Load() - before; n > 0 {
			t.Errorf("%d commands of an idle client", n)
		}
		g.Refuse("SUBSCRIBE", "")
		lease := behaviour.LockOf(t, holder.Mutex("a"))
		got := waitsFor(t, c.Mutex("a"))
		if !behaviour.EngineOf(c).Listening() {
			t.Error("SUBSCRIBE was not tried for a new waiter")
		}
		behaviour.Unlock(t, lease)
		behaviour.Unlock(t, <-got)
	})
}

// An error that passes by itself is no refusal: SUBSCRIBE is sent again soon.
func TestASubscribeThatIsNotAcceptedYetIsTriedSoon(t *testing.T) {
	for _, says := range []string{
		"LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down",
		"CLUSTERDOWN The cluster is down", "BUSY Redis is busy running a script", "ERR max number of clients reached",
	} {
		behaviour.InBubble(t, func(b *behaviour.Bubble) {
			t := b.T
			g := b.Gatekeeper()
			g.Refuse("SUBSCRIBE", says)
			holder, _ := b.Client()
			log, said := behaviour.Logged()
			c, _ := b.Client(relock.WithLogger(log))
			lease := behaviour.LockOf(t, holder.Mutex("a"))
			got := waitsFor(t, c.Mutex("a"))
			behaviour.Pass(10 * time.Second)
			if strings.Contains(said(), "refused") || !strings.Contains(said(), "no subscription") || behaviour.EngineOf(c).CannotSubscribe() {
				t.Errorf("%s: logged\n%s", says, said())
			}
			g.Refuse("SUBSCRIBE", "")
			behaviour.Pass(time.Second)
			if !behaviour.EngineOf(c).Listening() {
				t.Errorf("%s: not subscribed a second after it has passed", says)
			}
			behaviour.Unlock(t, lease)
			behaviour.Unlock(t, <-got)
		})
	}
}

// The answer to PING that it may not be sent is an answer.
func TestAPingThatIsRefusedIsNoEndOfASubscription(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		t := b.T
		g := b.Gatekeeper()
		g.Refuse("PING", "NOPERM this user has no permissions to run the 'ping' command")
		holder, _ := b.Client()
		c, _ := b.Client()
		lease := behaviour.LockOf(t, holder.Mutex("a"))
		got := waitsFor(t, c.Mutex("a"))
		behaviour.Pass(10 * relock.DefaultCheckInterval)
		if n := len(g.Times("SUBSCRIBE")); n != 1 || !behaviour.EngineOf(c).Listening() {
			t.Errorf("SUBSCRIBE sent %d times, listening %v; want once", n, behaviour.EngineOf(c).Listening())
		}
		behaviour.Unlock(t, lease)
		behaviour.Unlock(t, <-got)
		synctest.Wait()
	})
}

// On real servers. The call timeout is longer than the test waits: nobody waits
// for it.
func TestAServerThatTakesNoSubscribe(t *testing.T) {
	log, said := behaviour.Logged()
	opts := []relock.Option{relock.WithCallTimeout(time.Minute), relock.WithTTL(5 * time.Minute), relock.WithCheckInterval(time.Minute), relock.WithLogger(log)}
	contend := func(t *testing.T, holder, c *relock.Client) {
		t.Helper()
		for range 3 {
			lease := behaviour.LockOf(t, holder.Mutex("a"))
			got := make(chan *relock.Lease, 1)
			start := time.Now()
			go func() { got <- behaviour.LockOf(t, c.Mutex("a")) }()
			behaviour.AwaitWaiters(t, holder.Mutex("a"), 1)
			queued := time.Since(start)
			start = time.Now()
			behaviour.Unlock(t, lease)
			behaviour.Unlock(t, <-got)
			t.Logf("in the queue after %v, had the lock %v after its release", queued, time.Since(start))
		}
	}
	t.Run("renamed", func(t *testing.T) {
		rdb := redistest.StartT(t, redistest.WithArgs("--rename-command", "SUBSCRIBE", "")).Client()
		contend(t, behaviour.ClientOn(t, rdb), behaviour.ClientOn(t, rdb, opts...))
		if n := strings.Count(said(), "SUBSCRIBE is refused"); n != 1 || !strings.Contains(said(), "unknown command") {
			t.Errorf("logged %d times, want once in the server's words:\n%s", n, said())
		}
		t.Log(said())
	})
	t.Run("no right to the command", func(t *testing.T) {
		r := behaviour.NewRig(t)
		contend(t, r.Client(t, false), behaviour.ClientOn(t, r.User(t, "nosubscribe", "-subscribe"), opts...))
	})
	t.Run("closed at each attempt", func(t *testing.T) {
		r := behaviour.NewRig(t)
		rule := r.Proxy.DropRequest(faultproxy.Command("subscribe"), 0, faultproxy.Close)
		c := r.SplitClient(t, opts...)
		contend(t, r.Client(t, false), c)
		lease := behaviour.LockOf(t, r.Client(t, false).Mutex("a"))
		got := make(chan *relock.Lease, 1)
		go func() { got <- behaviour.LockOf(t, c.Mutex("a")) }()
		behaviour.Eventually(t, "it is logged", func() bool { return strings.Contains(said(), "no subscription") })
		rule.Remove()
		behaviour.Eventually(t, "a subscription", behaviour.EngineOf(c).Listening)
		behaviour.Unlock(t, lease)
		behaviour.Unlock(t, <-got)
	})
}
