package queue

import "time"

// Step takes an event to the queue, and returns what is to be done. It is the
// one table of what happens in which state: the row of each event names every
// state in which it can come, and any other is impossible, and counted. Beside
// a state in which nothing is to be done stands why.
func (q *Queue) Step(e Event, now time.Time) (fx Effects) {
	w := e.W
	if e.Kind == Forced {
		// A lease under that token is ended by whoever drives the queue.
		q.forced, q.forcedAt = max(q.forced, e.Answer.Token), now
		return fx
	}
	if w == nil {
		return stray(e)
	}
	if e.Copied {
		w.copied()
	}
	switch e.Kind {
	case Entered:
		switch w.state {
		case Gone:
			q.enter(w, now, &fx)
			return fx
		}
	case Sending:
		switch w.state {
		case Asking:
			w.ask(e.Subscription, now, &fx)
			return fx
		}
	case GotGrant:
		w.answered()
		switch w.state {
		case Asking, Successor, Queued:
			q.granted(w, e, &fx)
			return fx
		case Granted, Failed, Held: // another answer or a message came first
			return fx
		case Gone: // its withdrawal comes after this request, or left a tombstone
			return fx
		}
	case GotPlace:
		w.answered()
		w.registered = true
		switch w.state {
		case Asking, Successor, Queued:
			q.placed(w, e, now, &fx)
			return fx
		case Granted, Failed, Held, Gone: // an answer from before
			return fx
		}
	case GotTaken:
		w.answered()
		switch w.state {
		case Asking:
			q.taken(w, e, &fx)
			return fx
		case Successor: // as GotNothing
			w.wakeTo(Asking, &fx)
			return fx
		case Granted: // by message, after an earlier request of it had joined the queue late
			return fx
		}
	case GotNothing:
		w.answered()
		switch w.state {
		case Successor: // the release found nothing to hand over, so the server knows nothing of it yet
			w.wakeTo(Asking, &fx)
			return fx
		case Asking: // of several locks that are had together or not at all
			w.fail(ErrRefused, &fx)
			return fx
		case Granted, Held: // by message: a copy of the release that names it had it join the queue
			return fx
		case Gone: // it gave up meanwhile
			return fx
		}
	case GotTombstone:
		w.answered()
		switch w.state {
		case Gone: // as it should be
			return fx
		case Successor: // as GotNothing
			w.wakeTo(Asking, &fx)
			return fx
		case Asking, Queued: // somebody else's withdrawal has its id
			w.fail(ErrRefused, &fx)
			return fx
		}
	case GotNoAnswer:
		switch w.state {
		case Asking, Queued:
			w.refusedWith(e, now, &fx) // of a quorum some may have refused for good
			return fx
		case Successor: // an acquire of the same id is safe beside a release that may still name it
			w.wakeTo(Asking, &fx)
			return fx
		case Granted, Failed, Held, Gone: // it stays in flight
			return fx
		}
	case GotError:
		w.inFlight--
		w.registered = w.registered || e.Leaves
		switch w.state {
		case Asking, Queued:
			w.refusedWith(e, now, &fx)
			return fx
		case Successor: // the release was refused, which says nothing of an acquire
			w.wakeTo(Asking, &fx)
			return fx
		case Granted, Failed, Held, Gone:
			return fx
		}
	case Listened:
		switch w.state {
		case Asking:
			w.listened(e, &fx)
			return fx
		case Granted: // a late copy of its acquire had joined the queue
			return fx
		}
	case Pushed:
		switch w.state {
		case Asking, Successor, Queued:
			q.pushed(w, e, &fx)
			return fx
		case Granted, Failed, Held, Gone: // its own grant again; or what is given up: that is under way already
			return fx
		}
	case Nudged:
		switch w.state {
		case Asking, Successor, Queued:
			w.nudged(e, now, &fx)
			return fx
		case Granted, Failed, Held, Gone: // the message is late
			return fx
		}
	case Interval:
		switch w.state {
		case Parked:
			q.patience(w, now, &fx)
			return fx
		case Queued:
			w.checkIn(now, &fx)
			return fx
		case Asking, Successor, Granted, Failed, Held, Gone: // its timer fired as the state changed
			return fx
		}
	case Resubscribed:
		switch w.state {
		case Asking, Successor, Queued:
			w.lostMessages(now, &fx)
			return fx
		case Parked, Granted, Failed, Held, Gone: // no message is to come for it
			return fx
		}
	case TooOld:
		switch w.state {
		case Granted:
			q.retry(w, e.Again, &fx)
			return fx
		}
	case Took:
		switch w.state {
		case Granted:
			q.take(w)
			return fx
		}
	case GaveUp:
		switch w.state {
		case Parked, Asking, Successor, Queued, Granted, Failed:
			q.giveUp(w, now, &fx)
			return fx
		case Gone: // a hook panicked after that
			return fx
		}
	case Released:
		switch w.state {
		case Held:
			fx.add(Effect{Do: Release, W: w, Next: q.leave(w, now)})
			return fx
		}
	case Ended:
		switch w.state {
		case Held:
			q.leave(w, now).unnamed(&fx)
			return fx
		}
	}
	q.impossible++
	fx.add(Effect{Do: Impossible, W: w})
	return fx
}

// stray is about a waiter that is not known any more: its withdrawal may have come
// before the grant, or have been lost.
func stray(e Event) (fx Effects) {
	if e.Kind == Pushed {
		fx.add(Effect{Do: Return})
	}
	return fx
}
