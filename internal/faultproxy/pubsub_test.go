package faultproxy_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/faultproxy"
)

// payload matches messages by their last word.
func payload(want string) faultproxy.Match {
	return func(push []string) bool { return push[len(push)-1] == want }
}

func TestDroppedMessageIsTheOnlyOneMissing(t *testing.T) {
	for name, protocol := range map[string]func(*redis.Options){"RESP2": resp2, "RESP3": func(*redis.Options) {}} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			sub := r.client(protocol).Subscribe(r.ctx, "ch")
			defer sub.Close()
			r.wantReceive(sub, "subscribe: ch")
			rule := r.proxy.DropPush(payload("lost"), 2)
			for _, s := range []string{"one", "lost", "two", "lost", "lost"} {
				must(t, r.direct.Publish(r.ctx, "ch", s).Err())
			}
			must(t, sub.Ping(r.ctx, "alive"))
			for _, want := range []string{"one", "two", "lost", "Pong<alive>"} {
				r.wantReceive(sub, want)
			}
			if rule.Hits() != 2 {
				t.Errorf("dropped %d, want 2", rule.Hits())
			}
			must(t, sub.PSubscribe(r.ctx, "c*"))
			r.wantReceive(sub, "psubscribe: c*")
		})
	}
}

func (r *rig) wantReceive(sub *redis.PubSub, want string) {
	r.t.Helper()
	got, err := sub.Receive(r.ctx)
	must(r.t, err)
	if text(got) != want {
		r.t.Fatalf("received %q, want %q", text(got), want)
	}
}

func text(msg any) string {
	switch m := msg.(type) {
	case *redis.Message:
		return m.Payload
	case *redis.Subscription:
		return m.Kind + ": " + m.Channel
	case *redis.Pong:
		return m.String()
	}
	return ""
}

// The rule strikes GET only if the confirmations before it, of which there is
// one a channel, were all taken for what they are.
func TestRepliesAreMatchedAmongConfirmations(t *testing.T) {
	r := newRig(t)
	for hello, requests := range map[string][]string{
		"": {
			"SUBSCRIBE a b c\r\nPSUBSCRIBE p\r\nSUBSCRIBE a\r\n", "PING\r\n",
			"UNSUBSCRIBE\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\n", "GET marked\r\n",
		},
		"HELLO 3\r\n": {
			"SUBSCRIBE a b c\r\n", "GET other\r\nLRANGE looks 0 -1\r\n",
			"UNSUBSCRIBE b\r\nUNSUBSCRIBE\r\nUNSUBSCRIBE\r\nPUNSUBSCRIBE\r\n", "GET marked\r\n",
		},
	} {
		c := dial(t, r.proxy.Addr())
		must(t, r.direct.Del(r.ctx, "looks").Err())
		must(t, r.direct.RPush(r.ctx, "looks", "message", "a", "x").Err())
		pushed := r.proxy.DropPush(faultproxy.Word("x"), 0)
		rule := r.proxy.DropReply(faultproxy.Word("marked"), 1, faultproxy.Close)
		others := r.proxy.Count(faultproxy.Any)
		c.send(hello)
		for _, s := range requests {
			c.send(s)
		}
		if hello == "" {
			c.readUntil("punsubscribe\r\n$1\r\np\r\n:0\r\n")
		} else {
			c.readUntil("punsubscribe\r\n_\r\n:0\r\n")
		}
		c.wantEnd()
		must(t, rule.Wait(r.ctx, 1))
		if pushed.Hits() != 0 {
			t.Errorf("after %q an ordinary reply was taken for a push", hello)
		}
		pushed.Remove()
		others.Remove()
	}
}

// A confirmation is the reply of SUBSCRIBE.
func TestLostConfirmation(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.proxy.Addr())
	rule := r.proxy.DropReply(faultproxy.Command("subscribe"), 1, faultproxy.Close)
	c.send("SUBSCRIBE ch\r\n")
	c.wantEnd()
	must(t, rule.Wait(r.ctx, 1))
}
