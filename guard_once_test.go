package relock

import (
	"errors"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/faultproxy"
	"github.com/relock-go/relock/internal/redistest"
)

// A guarded write whose reply is lost may have happened; it does not happen
// again.
func TestAGuardedWriteIsNotSentTwice(t *testing.T) {
	m, direct := redistest.Embedded(t)
	p, err := faultproxy.New(m.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	rdb := redis.NewClient(&redis.Options{Addr: p.Addr()})
	t.Cleanup(func() { _ = rdb.Close() })
	g, at := NewGuard(rdb), tokensFromNow()
	const increment = "return redis.call('INCR', KEYS[1])"
	if _, err := g.Eval(bg, "a", at(1, "a"), increment, nil); err != nil {
		t.Fatal(err)
	}
	p.DropReply(faultproxy.Command("evalsha"), 1, faultproxy.Close)
	if _, err := g.Eval(bg, "a", at(1, "a"), increment, nil); !errors.Is(err, engine.ErrUnknown) {
		t.Errorf("got %v where no answer came", err)
	}
	if got := content(t, direct, "a"); got != "2" {
		t.Errorf("two writes have counted to %s", got)
	}
}
