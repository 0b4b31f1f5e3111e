package relock

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2/server"

	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// A server, or what stands before it, that takes no SUBSCRIBE.

// A gatekeeper answers some commands of the embedded server with an error.
type gatekeeper struct {
	mu    sync.Mutex
	says  map[string]string // by command
	asked map[string][]time.Time
}

func (b *bubble) gatekeeper() *gatekeeper {
	g := &gatekeeper{says: map[string]string{}, asked: map[string][]time.Time{}}
	b.rdb.Ping(bg) // the first connection makes the server
	b.server.Server().SetPreHook(func(c *server.Peer, cmd string, _ ...string) bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.asked[cmd] = append(g.asked[cmd], time.Now())
		says, refused := g.says[cmd]
		if refused {
			c.WriteError(says)
		}
		return refused
	})
	return g
}

// refuse has cmd be answered with an error, or, if that is empty, be let through.
func (g *gatekeeper) refuse(cmd, says string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.says[cmd] = says; says == "" {
		delete(g.says, cmd)
	}
}

// times returns when cmd was sent.
func (g *gatekeeper) times(cmd string) []time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.asked[cmd]
}

// waitsFor has a goroutine wait for m, however long.
func waitsFor(t *testing.T, m *Mutex) <-chan *Lease {
	t.Helper()
	got := make(chan *Lease, 1)
	go func() {
		lease, err := m.Lock(bg)
		if err != nil {
			t.Error(err)
		}
		got <- lease
	}()
	synctest.Wait()
	return got
}

func TestARefusedSubscribeIsPolledAroundAndTriedAgain(t *testing.T) {
	for name, says := range map[string]string{
		"no right":        "NOPERM this user has no permissions to run the 'subscribe' command",
		"unknown command": "ERR unknown command 'SUBSCRIBE', with args beginning with: ",
		"a proxy's text":  "ERR Pub/Sub is not available on this endpoint",
		"not logged in":   "NOAUTH Authentication required.",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bubble) {
				t := b.t
				g := b.gatekeeper()
				g.refuse("SUBSCRIBE", says)
				holder, _ := b.client()
				log, said := logged()
				c, _ := b.client(WithLogger(log))
				lease := lockOf(t, holder.Mutex("a"))
				start := time.Now()
				got := waitsFor(t, c.Mutex("a"))
				if st, err := holder.Mutex("a").Status(bg); err != nil || st.Waiters != 1 || time.Since(start) > 0 {
					t.Errorf("%d waiters, %v, after %v; want 1 at once", st.Waiters, err, time.Since(start))
				}
				pass(3*subscribeEvery + time.Second)
				tried := g.times("SUBSCRIBE")
				if len(tried) != 4 {
					t.Fatalf("SUBSCRIBE sent at %v, want 4 times in %v", tried, time.Since(start))
				}
				for i := range tried[1:] {
					if d := tried[i+1].Sub(tried[i]); d < subscribeEvery || d > subscribeEvery+2*deafCheck {
						t.Errorf("SUBSCRIBE sent again after %v, want %v", d, subscribeEvery)
					}
				}
				if n := strings.Count(said(), "SUBSCRIBE is refused"); n != 1 || !strings.Contains(said(), says[:20]) {
					t.Errorf("refusal logged %d times, want once with the server's words:\n%s", n, said())
				}
				released := time.Now()
				unlock(t, lease)
				lease = <-got
				if took := time.Since(released); took > deafCheck {
					t.Errorf("had the lock after %v, want within %v", took, deafCheck)
				}

				g.refuse("SUBSCRIBE", "")
				next := waitsFor(t, holder.Mutex("a"))
				unlock(t, lease)
				lease = <-next
				got = waitsFor(t, c.Mutex("a"))
				pass(subscribeEvery)
				if !c.eng.Listening() || c.eng.Deaf() {
					t.Error("not subscribed, though SUBSCRIBE is accepted now")
				}
				released = time.Now()
				unlock(t, lease)
				unlock(t, <-got)
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
	inBubble(t, func(b *bubble) {
		t := b.t
		g := b.gatekeeper()
		g.refuse("SUBSCRIBE", "ERR no")
		holder, _ := b.client()
		c, wire := b.client()
		contend := func() {
			lease := lockOf(t, holder.Mutex("a"))
			got := waitsFor(t, c.Mutex("a"))
			unlock(t, lease)
			unlock(t, <-got)
		}
		contend()
		pass(time.Minute)
		before := wire.writes.Load()
		pass(time.Hour)
		if n := wire.writes.Load() - before; n > 0 {
			t.Errorf("%d commands of an idle client", n)
		}
		g.refuse("SUBSCRIBE", "")
		lease := lockOf(t, holder.Mutex("a"))
		got := waitsFor(t, c.Mutex("a"))
		if !c.eng.Listening() {
			t.Error("SUBSCRIBE was not tried for a new waiter")
		}
		unlock(t, lease)
		unlock(t, <-got)
	})
}

// An error that passes by itself is no refusal: SUBSCRIBE is sent again soon.
func TestASubscribeThatIsNotAcceptedYetIsTriedSoon(t *testing.T) {
	for _, says := range []string{
		"LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down",
		"CLUSTERDOWN The cluster is down", "BUSY Redis is busy running a script", "ERR max number of clients reached",
	} {
		inBubble(t, func(b *bubble) {
			t := b.t
			g := b.gatekeeper()
			g.refuse("SUBSCRIBE", says)
			holder, _ := b.client()
			log, said := logged()
			c, _ := b.client(WithLogger(log))
			lease := lockOf(t, holder.Mutex("a"))
			got := waitsFor(t, c.Mutex("a"))
			pass(10 * time.Second)
			if strings.Contains(said(), "refused") || !strings.Contains(said(), "no subscription") || c.eng.Deaf() {
				t.Errorf("%s: logged\n%s", says, said())
			}
			g.refuse("SUBSCRIBE", "")
			pass(time.Second)
			if !c.eng.Listening() {
				t.Errorf("%s: not subscribed a second after it has passed", says)
			}
			unlock(t, lease)
			unlock(t, <-got)
		})
	}
}

// The answer to PING that it may not be sent is an answer.
func TestAPingThatIsRefusedIsNoEndOfASubscription(t *testing.T) {
	inBubble(t, func(b *bubble) {
		t := b.t
		g := b.gatekeeper()
		g.refuse("PING", "NOPERM this user has no permissions to run the 'ping' command")
		holder, _ := b.client()
		c, _ := b.client()
		lease := lockOf(t, holder.Mutex("a"))
		got := waitsFor(t, c.Mutex("a"))
		pass(10 * DefaultCheckInterval)
		if n := len(g.times("SUBSCRIBE")); n != 1 || !c.eng.Listening() {
			t.Errorf("SUBSCRIBE sent %d times, listening %v; want once", n, c.eng.Listening())
		}
		unlock(t, lease)
		unlock(t, <-got)
		synctest.Wait()
	})
}

// On real servers. The call timeout is longer than the test waits: nobody waits
// for it.
func TestAServerThatTakesNoSubscribe(t *testing.T) {
	log, said := logged()
	opts := []Option{WithCallTimeout(time.Minute), WithTTL(5 * time.Minute), WithCheckInterval(time.Minute), WithLogger(log)}
	contend := func(t *testing.T, holder, c *Client) {
		t.Helper()
		for range 3 {
			lease := lockOf(t, holder.Mutex("a"))
			got := make(chan *Lease, 1)
			start := time.Now()
			go func() { got <- lockOf(t, c.Mutex("a")) }()
			awaitWaiters(t, holder.Mutex("a"), 1)
			queued := time.Since(start)
			start = time.Now()
			unlock(t, lease)
			unlock(t, <-got)
			t.Logf("in the queue after %v, had the lock %v after its release", queued, time.Since(start))
		}
	}
	t.Run("renamed", func(t *testing.T) {
		rdb := redistest.StartT(t, redistest.WithArgs("--rename-command", "SUBSCRIBE", "")).Client()
		contend(t, clientOn(t, rdb), clientOn(t, rdb, opts...))
		if n := strings.Count(said(), "SUBSCRIBE is refused"); n != 1 || !strings.Contains(said(), "unknown command") {
			t.Errorf("logged %d times, want once in the server's words:\n%s", n, said())
		}
		t.Log(said())
	})
	t.Run("no right to the command", func(t *testing.T) {
		r := newRig(t)
		contend(t, r.client(t, false), clientOn(t, r.user(t, "nosubscribe", "-subscribe"), opts...))
	})
	t.Run("closed at each attempt", func(t *testing.T) {
		r := newRig(t)
		rule := r.proxy.DropRequest(faultproxy.Command("subscribe"), 0, faultproxy.Close)
		c := r.splitClient(t, opts...)
		contend(t, r.client(t, false), c)
		lease := lockOf(t, r.client(t, false).Mutex("a"))
		got := make(chan *Lease, 1)
		go func() { got <- lockOf(t, c.Mutex("a")) }()
		eventually(t, "it is logged", func() bool { return strings.Contains(said(), "no subscription") })
		rule.Remove()
		eventually(t, "a subscription", c.eng.Listening)
		unlock(t, lease)
		unlock(t, <-got)
	})
}
