package redistest

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestEmbedded(t *testing.T) {
	m, c := Embedded(t)
	must(t, c.Set(t.Context(), "k", "v", time.Hour).Err())
	if got, err := m.Get("k"); got != "v" || err != nil {
		t.Errorf("Get = %q, %v; want v", got, err)
	}
}

// Two bubbles: what the first leaves outside would break the second.
func TestInMemoryLeasesExpireInVirtualTime(t *testing.T) {
	for range 2 {
		synctest.Test(t, leaseExpires)
	}
}

func leaseExpires(t *testing.T) {
	_, c := EmbeddedInMemory(t)
	ctx := t.Context()
	must(t, c.Set(ctx, "k", "v", time.Hour).Err())
	<-time.After(59 * time.Minute)
	if got := c.PTTL(ctx, "k").Val(); got != time.Minute {
		t.Errorf("PTTL after 59 minutes = %v, want 1m0s", got)
	}
	<-time.After(time.Minute + time.Millisecond)
	if err := c.Get(ctx, "k").Err(); err != redis.Nil {
		t.Errorf("Get after the end of the lease: %v, want redis.Nil", err)
	}
}

func TestInMemoryPubSub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, c := EmbeddedInMemory(t)
		other := InMemoryClient(m, func(o *redis.Options) { o.Protocol = 2 })
		defer other.Close()
		sub := c.Subscribe(t.Context(), "ch")
		defer sub.Close()
		if _, err := sub.Receive(t.Context()); err != nil {
			t.Fatal(err)
		}
		must(t, other.Publish(t.Context(), "ch", "hello").Err())
		got := value[*redis.Message](t)(sub.ReceiveMessage(t.Context()))
		if got.Payload != "hello" {
			t.Errorf("message = %q, want hello", got.Payload)
		}
	})
}
