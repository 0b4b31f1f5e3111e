package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

func TestNotReplicatedLeavesNothingThoughTheContextEnds(t *testing.T) {
	s := redistest.StartT(t)
	c := behaviour.ClientOn(t, s.Client())
	ctx, cancel := context.WithCancel(behaviour.Bg)
	behaviour.ManagerOf(c).SetEngine(&cancelAfterRenew{behaviour.ManagerOf(c).Engine(), cancel})
	_, err := c.Mutex("a", relock.WithReplicas(1, 50*time.Millisecond)).Lock(ctx)
	if err == nil {
		t.Error("Lock returned a lease")
	}
	behaviour.Eventually(t, "the lock is free", func() bool {
		st, err := c.Mutex("a").Status(behaviour.Bg)
		return err == nil && !st.Held
	})
}

type cancelAfterRenew struct {
	engine.Engine
	cancel context.CancelFunc
}

func (e *cancelAfterRenew) Renew(ctx context.Context, r *engine.Renewal) (engine.Answer, error) {
	a, err := e.Engine.Renew(ctx, r)
	e.cancel()
	return a, err
}
