package lifecycle_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

// lateMessage lets the grant's message arrive after Unlock took the hold out of
// the host and before its release reached the server.
type lateMessage struct {
	*redis.Client
	done    atomic.Bool
	deliver func()
}

func (l *lateMessage) Process(ctx context.Context, cmd redis.Cmder) error {
	if cmd.Args()[1] == behaviour.ScriptName("release.lua") && l.deliver != nil {
		if l.done.CompareAndSwap(false, true) {
			l.deliver()
			<-time.After(50 * time.Millisecond) // in which a stray grant would be released
		}
	}
	return l.Client.Process(ctx, cmd)
}

func TestALateGrantMessageIsNoLoss(t *testing.T) {
	s := redistest.StartT(t)
	rdb := &lateMessage{Client: s.Client()}
	c := behaviour.ClientOn(t, rdb)
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("warm")))
	l := behaviour.LockOf(t, c.Mutex("late"))
	m := engine.Message{Name: "late", Hold: behaviour.HoldOf(l).Request().Hold, Token: behaviour.HoldOf(l).Token(), Left: 9 * time.Second}
	rdb.deliver = func() { behaviour.ManagerOf(c).Deliver(m) }
	if err := l.Unlock(behaviour.Bg); err != nil {
		t.Errorf("Unlock: %v, want nil: the lease was valid", err)
	}
}
