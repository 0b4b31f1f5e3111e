package faultproxy_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

func isReset(err error) bool { return errors.Is(err, syscall.ECONNRESET) }

func TestCutRefusesUntilRestored(t *testing.T) {
	r := newRig(t)
	c := r.client()
	r.proxy.Cut(faultproxy.Refuse)
	if n := r.proxy.Connections(); n != 0 {
		t.Errorf("%d connections after Cut, want 0", n)
	}
	if _, err := net.Dial("tcp", r.proxy.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial = %v, want refused", err)
	}
	if err := c.Ping(r.ctx).Err(); err == nil {
		t.Error("Ping through a cut")
	}
	must(t, r.proxy.Restore())
	must(t, r.proxy.Restore())
	must(t, r.client().Ping(r.ctx).Err())
}

func TestCutHangsUntilRestored(t *testing.T) {
	r := newRig(t)
	old := dial(t, r.proxy.Addr())
	old.send("PING\r\n")
	old.want("+PONG\r\n")
	r.proxy.Cut(faultproxy.Hang)
	old.wantEnd()
	hung := dial(t, r.proxy.Addr())
	hung.send("INCR k\r\n")
	must(t, hung.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if _, err := hung.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("read = %v, want a timeout", err)
	}
	must(t, hung.SetDeadline(time.Now().Add(time.Minute)))
	must(t, r.proxy.Restore())
	hung.wantEnd()
	r.wantValue("k", "")
	must(t, r.client().Ping(r.ctx).Err())
}

func TestResetAllIsAReset(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.proxy.Addr())
	c.send("PING\r\n")
	c.want("+PONG\r\n")
	r.proxy.ResetAll()
	if err := c.wantEnd(); !isReset(err) {
		t.Errorf("read = %v, want a reset", err)
	}
	must(t, r.client().Ping(r.ctx).Err())
}

func TestBlackholeOfOneDirection(t *testing.T) {
	for name, tc := range map[string]struct {
		dir  faultproxy.Direction
		want string // what the server executed
	}{
		"down: executed, not answered": {faultproxy.Down, "1"},
		"up: never arrives":            {faultproxy.Up, ""},
		"both":                         {faultproxy.Both, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.client()
			r.proxy.Blackhole(tc.dir)
			if err := c.Incr(r.short(), "k").Err(); !isTimeout(err) {
				t.Errorf("Incr = %v, want a timeout", err)
			}
			if tc.want != "" {
				r.waitFor("k", tc.want)
			}
			must(t, r.proxy.Restore())
			must(t, c.Incr(r.ctx, "fresh").Err())
			r.wantValue("k", tc.want)
		})
	}
}

func TestRestoreResetsOnlyWhatLostBytes(t *testing.T) {
	r := newRig(t)
	whole, lossy := dial(t, r.proxy.Addr()), dial(t, r.proxy.Addr())
	for _, c := range []raw{whole, lossy} {
		c.send("PING\r\n")
		c.want("+PONG\r\n")
	}
	rule := r.proxy.DropReply(faultproxy.Command("incr"), 1, faultproxy.Silence)
	lossy.send("INCR k\r\n")
	must(t, rule.Wait(r.ctx, 1))
	must(t, r.proxy.Restore())
	lossy.wantEnd()
	whole.send("PING\r\n")
	whole.want("+PONG\r\n")
}

func TestFreezeSparesNewConnections(t *testing.T) {
	r := newRig(t)
	sub := r.client().Subscribe(r.ctx, "ch")
	defer sub.Close()
	r.wantReceive(sub, "subscribe: ch")
	r.proxy.Freeze(faultproxy.Both)
	must(t, r.client().Ping(r.ctx).Err())
	must(t, r.direct.Publish(r.ctx, "ch", "lost").Err())
	if msg, err := sub.ReceiveTimeout(r.ctx, 50*time.Millisecond); !isTimeout(err) {
		t.Errorf("received %v, %v; want a timeout", msg, err)
	}
	if n := r.direct.PubSubNumSub(r.ctx, "ch").Val()["ch"]; n != 1 {
		t.Errorf("the server sees %d subscribers, want 1", n)
	}
}

func TestDelayAddsLatencyAndKeepsOrder(t *testing.T) {
	const d = 30 * time.Millisecond
	r := newRig(t)
	c := dial(t, r.proxy.Addr())
	c.send("PING\r\n")
	c.want("+PONG\r\n")
	for _, dir := range []faultproxy.Direction{faultproxy.Up, faultproxy.Down} {
		r.proxy.Delay(dir, d)
	}
	start := time.Now()
	const n = 100
	for range n {
		c.send("INCR k\r\n")
	}
	c.want(":1\r\n:2\r\n:3\r\n")
	if took := time.Since(start); took < 2*d {
		t.Errorf("delayed reply after %v, want %v at least", took, 2*d)
	}
	c.readUntil(":100\r\n")
	if took := time.Since(start); took > n*d {
		t.Errorf("%d delayed replies took %v: the delays add up", n, took)
	}
	r.proxy.Delay(faultproxy.Both, 0)
}

func TestClosedConnectionsAreForgotten(t *testing.T) {
	r := newRig(t)
	for range 3 {
		c := dial(t, r.proxy.Addr())
		c.send("INCR k\r\n")
		must(t, c.CloseWrite())
		c.readUntil("\r\n")
		c.wantEnd()
	}
	for r.proxy.Connections() > 0 && r.ctx.Err() == nil {
		must(t, r.direct.Ping(r.ctx).Err())
	}
	r.wantValue("k", "3")
	must(t, r.ctx.Err())
}

func TestServerThatIsDownAndComesBack(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.proxy.Addr())
	c.send("PING\r\n")
	c.want("+PONG\r\n")
	r.server.Kill()
	c.wantEnd()
	if err := readOne(r.proxy.Addr()); !isReset(err) {
		t.Errorf("a connection while the server is down: %v, want a reset", err)
	}
	must(t, r.server.Restart(r.ctx))
	must(t, r.client().Ping(r.ctx).Err())
}

// readOne connects and reads. A reset may come before connect has returned.
func readOne(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Read(make([]byte, 1))
	return err
}

func TestNoise(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.proxy.Addr())
	c.send("*1\r\n?nonsense\r\n")
	c.wantEnd()
}

// Replication is no sequence of replies: it passes as it comes.
func TestReplicaBehindTheProxy(t *testing.T) {
	r := newRig(t, redistest.WithArgs("--repl-diskless-sync-delay", "0"))
	replica := redistest.StartT(t)
	must(t, r.direct.Set(r.ctx, "before", "1", 0).Err())
	_, port, err := net.SplitHostPort(r.proxy.Addr())
	must(t, err)
	_, err = replica.Do(r.ctx, "replicaof", "127.0.0.1", port)
	must(t, err)
	behind := &rig{t: t, ctx: r.ctx, direct: replica.Client()}
	behind.waitFor("before", "1")
	must(t, r.direct.Set(r.ctx, "after", "1", 0).Err())
	behind.waitFor("after", "1")

	r.proxy.Blackhole(faultproxy.Down)
	must(t, r.direct.Set(r.ctx, "lost", "1", 0).Err())
	if got := r.direct.Wait(r.ctx, 1, 50*time.Millisecond).Val(); got != 0 {
		t.Errorf("%d replicas have the write, want 0", got)
	}
	behind.wantValue("lost", "")
}

func TestCloseEndsEverything(t *testing.T) {
	r := newRig(t)
	held := r.proxy.Hold(faultproxy.Word("held"), 1)
	r.proxy.Delay(faultproxy.Up, 0)
	var conns []raw
	for _, s := range []string{"PING\r\n", "INCR held\r\n", "SUBSCRIBE ch\r\n"} {
		c := dial(t, r.proxy.Addr())
		c.send(s)
		conns = append(conns, c)
	}
	<-held.Arrived()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(r.proxy.Close)
	}
	wg.Wait()
	for _, c := range conns {
		_, _ = io.Copy(io.Discard, c)
	}
	held.Release()
	r.wantValue("held", "")
	if err := r.proxy.Restore(); err == nil {
		t.Error("Restore after Close succeeded")
	}
	if _, err := net.Dial("tcp", r.proxy.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dial after Close = %v, want refused", err)
	}
}
