package redisengine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redistest"
)

func TestInspectorFindsLocksOnEveryMaster(t *testing.T) {
	for name, start := range map[string]func(t *testing.T) relock.Redis{
		"embedded":  func(t *testing.T) relock.Redis { _, rdb := redistest.Embedded(t); return rdb },
		"real":      func(t *testing.T) relock.Redis { return redistest.StartT(t).Client() },
		"a cluster": func(t *testing.T) relock.Redis { return redistest.StartClusterT(t).Client() },
	} {
		t.Run(name, func(t *testing.T) {
			c := behaviour.ClientOn(t, start(t), relock.WithPrefix("a[b]*"))
			var want []string
			for i := range 20 {
				m := c.Mutex(fmt.Sprintf("job {%d} %d", i, i))
				want = append(want, m.Name())
				behaviour.LockOf(t, m)
			}
			free := behaviour.LockOf(t, c.Mutex("free"))
			behaviour.Unlock(t, free)
			slices.Sort(want)
			in := behaviour.InspectorOf(c)
			got, err := in.Names(behaviour.Bg)
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("got %q and %v, want %q", got, err, want)
			}
			all, errs := in.Statuses(behaviour.Bg, append(got, "free"))
			for i, st := range all {
				if errs[i] != nil || st.Held != (i < len(want)) {
					t.Errorf("status %d: %+v, %v", i, st, errs[i])
				}
			}
		})
	}
}

func TestInspectorForcesTheTokenItShowed(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	c := behaviour.ClientOn(t, rdb)
	in, m := behaviour.InspectorOf(c), c.Mutex("job")
	first := behaviour.LockOf(t, m)
	behaviour.Unlock(t, first)
	second := behaviour.LockOf(t, m)
	if freed, err := in.Force(behaviour.Bg, "job", int64(first.Token())); freed || err != nil {
		t.Errorf("Force of an earlier token: %v, %v; want false", freed, err)
	}
	other := behaviour.ClientOn(t, rdb).Mutex("job") // one of the same client would wait in memory
	ctx, cancel := context.WithCancel(behaviour.Bg)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = other.Lock(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	behaviour.AwaitWaiters(t, m, 1)
	st, queue, err := in.Queue(behaviour.Bg, "job", 10)
	if err != nil || st.Token != int64(second.Token()) || len(queue) != 1 || queue[0].Owner == "" || queue[0].Life <= 0 {
		t.Errorf("got %+v, %+v, %v", st, queue, err)
	}
	if freed, err := in.Force(behaviour.Bg, "job", st.Token); !freed || err != nil {
		t.Errorf("Force of the token that holds it: %v, %v; want true", freed, err)
	}
}
