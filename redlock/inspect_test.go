package redlock_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
)

func TestAViewOfTheLocksOnAQuorum(t *testing.T) {
	r := newRig(t, 3)
	red, other := redLock(t, r.addrs()), redLock(t, r.addrs())
	in := access.QuorumInspector(other)
	if names, err := in.Names(bg); err != nil || len(names) != 0 {
		t.Errorf("no locks: got %q and %v", names, err)
	}
	first := lock(t, red.Mutex("a {b} c"))
	second := lock(t, red.Mutex("d"))
	alone := lock(t, clients(t, r.addrs())[0].Mutex("of one server"))
	ctx, cancel := context.WithCancel(bg)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = other.Mutex("a {b} c").Lock(ctx)
	}()
	defer func() {
		cancel()
		<-ended
	}()
	eventually(t, "it waits", func() bool {
		st, err := red.Mutex("a {b} c").Status(bg)
		return err == nil && st.Waiters == 1
	})
	see := func(when string) {
		t.Helper()
		names, err := in.Names(bg)
		if want := []string{"a {b} c", "d"}; err != nil || !slices.Equal(names, want) {
			t.Fatalf("%s: got %q and %v, want %q", when, names, err, want)
		}
		all, errs := in.Statuses(bg, append(names, "free"))
		for i, st := range all {
			if errs[i] != nil || st.Held != (i < 2) {
				t.Errorf("%s: status %d: %+v, %v", when, i, st, errs[i])
			}
		}
		eventually(t, "the waiter is seen", func() bool { // if the coordinator hangs, once it queues at the next
			st, queue, err := in.Queue(bg, "a {b} c", 10)
			if err != nil || st.Token != int64(first.Token()) || st.Owner != string(first.Owner()) {
				t.Errorf("%s: got %+v, %+v, %v", when, st, queue, err)
			}
			return len(queue) == 1
		})
	}
	see("all nodes live")
	if err := r.servers[2].Pause(); err != nil {
		t.Fatal(err)
	}
	see("one hangs")
	if err := r.servers[2].Resume(); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	eventually(t, "it waits no more", func() bool { // it would have what is taken away
		st, err := red.Mutex("a {b} c").Status(bg)
		return err == nil && st.Waiters == 0
	})
	if freed, err := in.Force(bg, "a {b} c", int64(first.Token())-1); freed || err != nil {
		t.Errorf("Force of another token: %v, %v; want false", freed, err)
	}
	if freed, err := in.Force(bg, "a {b} c", int64(first.Token())); !freed || err != nil {
		t.Errorf("Force of the holder's: %v, %v; want true", freed, err)
	}
	if st, err := red.Mutex("a {b} c").Status(bg); err != nil || st.Held {
		t.Errorf("freed: got %+v and %v", st, err)
	}

	r.direct[0].Set(bg, "relock:redlock:{odd}", "x", 0)
	r.direct[1].Set(bg, "relock:redlock:{odd}", "x", 0)
	if _, errs := in.Statuses(bg, []string{"odd", "d"}); !errors.Is(errs[0], relock.ErrWrongType) || errs[1] != nil {
		t.Errorf("a key that is no lock, beside one that is: got %v", errs)
	}
	if _, _, err := in.Queue(bg, "odd", 1); !errors.Is(err, relock.ErrWrongType) {
		t.Errorf("the queue of what is no lock: got %v", err)
	}
	_ = first.Unlock(bg) // it was taken away
	unlock(t, second)
	unlock(t, alone)
	r.servers[0].Kill()
	r.servers[1].Kill()
	_, err := in.Names(bg)
	_, errs := in.Statuses(bg, []string{"d"})
	_, _, queueErr := in.Queue(bg, "d", 1)
	for _, err := range append(errs, err, queueErr) {
		var few *relock.QuorumError
		if !errors.As(err, &few) || !engine.Unanswered(err) {
			t.Errorf("two of three down: got %v, want a QuorumError of nodes that did not answer", err)
		}
	}
}
