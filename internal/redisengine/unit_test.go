package redisengine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// Whoever hangs gives its place away, but a few at a time; one more leaves with what is
// urgent. All end by themselves.
func TestAServerThatHangsHasFewUnderWay(t *testing.T) {
	for _, heedless := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a client that minds no deadline: %v", heedless), func(t *testing.T) {
			inLab(t, func(l *lab) {
				l.heedless = heedless
				var asks []*asked
				var sent []*sending
				for range leastSending + maxStuck + 3 {
					asks = append(asks, l.acquire("a"))
					<-time.After(stuckLeast)
				}
				for range leastSending + maxStuck {
					sent = append(sent, l.next().written())
				}
				l.wantNothing("beside as many that hang as may")
				asks = append(asks, l.release("b"))
				sent = append(sent, l.wantHolds(l.next(), "b").written())
				asks = append(asks, l.release("c"))
				l.wantNothing("beside the one that is urgent")
				<-time.After(labCall)
				for _, a := range asks {
					a.cancel()
				}
				l.wg.Wait()
				for _, s := range sent {
					s.answer() // late, if at all
				}
				l.rest()
			})
		})
	}
}

// What a client that minds no deadline does not answer is given up all the same, and
// its late answer lands nowhere.
func TestAUnitThatDoesNotEndIsGivenUp(t *testing.T) {
	inLab(t, func(l *lab) {
		l.heedless = true
		a := l.acquire("a")
		hung := l.next() // never written: it can take effect no more
		<-time.After(labCall * 3 / 2)
		if !a.done() || !errors.Is(a.err, engine.ErrUnsent) {
			t.Fatalf("got %v, want that it was not sent", a.err)
		}
		hung.answered <- nil
		b := l.acquire("b")
		l.wantHolds(l.next(), "b").answer()
		if !b.done() || b.err != nil {
			t.Errorf("got %v after it", b.err)
		}
	})
}

// A timer that was late for one pipeline says nothing of the next one of the same unit.
func TestALateTimerSaysNothingOfTheNextPipeline(t *testing.T) {
	inLab(t, func(l *lab) {
		under := l.occupied()
		l.acquire("a")
		<-time.After(stuckLeast / 2)
		under[0].answer()
		s := l.next() // by the unit whose timer would have run out by then
		dispatcher := l.dispatchers.one
		dispatcher.overdue(dispatcher.under[len(dispatcher.under)-1])
		dispatcher.mu.Lock()
		if dispatcher.stuck != 0 {
			t.Error("it counts as stuck, and has just left")
		}
		dispatcher.mu.Unlock()
		s.answer()
		under[1].answer()
	})
}

// Where fewer should be under way than are, what waits is left to these.
func TestUnitsEndWhereFewerShouldBeUnderWay(t *testing.T) {
	inLab(t, func(l *lab) {
		limit := &l.dispatchers.one.limit
		limit.now = 4
		var under []*sending
		for range 4 {
			l.acquire("x")
			under = append(under, l.next())
		}
		limit.now, limit.cap = 2, 2
		l.acquire("a")
		for _, s := range under[:2] {
			s.answer()
			l.wantNothing("though more are under way than should be")
		}
		under[2].answer()
		l.wantHolds(l.next(), "a").answer()
		l.rest(under[3])
	})
}

// One pipeline at a time is waited for as long as a call, so that what is dead is found
// out soon, and what is slow can be.
func TestOneUnitIsWaitedForLongest(t *testing.T) {
	inLab(t, func(l *lab) {
		l.sender.every = 0 // no copies
		slow, quick := l.acquire("slow"), l.acquire("quick")
		l.next()
		l.next()
		<-time.After(labCall/3 + time.Millisecond)
		if slow.done() || !quick.done() {
			t.Errorf("after a third of the call timeout: the first has ended: %v; the second: %v", slow.done(), quick.done())
		}
		<-time.After(labCall * 2 / 3)
		if !slow.done() {
			t.Error("after the call timeout the first has not ended")
		}
		l.sender.usual.Store(int64(labCall / 2)) // the server has been found to be slow
		first, second := l.acquire("first"), l.acquire("second")
		l.next()
		l.next()
		<-time.After(labCall/3 + time.Millisecond)
		if first.done() || second.done() {
			t.Error("a slow server is not waited for")
		}
	})
}
