package queue

import (
	"testing"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

func does(t *testing.T, fx Effects, want ...Do) {
	t.Helper()
	var got []Do
	for _, e := range fx.All() {
		got = append(got, e.Do)
	}
	if len(got) != len(want) {
		t.Fatalf("got effects %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got effects %v, want %v", got, want)
		}
	}
}

func TestAFreeLockCostsNoAllocation(t *testing.T) {
	var q Queue
	w := new(Waiter)
	now := time.Now()
	answer := engine.Answer{State: engine.Granted, Token: 1, Count: 1, Left: time.Second, Sent: now}
	allocs := testing.AllocsPerRun(100, func() {
		*w = Waiter{Wait: true, Fresh: true, Check: time.Second}
		q.Step(Event{Kind: Entered, W: w}, now)
		q.Step(Event{Kind: Sending, W: w, Subscription: NotSubscribed}, now)
		q.Step(Event{Kind: EventOf(answer.State), W: w, Answer: answer}, now)
		q.Step(Event{Kind: Took, W: w}, now)
		q.Step(Event{Kind: Released, W: w}, now)
	})
	if allocs != 0 || !q.Empty() || q.Impossible() != 0 {
		t.Errorf("got %v allocations, empty: %v, impossible: %d", allocs, q.Empty(), q.Impossible())
	}
}

func TestAGrantForNobodyIsGivenBack(t *testing.T) {
	var q Queue
	does(t, q.Step(Event{Kind: Pushed}, time.Now()), Return)
	does(t, q.Step(Event{Kind: Nudged}, time.Now()))
}

func TestAnImpossibleEventIsCounted(t *testing.T) {
	var q Queue
	w := &Waiter{Wait: true, Fresh: true, Check: time.Second}
	does(t, q.Step(Event{Kind: Took, W: w}, time.Now()), Impossible)
	if got := q.Impossible(); got != 1 || w.State() != Gone {
		t.Errorf("got %d impossible events, state %d", got, w.State())
	}
}

// The first in the server's queue asks when the holder's time is up, and the second
// where what is left is a minimum; who hears no grants asks often.
func TestWhenAWaiterChecksIn(t *testing.T) {
	const check = time.Second
	for name, c := range map[string]struct {
		place int
		left  time.Duration
		owner string
		sub   Subscription
		want  time.Duration
	}{
		"the first":                        {0, check / 2, "a", Subscribed, check / 2},
		"the first, of a long lease":       {0, 2 * check, "a", Subscribed, check},
		"the first, of one that is over":   {0, 0, "a", Subscribed, MinCheck},
		"the second":                       {1, check / 2, "a", Subscribed, check},
		"the second, behind a minimum":     {1, check / 2, engine.KeptOwner, Subscribed, check / 2},
		"the third, behind a minimum":      {2, check / 2, engine.KeptOwner, Subscribed, check},
		"without a subscription":           {1, check, "a", NotSubscribed, PollInterval},
		"where there can be none":          {1, check, "a", CannotSubscribe, PollInterval},
		"the first, where there can be no": {0, MinCheck, "a", CannotSubscribe, MinCheck},
	} {
		t.Run(name, func(t *testing.T) {
			var q Queue
			w, sent := &Waiter{Wait: true, Fresh: true, Check: check}, time.Now()
			q.Step(Event{Kind: Entered, W: w}, sent)
			q.Step(Event{Kind: Sending, W: w, Subscription: c.sub}, sent)
			ans := engine.Answer{State: engine.Waiting, Token: 1, Owner: c.owner, Left: c.left, Place: c.place, Sent: sent}
			fx := q.Step(Event{Kind: GotPlace, W: w, Answer: ans, Subscription: c.sub}, sent.Add(time.Millisecond))
			does(t, fx, Schedule)
			if got := fx.All()[0].At.Sub(sent); got != c.want {
				t.Errorf("checks in after %v, want %v", got, c.want)
			}
			if w.Ahead() != c.place {
				t.Errorf("got %d ahead, want %d", w.Ahead(), c.place)
			}
		})
	}
}

// How a grant came, and since when it counts.
func TestHowAGrantCame(t *testing.T) {
	const left = time.Second
	first := time.Now()
	second := first.Add(time.Millisecond)
	waiting := engine.Answer{State: engine.Waiting, Token: 4, Owner: "a", Left: left, Sent: second}
	for name, c := range map[string]struct {
		waits bool
		sent  time.Time
		via   Via
		since time.Time
	}{
		"by message":                      {true, time.Time{}, ByMessage, second},
		"by message, before any answer":   {false, time.Time{}, ByMessage, first},
		"by message, of one that vouches": {true, first, ByVoucher, first},
	} {
		t.Run(name, func(t *testing.T) {
			var q Queue
			w := &Waiter{Wait: true, Fresh: true, Check: left}
			q.Step(Event{Kind: Entered, W: w}, first)
			q.Step(Event{Kind: Sending, W: w, Subscription: Subscribed}, first)
			if c.waits {
				q.Step(Event{Kind: GotPlace, W: w, Answer: waiting}, second)
			}
			does(t, q.Step(Event{Kind: Pushed, W: w, Answer: engine.Answer{Token: 5, Left: left, Sent: c.sent}}, second), Unschedule, Wake)
			grant, via := w.Grant()
			if via != c.via || !grant.Sent.Equal(c.since) || grant.Token != 5 || grant.Count != 1 {
				t.Errorf("got %+v by %d, want it by %d since %v", grant, via, c.via, c.since)
			}
		})
	}
}

// Of a quorum enough nodes may have refused for good though another has no answer:
// the wait is over then, and what the others may do late is withdrawn.
func TestNoAnswerMayBeTheLastWord(t *testing.T) {
	var q Queue
	w, now := &Waiter{Wait: true, Fresh: true, Check: time.Second}, time.Now()
	q.Step(Event{Kind: Entered, W: w}, now)
	q.Step(Event{Kind: Sending, W: w}, now)
	does(t, q.Step(Event{Kind: GotNoAnswer, W: w}, now), Pause)
	q.Step(Event{Kind: Sending, W: w}, now)
	does(t, q.Step(Event{Kind: GotNoAnswer, W: w, Err: engine.ErrWrongType, Final: true}, now), Unschedule, Wake)
	if got := w.State(); got != Failed || w.Err() != engine.ErrWrongType {
		t.Errorf("got state %d, error %v", got, w.Err())
	}
	does(t, q.Step(Event{Kind: GaveUp, W: w}, now), Unschedule, Withdraw)
}

func TestALeaseIsToldOfOnceThatItsOwnClientWaitsForIt(t *testing.T) {
	var q Queue
	now := time.Now()
	holder := &Waiter{Wait: true, Fresh: true, Check: time.Second}
	q.Step(Event{Kind: Entered, W: holder}, now)
	q.Step(Event{Kind: Sending, W: holder}, now)
	q.Step(Event{Kind: GotGrant, W: holder, Answer: engine.Answer{State: engine.Granted, Token: 1, Sent: now}}, now)
	q.Step(Event{Kind: Took, W: holder}, now)
	first := &Waiter{Wait: true, Fresh: true, Check: time.Second}
	second := &Waiter{Wait: true, Fresh: true, Check: time.Second}
	q.Step(Event{Kind: Entered, W: first}, now)
	q.Step(Event{Kind: Entered, W: second}, now)
	does(t, q.Step(Event{Kind: Interval, W: second}, now), Tell, Schedule)
	does(t, q.Step(Event{Kind: Interval, W: first}, now), Wake)
}

// asking returns a waiter whose request has left.
func asking(q *Queue, now time.Time) *Waiter {
	w := &Waiter{Wait: true, Fresh: true, Check: time.Second}
	q.Step(Event{Kind: Entered, W: w}, now)
	q.Step(Event{Kind: Sending, W: w, Subscription: Subscribed}, now)
	return w
}

// holds returns a lease.
func holds(q *Queue, token int64, now time.Time) *Waiter {
	w := asking(q, now)
	q.Step(Event{Kind: GotGrant, W: w, Answer: engine.Answer{State: engine.Granted, Token: token, Sent: now}}, now)
	q.Step(Event{Kind: Took, W: w}, now)
	return w
}

// A lock that lost its fence issues lower tokens: what was asked for after a lock was
// taken away is a lease all the same.
func TestWhatIsAskedForAfterALockWasTakenAwayIsALease(t *testing.T) {
	now := time.Now()
	for at, want := range map[time.Duration]State{0: Granted, time.Millisecond: Held} {
		var q Queue
		holder, forced := holds(&q, 5, now), now.Add(time.Second)
		q.Step(Event{Kind: Forced, Answer: engine.Answer{Token: 5}}, forced)
		q.Step(Event{Kind: Ended, W: holder}, forced)
		if w := holds(&q, 4, forced.Add(at)); w.State() != want {
			t.Errorf("asked for %v after that: state %d, want %d", at, w.State(), want)
		}
	}
}

// Pauses grow from one request in vain to the next, and begin anew with an answer.
func TestPausesGrowUntilThereIsAnAnswer(t *testing.T) {
	var q Queue
	now := time.Now()
	w := asking(&q, now)
	inVain := func(want int) {
		t.Helper()
		fx := q.Step(Event{Kind: GotNoAnswer, W: w, Err: engine.ErrUnknown}, now)
		does(t, fx, Pause)
		if got := fx.All()[0].N; got != want {
			t.Errorf("attempt %d, want %d", got, want)
		}
	}
	inVain(0)
	q.Step(Event{Kind: Sending, W: w, Subscription: Subscribed}, now)
	inVain(1)
	q.Step(Event{Kind: Sending, W: w, Subscription: Subscribed}, now)
	does(t, q.Step(Event{Kind: GotPlace, W: w, Answer: engine.Answer{State: engine.Waiting, Token: 1, Sent: now}}, now), Schedule)
	does(t, q.Step(Event{Kind: Interval, W: w}, now), Schedule, CheckIn)
	inVain(0)
}

func TestWhatAnErrorMayLeaveIsWithdrawn(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		var q Queue
		now := time.Now()
		w := asking(&q, now)
		q.Step(Event{Kind: GotError, W: w, Err: engine.ErrWrongType, Final: true, Leaves: leaves}, now)
		want := []Do{Unschedule}
		if leaves {
			want = append(want, Withdraw)
		}
		does(t, q.Step(Event{Kind: GaveUp, W: w}, now), want...)
	}
}

func TestAWaiterThatIsRetriedHasWaitedBehindAsMany(t *testing.T) {
	var q Queue
	now := time.Now()
	w := asking(&q, now)
	q.Step(Event{Kind: GotPlace, W: w, Answer: engine.Answer{State: engine.Waiting, Token: 1, Place: 3, Sent: now}}, now)
	q.Step(Event{Kind: Pushed, W: w, Answer: engine.Answer{Token: 2, Left: time.Second}}, now)
	var again Waiter
	does(t, q.Step(Event{Kind: TooOld, W: w, Again: &again}, now), Withdraw)
	if got := again.Ahead(); got != 3 || again.State() != Asking {
		t.Errorf("got %d ahead in state %d, want 3", got, again.State())
	}
}

// Whatever the answer to a release says of its successor, but that it waits or has the
// lock, that asks for itself.
func TestASuccessorThatNobodyTookOverAsksForItself(t *testing.T) {
	for _, kind := range []Kind{GotNothing, GotTaken, GotTombstone, GotNoAnswer, GotError} {
		t.Run(kindNames[kind], func(t *testing.T) {
			var q Queue
			now := time.Now()
			holder := holds(&q, 1, now)
			w := &Waiter{Wait: true, Fresh: true, Check: time.Second}
			q.Step(Event{Kind: Entered, W: w}, now)
			does(t, q.Step(Event{Kind: Released, W: holder}, now), Release)
			does(t, q.Step(Event{Kind: kind, W: w, Err: engine.ErrUnknown}, now), Wake)
			if got := w.State(); got != Asking {
				t.Errorf("got state %d", got)
			}
		})
	}
}

func TestAListenThatIsRefusedForGoodIsTheLastWord(t *testing.T) {
	var q Queue
	now := time.Now()
	w := asking(&q, now)
	does(t, q.Step(Event{Kind: GotTaken, W: w, Answer: engine.Answer{State: engine.Taken, Token: 1}}, now), Listen)
	does(t, q.Step(Event{Kind: Listened, W: w, Err: engine.ErrDisconnected, Final: true}, now), Unschedule, Wake)
	if got := w.State(); got != Failed || w.Err() != engine.ErrDisconnected {
		t.Errorf("got state %d, error %v", got, w.Err())
	}
}
