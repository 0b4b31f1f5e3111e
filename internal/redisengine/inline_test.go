package redisengine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// near has c take its server for near, as quick replies in a row would: how
// quick they are is the machine's matter.
func near(t *testing.T, c *relock.Client) {
	t.Helper()
	behaviour.Unlock(t, behaviour.LockOf(t, c.Mutex("near"))) // there is a connection
	behaviour.EngineOf(c).ProveQuick()
	if !behaviour.EngineOf(c).MayEnter() {
		t.Fatal("a near server is not asked inline")
	}
}

func TestADirectRequestDoesNotDelayACancel(t *testing.T) {
	r := behaviour.NewRig(t)
	c := behaviour.ClientOn(t, r.Server.Client())
	held := behaviour.LockOf(t, c.Mutex("held"))
	for _, call := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"Lock", func(ctx context.Context) error { _, err := c.Mutex("free").Lock(ctx); return err }},
		{"Extend", func(ctx context.Context) error { return held.Extend(ctx, time.Minute) }},
		{"Unlock", held.Unlock},
	} {
		near(t, c)
		if err := r.Server.Pause(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(behaviour.Bg)
		ended := make(chan error, 1)
		go func() { ended <- call.do(ctx) }()
		for !behaviour.EngineOf(c).Busy() {
			<-time.After(time.Millisecond)
		}
		at := time.Now()
		cancel()
		err := <-ended
		if took := time.Since(at); took > promptly {
			t.Errorf("%s: returned %v after the cancel, want within 50ms", call.name, took)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want the cancel", call.name, err)
		}
		if err := r.Server.Resume(); err != nil {
			t.Fatal(err)
		}
	}
	behaviour.AwaitClean(t, r.Direct)
}
