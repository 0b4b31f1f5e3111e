package redisengine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

func TestWhatComesTogetherLeavesTogether(t *testing.T) {
	inLab(t, func(l *lab) {
		under := l.occupied()
		for _, hold := range []string{"a", "b"} {
			l.acquire(hold)
		}
		l.renew("c")
		l.release("d")
		l.acquire("e")
		l.wantNothing("though as many were under way as may be")
		under[0].answer()
		if s := l.wantHolds(l.next(), "c d a b e"); !s.pipeline {
			t.Error("not as one pipeline")
		} else {
			s.answer()
		}
		l.rest(under[1])
	})
}

func TestAPipelineIsNoLongerThanMaxBatch(t *testing.T) {
	inLab(t, func(l *lab) {
		under := l.occupied()
		for i := range 100 {
			l.acquire(fmt.Sprint(i))
		}
		under[0].answer()
		first := l.next()
		if n := len(first.cmds); n != 64 {
			t.Errorf("%d commands in a pipeline, want 64", n)
		}
		first.answer()
		if n := len(l.next().answerAll()); n != 36 {
			t.Errorf("then %d, want 36", n)
		}
		l.rest(under[1])
	})
}

// answerAll answers, and returns what was sent.
func (s *sending) answerAll() string { s.answer(); return strings.Repeat(".", len(s.cmds)) }

// What is given up while it waits does not leave, and says so; nothing counts as under
// way for it.
func TestWhatIsGivenUpInADispatcherDoesNotLeave(t *testing.T) {
	inLab(t, func(l *lab) {
		under := l.occupied()
		r := &engine.Request{Copies: new(atomic.Int32)}
		given := l.ask(&request{hold: "given up", carried: []*engine.Request{r}})
		l.acquire("other")
		given.cancel()
		if !given.done() {
			t.Fatal("it still waits")
		}
		if !errors.Is(given.err, engine.ErrUnsent) || !errors.Is(given.err, context.Canceled) || engine.ClassOf(given.err) != engine.Unsent {
			t.Errorf("got %v, want that it was not sent, and why", given.err)
		}
		if n := r.Copies.Load(); n != 0 {
			t.Errorf("%d copies of it count as under way", n)
		}
		under[0].answer()
		l.wantHolds(l.next(), "other").answer()
		l.rest(under[1])
	})
}

// What is given up once it is being sent may take effect: that is not known.
func TestWhatIsGivenUpOnItsWayMayTakeEffect(t *testing.T) {
	inLab(t, func(l *lab) {
		a := l.acquire("a")
		s := l.next() // not written yet
		a.cancel()
		if !a.done() || !errors.Is(a.err, engine.ErrUnknown) {
			t.Errorf("got %v, want that it is not known", a.err)
		}
		s.answer()
	})
}

// A withdrawal leaves only when its acquire is on the wire, whatever room there is; and
// then before that is answered.
func TestAWithdrawalDoesNotOvertakeItsAcquire(t *testing.T) {
	for _, near := range []bool{false, true} {
		t.Run(fmt.Sprintf("where requests leave in their callers' goroutines: %v", near), func(t *testing.T) {
			inLab(t, func(l *lab) {
				a := l.acquire("a")
				s := l.next()
				a.cancel()
				if !a.done() {
					t.Fatal("it still waits")
				}
				if near {
					l.ProveQuick()
				}
				withdrawal := l.ask(&request{hold: "a", urgent: true, ends: true})
				l.wantNothing("before the acquire was written")
				l.release("b")
				l.wantHolds(l.next(), "b").answer()
				l.wantNothing("before the acquire was written")
				s.written()
				<-time.After(stuckLeast)
				l.wantHolds(l.next(), "a").answer()
				if !withdrawal.done() {
					t.Error("the withdrawal waits for its acquire's answer")
				}
				s.answer()
			})
		})
	}
}

// The queued renewals of a hold are of no use once it is given back.
func TestAReleaseTakesItsRenewalsOut(t *testing.T) {
	inLab(t, func(l *lab) {
		under := l.occupied()
		stale, others := l.renew("a"), l.renew("b")
		l.release("a")
		if !stale.done() || !errors.Is(stale.err, engine.ErrUnsent) {
			t.Errorf("got %v for the renewal, want that it was not sent", stale.err)
		}
		under[0].answer()
		l.wantHolds(l.next(), "b a").answer()
		if !others.done() || others.err != nil {
			t.Errorf("got %v for that of another hold", others.err)
		}
		l.rest(under[1])
	})
}

// An answer takes the copies back that wait for their turn.
func TestAnAnswerTakesItsWaitingCopiesBack(t *testing.T) {
	inLab(t, func(l *lab) {
		r := &engine.Request{Copies: new(atomic.Int32)}
		a := l.ask(&request{hold: "a", carried: []*engine.Request{r}})
		first := l.next().written()
		var under []*sending
		for range leastSending + maxStuck - 1 {
			l.acquire("x")
			under = append(under, l.next())
			<-time.After(stuckLeast)
		}
		<-time.After(l.sender.every) // a copy comes to wait
		first.answer()
		if !a.done() || a.err != nil {
			t.Fatalf("got %v", a.err)
		}
		if n := r.Copies.Load(); n != 0 {
			t.Errorf("%d copies count as under way, and none has left", n)
		}
		for _, s := range under {
			s.answer()
		}
		synctest.Wait()
		for len(l.came) > 0 {
			if s := l.next(); strings.Contains(s.holds(), "a") {
				t.Error("a copy left after the answer")
			} else {
				s.answer()
			}
		}
		l.rest()
	})
}

// A copy whose request is answered before it comes to its dispatcher does not come there.
func TestACopyIsRecalledBeforeItIsLaunched(t *testing.T) {
	inLab(t, func(l *lab) {
		r := &engine.Request{Copies: new(atomic.Int32)}
		f := &flight{decided: make(chan struct{})}
		first := &fakeCopy{}
		f.join(first, nil)
		c := &item{dispatcher: l.dispatchers.one, r: &request{hold: "a", make: func() *command { return newCommand(&statusScript, []any{"k"}, "a") }}}
		f.join(c, []*engine.Request{r})
		f.land(first, outcome{})
		told := 0
		c.launch(context.Background(), l.sender, f, func() { told++ })
		l.wantNothing("though its request is answered")
		if n := r.Copies.Load(); n != 0 || told != 1 {
			t.Errorf("%d copies count as under way; told %d times that it has landed", n, told)
		}
	})
}

// A pipeline that fails as a whole gives each caller its error.
func TestAPipelineThatFailsGivesEachItsError(t *testing.T) {
	for _, tc := range []struct {
		name    string
		err     error
		written bool
		want    engine.Class
	}{
		{"it could not log in", serverError("WRONGPASS"), false, engine.Refused},
		{"it found no connection", errors.New("no route"), false, engine.Denied},
		{"its connection broke", errors.New("broken pipe"), true, engine.NoAnswer},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inLab(t, func(l *lab) {
				under := l.occupied()
				var asks []*asked
				for range 3 {
					asks = append(asks, l.acquire("a"))
				}
				under[0].answer()
				s := l.next()
				if tc.written {
					s.written()
				}
				s.fail(tc.err)
				for _, a := range asks {
					if !a.done() || engine.ClassOf(a.err) != tc.want || !strings.Contains(a.err.Error(), tc.err.Error()) {
						t.Errorf("got %v", a.err)
					}
				}
				l.rest(under[1])
			})
		})
	}
}

// A caller whose hook panics leaves its place to others.
func TestAHookThatPanicsLeavesItsPlace(t *testing.T) {
	inLab(t, func(l *lab) {
		l.mad = true
		for range 2 * leastSending {
			l.ProveQuick()
			func() {
				defer func() {
					if recover() == nil {
						t.Error("it did not panic in its caller's goroutine")
					}
				}()
				l.run(context.Background(), &request{name: "name", make: func() *command { return newCommand(&statusScript, []any{"k"}, "a") }})
			}()
		}
		l.mad = false
		a := l.acquire("a")
		l.next().answer()
		if !a.done() || a.err != nil {
			t.Errorf("got %v", a.err)
		}
	})
}
