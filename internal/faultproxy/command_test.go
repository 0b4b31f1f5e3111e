package faultproxy_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/faultproxy"
)

var incr = faultproxy.Command("INCR")

func TestDroppedReplyOfAnExecutedCommand(t *testing.T) {
	for name, tc := range map[string]struct {
		then faultproxy.Then
		want func(error) bool
	}{
		"close": {faultproxy.Close, isEOF},
		// go-redis looks for pushes first, which loses the reset: it reads EOF.
		"reset":    {faultproxy.Reset, isEOF},
		"silence":  {faultproxy.Silence, isTimeout},
		"truncate": {faultproxy.Truncate, isEOF},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.client()
			rule := r.proxy.DropReply(incr, 1, tc.then)
			ctx := r.ctx
			if tc.then == faultproxy.Silence {
				ctx = r.within(300 * time.Millisecond) // enough for the request to arrive
			}
			if err := c.Incr(ctx, "k").Err(); !tc.want(err) {
				t.Errorf("Incr = %v", err)
			}
			must(t, rule.Wait(r.ctx, 1))
			r.wantValue("k", "1")
			if got, err := c.Incr(r.ctx, "k").Result(); got != 2 || err != nil {
				t.Errorf("the next Incr = %d, %v; want 2", got, err)
			}
			if rule.Hits() != 1 {
				t.Errorf("hits = %d, want 1", rule.Hits())
			}
		})
	}
}

func isEOF(err error) bool { return errors.Is(err, io.EOF) }

func TestDroppedReplyOnTheWire(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.proxy.Addr())
	r.proxy.DropReply(incr, 1, faultproxy.Reset)
	c.send("INCR k\r\n")
	if err := c.wantEnd(); !isReset(err) {
		t.Errorf("read = %v, want a reset", err)
	}
	c = dial(t, r.proxy.Addr())
	r.proxy.DropReply(incr, 1, faultproxy.Truncate)
	c.send("INCR k\r\n")
	c.want(":2")
	if err := c.wantEnd(); !isEOF(err) {
		t.Errorf("read = %v, want EOF", err)
	}
}

// A client that sends again counts twice: what the rule is there to show.
func TestDroppedReplyMakesARetryingClientCountTwice(t *testing.T) {
	r := newRig(t)
	c := r.client(func(o *redis.Options) { o.MaxRetries = 1 })
	sent := r.proxy.Count(incr)
	r.proxy.DropReply(incr, 1, faultproxy.Close)
	if got, err := c.Incr(r.ctx, "k").Result(); got != 2 || err != nil {
		t.Errorf("Incr = %d, %v; want 2", got, err)
	}
	if sent.Hits() != 2 {
		t.Errorf("sent %d times, want 2", sent.Hits())
	}
}

func TestDroppedRequestIsNeverExecuted(t *testing.T) {
	for name, then := range map[string]faultproxy.Then{
		"close": faultproxy.Close, "reset": faultproxy.Reset,
		"silence": faultproxy.Silence, "truncate": faultproxy.Truncate,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.client()
			rule := r.proxy.DropRequest(incr, 1, then)
			sent := r.proxy.Count(incr)
			if err := c.Incr(r.short(), "k").Err(); err == nil {
				t.Error("Incr succeeded")
			}
			r.wantValue("k", "")
			if rule.Hits() != 1 || sent.Hits() != 0 {
				t.Errorf("dropped %d and sent %d, want 1 and 0", rule.Hits(), sent.Hits())
			}
			must(t, c.Incr(r.ctx, "k").Err())
		})
	}
}

func TestHeldRequestIsDeliveredAfterItsClientHasGone(t *testing.T) {
	r := newRig(t)
	c := r.client()
	held := r.proxy.Hold(faultproxy.All(faultproxy.Command("set"), faultproxy.Word("acquire")), 1)
	failed := make(chan error, 1)
	short := r.within(300 * time.Millisecond) // enough for the request to arrive
	go func() { failed <- c.Set(short, "k", "acquire", 0).Err() }()
	<-held.Arrived()
	if err := <-failed; !isTimeout(err) {
		t.Errorf("held Set = %v, want a timeout", err)
	}
	must(t, c.Close())

	must(t, r.client().Set(r.ctx, "k", "withdraw", 0).Err())
	r.wantValue("k", "withdraw")
	held.Release()
	held.Release()
	must(t, held.Delivered(r.ctx))
	r.wantValue("k", "acquire")
}

func TestHeldRequestsAreReleasedInAChosenOrder(t *testing.T) {
	r := newRig(t)
	first, second := r.proxy.Hold(faultproxy.Command("append"), 1), r.proxy.Hold(faultproxy.Command("append"), 1)
	appended := make(chan error, 2)
	push := func(s string, caught *faultproxy.Held) {
		c := r.client()
		go func() { appended <- c.Append(r.ctx, "k", s).Err() }()
		<-caught.Arrived()
	}
	push("1", first)
	push("2", second)
	must(t, r.client().Append(r.ctx, "k", "0").Err())
	second.Release()
	must(t, second.Delivered(r.ctx))
	first.Release()
	must(t, first.Delivered(r.ctx))
	for range 2 {
		must(t, <-appended)
	}
	r.wantValue("k", "021")
}

func TestHeldRequestMayLoseItsReplyToo(t *testing.T) {
	r := newRig(t)
	c := r.client()
	held := r.proxy.Hold(incr, 1)
	lost := r.proxy.DropReply(incr, 1, faultproxy.Close)
	failed := make(chan error, 1)
	go func() { failed <- c.Incr(r.ctx, "k").Err() }()
	<-held.Arrived()
	held.Release()
	if err := <-failed; !isEOF(err) {
		t.Errorf("Incr = %v, want EOF", err)
	}
	must(t, lost.Wait(r.ctx, 1))
	r.wantValue("k", "1")
}

func TestHeldRequestIsLostWhenItsConnectionIsCut(t *testing.T) {
	r := newRig(t)
	c := r.client()
	held := r.proxy.Hold(incr, 1)
	failed := make(chan error, 1)
	go func() { failed <- c.Incr(r.ctx, "k").Err() }()
	<-held.Arrived()
	r.proxy.ResetAll()
	if err := <-failed; err == nil {
		t.Error("Incr succeeded")
	}
	held.Release()
	if err := held.Delivered(r.short()); !isTimeout(err) {
		t.Errorf("Delivered = %v, want a timeout", err)
	}
	r.wantValue("k", "")
}

func TestOneReplyOfAPipelineIsLost(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.proxy.Addr())
	rule := r.proxy.DropReply(faultproxy.Word("b"), 1, faultproxy.Silence)
	c.send("INCR a\r\nINCR a\r\n*2\r\n$4\r\nINCR\r\n$1\r\nb\r\nINCR a\r\n")
	c.want(":1\r\n:2\r\n")
	must(t, rule.Wait(r.ctx, 1))
	c.send("INCR last\r\n")
	r.waitFor("last", "1")
	r.wantValue("a", "3")
	r.wantValue("b", "1")
	must(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	if n, err := c.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("read %d bytes, %v after the lost reply; want silence", n, err)
	}
}

// waitFor returns once the key has the value on the server.
func (r *rig) waitFor(key, want string) {
	r.t.Helper()
	for r.ctx.Err() == nil {
		if r.direct.Get(r.ctx, key).Val() == want {
			return
		}
	}
	r.t.Fatalf("%s never became %q", key, want)
}

func TestRemovedRulesDoNothing(t *testing.T) {
	r := newRig(t)
	c := r.client()
	for _, rule := range []*faultproxy.Rule{
		r.proxy.DropRequest(faultproxy.Any, 0, faultproxy.Close),
		r.proxy.DropReply(faultproxy.Any, 0, faultproxy.Close),
		r.proxy.Hold(faultproxy.Any, 0).Rule,
	} {
		rule.Remove()
	}
	must(t, c.Incr(r.ctx, "k").Err())
}

func TestScriptIsMatchedByNameAndBySource(t *testing.T) {
	r := newRig(t)
	c := r.client()
	script := redis.NewScript("return redis.call('INCR', KEYS[1])")
	calls := r.proxy.Count(faultproxy.Script("return redis.call('INCR', KEYS[1])"))
	other := r.proxy.Count(faultproxy.Script("return 1"))
	must(t, script.Run(r.ctx, c, []string{"k"}).Err()) // EVALSHA, NOSCRIPT, EVAL
	must(t, script.Run(r.ctx, c, []string{"k"}).Err())
	if calls.Hits() != 3 || other.Hits() != 0 {
		t.Errorf("calls = %d and %d, want 3 and 0", calls.Hits(), other.Hits())
	}
}

// Everything that Redis can reply passes unharmed, whichever way it is cut
// into packets.
func TestAllTypesPassUnmodified(t *testing.T) {
	r := newRig(t)
	for _, protocol := range []string{"2", "3"} {
		through, direct := dial(t, r.proxy.Addr()), dial(t, r.server.Addr())
		for _, c := range []raw{through, direct} {
			c.send("HELLO " + protocol + "\r\nECHO hello-done\r\n")
			c.readUntil("hello-done\r\n")
		}
		var b strings.Builder
		for _, kind := range strings.Fields("string integer double null array set map attrib push verbatim bignum true false") {
			if kind == "push" && protocol == "2" || kind == "attrib" && protocol == "2" {
				continue // not allowed there
			}
			fmt.Fprintf(&b, "DEBUG PROTOCOL %s\r\n", kind)
		}
		b.WriteString("\r\nDEBUG NOPE\r\nGET none\r\nLRANGE none 0 -1\r\nCOMMAND INFO get set\r\nECHO the-end\r\n")
		for _, c := range []raw{through, direct} {
			c.send(b.String())
		}
		got, want := through.readUntil("the-end\r\n"), direct.readUntil("the-end\r\n")
		if got != want {
			t.Errorf("RESP%s through the proxy:\n%q\nwant\n%q", protocol, got, want)
		}
	}
}

// readUntil reads up to and including mark.
func (c raw) readUntil(mark string) string {
	c.t.Helper()
	var got strings.Builder
	buf := make([]byte, 1)
	for !strings.HasSuffix(got.String(), mark) {
		if _, err := io.ReadFull(c, buf); err != nil {
			c.t.Fatalf("read %q, %v; want %q", got.String(), err, mark)
		}
		got.Write(buf)
	}
	return got.String()
}
