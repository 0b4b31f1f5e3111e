package queue

import (
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// enter begins a wait. Behind a local holder, or others of this client, it waits
// for that holder to hand over; for no longer than an interval, see patience.
func (q *Queue) enter(w *Waiter, now time.Time, fx *Effects) {
	q.members++
	w.state = Asking
	if !w.Wait || !w.Fresh {
		return
	}
	if q.holder != nil || q.first != nil {
		w.state = Parked
		w.waits(int(q.listed))
		fx.add(Effect{Do: Schedule, W: w, At: now.Add(w.Check)})
	}
	q.push(w)
}

// waits notes that w begins to wait, behind so many.
func (w *Waiter) waits(ahead int) {
	if w.ahead == 0 {
		w.ahead = int32(ahead) + 1
	}
}

// wakeTo changes w's state, and tells its goroutine.
func (w *Waiter) wakeTo(s State, fx *Effects) {
	w.state = s
	fx.add(Effect{Do: Wake, W: w})
}

// ask has the request leave. It joins the queue where its grant can be heard, or
// where nothing but asking often is left; a free lock then costs no subscription.
func (w *Waiter) ask(s Subscription, now time.Time, fx *Effects) {
	w.sent(now)
	fx.add(Effect{Do: Ask, W: w, Join: w.Wait && (w.polling || s != NotSubscribed)})
}

// sent notes that a request of w leaves: what is lost from here on was lost while
// it was under way.
func (w *Waiter) sent(now time.Time) {
	w.inFlight++
	w.missed = false
	if w.since.IsZero() {
		w.since = now
		return
	}
	w.repeated = true
}

// copied notes that other copies of a request left, which may have had another
// answer than the one that came.
func (w *Waiter) copied() {
	w.registered, w.repeated = true, true
}

// answered notes that a request of w had its answer: no late copy of it comes, and
// the server that was asked is the right one.
func (w *Waiter) answered() {
	w.inFlight--
	w.refused = time.Time{}
}

// granted gives w the lock by an answer.
func (q *Queue) granted(w *Waiter, e Event, fx *Effects) {
	via := ByRequest
	switch w.state {
	case Successor:
		via = ByRelease
	case Queued:
		via = ByCheckIn
	}
	w.have(e.Answer, via, fx)
}

func (w *Waiter) have(grant engine.Answer, via Via, fx *Effects) {
	w.grant, w.via, w.registered = grant, via, true
	fx.add(Effect{Do: Unschedule, W: w})
	w.wakeTo(Granted, fx)
}

// pushed gives w the lock by message: the message is the grant.
//
// Its validity counts from when the last request left that was answered
// "waiting": the server granted it after that. A token that is not greater than
// the one in that answer is from before it: the grant has ended since, and w
// queues again. An engine that knows when it asked for the grant says so, and
// vouches for it.
func (q *Queue) pushed(w *Waiter, e Event, fx *Effects) {
	grant := engine.Answer{State: engine.Granted, Token: e.Answer.Token, Count: 1, Left: e.Answer.Left, Sent: e.Answer.Sent}
	if !grant.Sent.IsZero() {
		w.have(grant, ByVoucher, fx)
		return
	}
	if w.heard != nil && grant.Token <= w.heard.Token {
		return
	}
	grant.Sent = w.since
	w.have(grant, ByMessage, fx)
}

// placed has w wait in the server's queue. Where messages may have been lost since
// its request left, the answer may be from before one: it asks again at once.
func (q *Queue) placed(w *Waiter, e Event, now time.Time, fx *Effects) {
	if w.heard == nil || w.heard.State != engine.Waiting || e.Answer.Sent.After(w.heard.Sent) {
		w.since = e.Answer.Sent
		q.hears(w, e.Answer)
	}
	if w.state == Successor && e.Subscription == NotSubscribed {
		w.wakeTo(Asking, fx) // it has joined the queue, but its grant would not be heard
		return
	}
	w.waits(e.Answer.Place)
	w.state, w.attempts = Queued, 0
	at := e.Answer.Sent.Add(w.every(e.Answer, e.Subscription))
	if w.missed {
		at = now
	}
	fx.add(Effect{Do: Schedule, W: w, At: at})
}

// every is how long after ans w checks in. The first in the queue also asks when
// the holder's time is up, and the second where there is no holder any more.
func (w *Waiter) every(ans engine.Answer, s Subscription) time.Duration {
	d := w.Check
	if s != Subscribed {
		d = min(d, PollInterval)
	}
	if ans.Place == 0 || ans.Place == 1 && ans.Owner == engine.KeptOwner {
		d = min(d, max(ans.Left, MinCheck))
	}
	return d
}

// hears notes who is in w's way.
func (q *Queue) hears(w *Waiter, ans engine.Answer) {
	w.heard, q.seen = &ans, &ans
}

// taken has one that waits listen, and then join the queue.
func (q *Queue) taken(w *Waiter, e Event, fx *Effects) {
	if w.Wait {
		q.hears(w, e.Answer)
		fx.add(Effect{Do: Listen, W: w})
		return
	}
	w.triedInVain(e.Answer, fx)
}

// triedInVain ends a try. What it heard is nobody else's.
func (w *Waiter) triedInVain(ans engine.Answer, fx *Effects) {
	w.heard = &ans
	w.fail(nil, fx)
}

// listened goes on to join the queue: without a subscription, or with one that
// comes and goes, it asks often instead.
func (w *Waiter) listened(e Event, fx *Effects) {
	if e.Final {
		w.fail(e.Err, fx)
		return
	}
	w.polling = e.Err != nil || w.attempts > 1
	w.attempts++
}

// again has w ask once more after a pause. An earlier check-in of it may be answered
// meanwhile, by what was so before a message was lost: that is not the last word.
func (w *Waiter) again(fx *Effects) {
	w.missed = true
	fx.add(Effect{Do: Pause, W: w, N: int(w.attempts)})
	w.attempts++
}

// fail ends the wait: w cannot be had. A nil err says that it is taken.
func (w *Waiter) fail(err error, fx *Effects) {
	w.err = err
	fx.add(Effect{Do: Unschedule, W: w})
	w.wakeTo(Failed, fx)
}

// refusedWith has w ask once more what passes by itself. A refusal to be asked at
// all may pass, but not if it lasts, whatever else comes between.
func (w *Waiter) refusedWith(e Event, now time.Time, fx *Effects) {
	if e.Grace > 0 && w.refused.IsZero() {
		w.refused = now
	}
	if e.Final || e.Grace > 0 && now.Sub(w.refused) >= e.Grace {
		w.fail(e.Err, fx)
		return
	}
	w.again(fx)
}

// nudged has w ask when the lock is to be free. Where a request of it is under
// way, the answer may be from before the lock was given back.
func (w *Waiter) nudged(e Event, now time.Time, fx *Effects) {
	w.missed = true
	if w.state == Queued {
		fx.add(Effect{Do: Hasten, W: w, At: now.Add(max(e.Answer.Left, MinCheck))})
	}
}

// lostMessages has w ask now, or once more where a request is under way: its
// answer may be from before what was lost.
func (w *Waiter) lostMessages(now time.Time, fx *Effects) {
	w.missed = true
	if w.state == Queued {
		fx.add(Effect{Do: Hasten, W: w, At: now})
	}
}

// patience has w ask the server if it is the first behind a local holder that has
// lasted for an interval: that may have been lost on the server and not know it, as
// a fixed lease that was taken away.
func (q *Queue) patience(w *Waiter, now time.Time, fx *Effects) {
	if q.holder != nil && !q.holder.told {
		q.holder.told = true
		fx.add(Effect{Do: Tell, W: q.holder})
	}
	if q.first == w {
		w.wakeTo(Asking, fx)
		return
	}
	fx.add(Effect{Do: Schedule, W: w, At: now.Add(w.Check)})
}

// checkIn has w ask where it stands; the next time, if this is not answered by
// then, in an interval.
func (w *Waiter) checkIn(now time.Time, fx *Effects) {
	w.sent(now)
	fx.add(Effect{Do: Schedule, W: w, At: now.Add(w.Check)})
	fx.add(Effect{Do: CheckIn, W: w})
}

// take makes a lease of w's grant. One that this client took away in the meantime,
// or that is from before one that it took away, is none: w stays as it is.
func (q *Queue) take(w *Waiter) {
	if w.grant.Token <= q.forced && !w.grant.Sent.After(q.forcedAt) {
		return
	}
	q.remove(w)
	w.state = Held
	if q.holder == nil || q.holder.grant.Token < w.grant.Token {
		q.holder = w
	}
}

// retry gives up a grant that cannot be used, and has another waiter go on in its
// place: the old id is refused from then on.
func (q *Queue) retry(old, again *Waiter, fx *Effects) {
	again.Wait, again.Fresh, again.Check = old.Wait, old.Fresh, old.Check
	again.state, again.ahead = Asking, old.ahead
	q.replace(old, again)
	old.state = Gone
	fx.add(Effect{Do: Withdraw, W: old})
}

// giveUp ends a wait. What may have reached the server is withdrawn, and handed on
// to the next waiter: a grant that crosses a cancel is never swallowed. Where
// every request was answered and left nothing, one command was enough.
func (q *Queue) giveUp(w *Waiter, now time.Time, fx *Effects) {
	fx.add(Effect{Do: Unschedule, W: w})
	next := q.leave(w, now)
	if w.registered || w.inFlight > 0 {
		fx.add(Effect{Do: Withdraw, W: w, Next: next})
		return
	}
	next.unnamed(fx)
}

// leave takes w out of the queue. It returns the first waiter, now the successor,
// if w's end is its turn.
func (q *Queue) leave(w *Waiter, now time.Time) *Waiter {
	q.remove(w)
	q.members--
	w.state = Gone
	if q.holder == w {
		q.holder = nil
	}
	next := q.first
	if q.holder != nil || next == nil || next.state != Parked {
		return nil
	}
	// From here on a request may carry it: who gives it up must withdraw it, and
	// have the server refuse what comes late.
	next.state = Successor
	next.sent(now)
	return next
}

// unnamed has a successor ask the server itself that no request carries after all.
func (w *Waiter) unnamed(fx *Effects) {
	if w == nil {
		return
	}
	w.inFlight--
	w.since = time.Time{}
	w.wakeTo(Asking, fx)
}
