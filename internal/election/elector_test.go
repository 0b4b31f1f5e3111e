package election_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
)

// run has e stand until stop is called, which returns what Run did.
func run(e *relock.Elector) (stop func() error) {
	ctx, cancel := context.WithCancelCause(behaviour.Bg)
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	synctest.Wait()
	return func() error {
		cancel(errWork)
		return <-done
	}
}

// wantLeading checks whether e leads, by all that it says.
func wantLeading(t *testing.T, e *relock.Elector, want bool) {
	t.Helper()
	synctest.Wait()
	err := e.IsLeader(behaviour.Bg)
	if !want {
		behaviour.WantErr(t, err, relock.ErrNotLeader)
	}
	if e.Leading() != want || (err == nil) != want || (e.Token() > 0) != want || (e.Sequencer().Owner != "") != want {
		t.Errorf("got leading %v, %v, token %d and %+v, want leading %v", e.Leading(), err, e.Token(), e.Sequencer(), want)
	}
}

func TestAnElectorLeadsWhileItHasTheLock(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		clients, wires := b.Clients(2)
		one, two := relock.NewElector(clients[0].Mutex("a")), relock.NewElector(clients[1].Mutex("a"))
		wantLeading(t, one, false)
		stopOne, stopTwo := run(one), run(two)
		behaviour.Pass(3 * behaviour.TTL)
		wantLeading(t, one, true)
		wantLeading(t, two, false)
		behaviour.WantErr(t, behaviour.Within(time.Second, one.Run)(behaviour.Bg), relock.ErrInvalid)

		was := one.Token()
		wires[0].CutOff()
		behaviour.Pass(2 * behaviour.TTL)
		wantLeading(t, one, false)
		wantLeading(t, two, true)
		if two.Token() <= was {
			t.Errorf("token %d comes after %d", two.Token(), was)
		}
		wires[0].Silent.Store(false)
		behaviour.Pass(time.Minute)
		behaviour.WantErr(t, stopTwo(), errWork)
		wantLeading(t, two, false)
		wantLeading(t, one, true)
		behaviour.WantErr(t, stopOne(), errWork)
		wantLeading(t, one, false)
		b.WantFree(clients[0], "a")

		stopOne = run(one) // again
		wantLeading(t, one, true)
		behaviour.WantErr(t, stopOne(), errWork)
	})
}

func TestResignHandsOver(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		clients, _ := b.Clients(2)
		one, two := relock.NewElector(clients[0].Mutex("a")), relock.NewElector(clients[1].Mutex("a"))
		behaviour.WantErr(t, one.Resign(behaviour.Bg), relock.ErrNotLeader)
		stopOne, stopTwo := run(one), run(two)
		behaviour.WantErr(t, two.Resign(behaviour.Bg), relock.ErrNotLeader)
		if err := one.Resign(behaviour.Bg); err != nil {
			t.Error(err)
		}
		wantLeading(t, one, false)
		wantLeading(t, two, true)
		behaviour.Pass(time.Minute)
		wantLeading(t, two, true)
		if err := two.Resign(behaviour.Bg); err != nil {
			t.Error(err)
		}
		wantLeading(t, one, true) // which has waited since its pause was over
		behaviour.WantErr(t, stopTwo(), errWork)

		if err := one.Resign(behaviour.Bg); err != nil { // to nobody
			t.Error(err)
		}
		b.WantFree(clients[0], "a")
		behaviour.Pass(2 * relock.DefaultLeadPause)
		wantLeading(t, one, true)
		b.Server.Del("relock:lock:{a}")
		behaviour.WantErr(t, one.Resign(behaviour.Bg), relock.ErrLost)
		wantLeading(t, one, false)
		behaviour.WantErr(t, stopOne(), errWork)
	})
}

// Who watches sees each leader, and stands in nobody's way.
func TestWatchWithoutStanding(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		clients, wires := b.Clients(3)
		kept := clients[0].Mutex("a", relock.WithMinHold(time.Minute))
		one, two, watcher := relock.NewElector(kept), relock.NewElector(clients[1].Mutex("a")), relock.NewElector(clients[2].Mutex("a"))
		ctx, cancel := context.WithCancel(behaviour.Bg)
		type seen struct {
			st  relock.Status
			err error
		}
		saw := make(chan seen)
		go func() {
			defer close(saw)
			for st, err := range watcher.Watch(ctx, time.Second) {
				saw <- seen{st, err}
			}
		}()
		if s := <-saw; s.err != nil || s.st.Held {
			t.Errorf("got %+v, want nobody", s)
		}
		stop := run(one)
		if s := <-saw; s.err != nil || !s.st.Held || s.st.Token != one.Token() || s.st.Owner != one.Sequencer().Owner || s.st.Waiters != 0 {
			t.Errorf("got %+v, want the first", s)
		}
		_ = stop()
		ended := time.Now()
		if s := <-saw; s.err != nil || s.st.Held || time.Since(ended) > time.Second {
			t.Errorf("got %+v after %v, want nobody at once: a minimum is nobody's", s, time.Since(ended))
		}
		stop = run(two)
		if s := <-saw; s.err != nil || s.st.Token != two.Token() || s.st.Token == 0 {
			t.Errorf("got %+v, want the second", s)
		}
		behaviour.Pass(time.Minute) // no news
		wires[2].CutOff()
		if s := <-saw; s.err == nil || s.st.Held {
			t.Errorf("got %+v, want that nobody could be asked", s)
		}
		wires[2].Silent.Store(false)
		for s := range saw {
			if s.err == nil {
				if s.st.Token != two.Token() {
					t.Errorf("got %+v, want the second again", s)
				}
				break
			}
		}
		cancel()
		if s, open := <-saw; open {
			t.Errorf("got %+v after the end", s)
		}
		_ = stop()
	})
}

func TestWatchIsRefused(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		for what, e := range map[string]*relock.Elector{
			"a Locker without Status": relock.NewElector(wrapped{c.Mutex("a")}),
			"an invalid lock":         relock.NewElector(c.Mutex("")),
			"an invalid Elector":      relock.NewElector(nil),
		} {
			for st, err := range e.Watch(behaviour.Bg, time.Second) {
				behaviour.WantErr(t, err, relock.ErrInvalid)
				if st != (relock.Status{}) {
					t.Errorf("%s: got %+v", what, st)
				}
			}
		}
		for _, every := range []time.Duration{0, 2 * time.Hour} {
			for _, err := range relock.NewElector(c.Mutex("a")).Watch(behaviour.Bg, every) {
				behaviour.WantErr(t, err, relock.ErrInvalid)
			}
		}
	})
}
