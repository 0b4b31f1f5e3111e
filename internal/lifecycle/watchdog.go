package lifecycle

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// minCheck keeps a waiter from spinning on a lock whose time left is tiny.
const minCheck = 10 * time.Millisecond

// PollInterval is how often a waiter asks that cannot hear its grant.
const PollInterval = 100 * time.Millisecond

// A watchdog renews a manager's leases, ends those whose validity has run out, and
// checks in for its waiters. It is one heap and one runtime timer: between its
// ticks it has no goroutine at all. What is due at nearly the same time leaves
// in one batch.
//
// Its mutex comes after Manager.mu; it is never held while Manager.mu is taken.
type watchdog struct {
	manager *Manager

	mu      sync.Mutex
	heap    dues
	timer   *time.Timer
	armed   time.Time // when timer fires; zero: it does not
	stopped bool
}

// dues is a heap of holds by due time.
type dues []*Hold

func (d dues) Len() int { return len(d) }

func (d dues) Less(i, j int) bool { return d[i].due.Before(d[j].due) }

func (d dues) Swap(i, j int) { d[i], d[j] = d[j], d[i]; d[i].index, d[j].index = i+1, j+1 }

func (d *dues) Push(x any) { o := x.(*Hold); *d = append(*d, o); o.index = len(*d) }

func (d *dues) Pop() any {
	old := *d
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	o.index = 0
	return o
}

// set puts o into the heap for due. It needs w.mu.
func (w *watchdog) set(o *Hold, due time.Time) {
	o.due = due
	if o.index > 0 {
		heap.Fix(&w.heap, o.index-1)
	} else {
		heap.Push(&w.heap, o)
	}
	w.arm()
}

// arm has the timer fire for the earliest. A timer that fires too early, since
// its hold has gone, costs one look; moving it at every release would cost more.
func (w *watchdog) arm() {
	if len(w.heap) == 0 || w.stopped {
		return
	}
	due := w.heap[0].due
	if !w.armed.IsZero() && !due.Before(w.armed) {
		return
	}
	w.armed = due
	if w.timer == nil {
		w.timer = time.AfterFunc(time.Until(due), w.tick)
		return
	}
	w.timer.Reset(time.Until(due))
}

// at moves o to due if that is earlier. It does nothing for a hold that is not
// watched.
func (w *watchdog) at(o *Hold, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.index > 0 && due.Before(o.due) {
		w.set(o, due)
	}
}

// await has o check in while it waits, by what the server said last. The first
// in the queue also asks when the holder's time is up, and the second where there
// is no holder any more.
func (w *watchdog) await(o *Hold, ans engine.Answer) {
	every := o.checkEvery()
	if !w.manager.eng.Listening() || w.manager.eng.Deaf() {
		every = min(every, PollInterval)
	}
	if ans.Place == 0 || ans.Place == 1 && ans.Owner == engine.KeptOwner {
		every = min(every, max(ans.Left, minCheck))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o.retries = 0
	w.set(o, ans.Sent.Add(every))
}

// watch has o's lease renewed a third into what was granted, give or take a
// tenth of that, and ended at the end of its validity. One that was extended is
// asked about as often as before, so that its loss is heard of as soon.
func (w *watchdog) watch(o *Hold, ans engine.Answer) {
	third := min(ans.Left, o.req.TTL) / 3
	jitter := time.Duration((rand.Float64() - 0.5) / 5 * float64(third))
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.cause.Load() != nil {
		return // it has ended while its renewal was on the way
	}
	o.retries = 0
	o.renewAt = ans.Sent.Add(third + jitter)
	w.set(o, o.nextDue())
}

// isFixed tells whether o is not renewed: of a member of a Composite that is so
// only once the whole is held.
func (w *watchdog) isFixed(o *Hold) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return o.lock.terms.Fixed
}

// nextDue needs w.mu.
func (o *Hold) nextDue() time.Time {
	deadline := o.validUntil()
	if o.lock.terms.Fixed || deadline.Before(o.renewAt) {
		return deadline
	}
	return o.renewAt
}

// forget stops watching o.
func (w *watchdog) forget(o *Hold) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.index > 0 {
		heap.Remove(&w.heap, o.index-1)
	}
}

func (w *watchdog) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// tick takes what is due. Renewals that are nearly due go with it: one pipeline
// for many leases.
func (w *watchdog) tick() {
	var due []*Hold
	now := time.Now()
	w.mu.Lock()
	w.armed = time.Time{}
	for len(w.heap) > 0 && !w.stopped {
		o := w.heap[0]
		if early := o.due.Sub(now); early > 0 && (early > o.req.TTL/60 || !o.due.Equal(o.renewAt)) {
			break
		}
		due = append(due, heap.Pop(&w.heap).(*Hold))
	}
	w.arm()
	w.mu.Unlock()
	w.send(due, now)
}

// send makes one batch of what is due, and ends what is over.
func (w *watchdog) send(due []*Hold, now time.Time) {
	batch := make([]engine.Pulse, 0, len(due))
	for _, o := range due {
		switch p, waits := w.checkIn(o); {
		case waits:
			batch = append(batch, p)
		case o.valid.Load() == 0, o.cause.Load() != nil: // granted or given up just now; ended just now
		case !now.Before(o.validUntil()):
			o.expire()
		case w.isFixed(o):
			w.watch(o, engine.Answer{})
		default:
			batch = append(batch, w.renew(o))
		}
	}
	if len(batch) > 0 {
		w.manager.eng.Pulse(w.manager.bg, batch)
	}
}

// renew returns the renewal of o, and sends the next one a third of the TTL
// later if this one is not answered by then.
func (w *watchdog) renew(o *Hold) engine.Pulse {
	w.mu.Lock()
	o.renewAt = time.Now().Add(o.req.TTL / 3)
	o.mayLast(o.req.TTL)
	if o.cause.Load() == nil {
		w.set(o, o.nextDue())
	}
	w.mu.Unlock()
	return engine.Pulse{
		Renew: o.renewal(o.req.TTL),
		Done:  func(ans engine.Answer, err error) { w.renewed(o, ans, err) },
	}
}

// renewed takes the answer to a renewal. An error leaves the lease as it is: it
// is asked again until its validity ends, by itself.
func (w *watchdog) renewed(o *Hold, ans engine.Answer, err error) {
	w.manager.renewed(o, ans, err)
	o.mayLast(o.req.TTL) // it was executed by now, or never
	switch {
	case err != nil:
		if w.again(o) == 3 {
			w.manager.cfg.Log.Warn("relock: no renewal for a third time", "lock", o.req.Name, "owner", o.req.Owner, "token", o.token,
				"error", err, "left", time.Until(o.validUntil()))
		}
	case ans.State != engine.Granted:
		o.lose(ReasonGone)
	case o.err() != nil:
		o.expire()
	default:
		o.believe(o.trusts(ans, o.req.TTL))
		w.watch(o, ans)
	}
}

// again has o renewed once more, and returns how often in a row that was not
// answered.
func (w *watchdog) again(o *Hold) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.cause.Load() != nil {
		return 0
	}
	o.renewAt = time.Now().Add(min(engine.Pause(o.retries), o.req.TTL/10))
	o.retries++
	w.set(o, o.nextDue())
	return o.retries
}

// checkIn returns the request of one that waits, and false for a lease.
func (w *watchdog) checkIn(o *Hold) (engine.Pulse, bool) {
	m := w.manager
	m.mu.Lock()
	defer m.mu.Unlock()
	if o.stage != queued {
		return engine.Pulse{}, false
	}
	r := o.req
	o.missed = false
	o.unsure.Add(1)
	w.mu.Lock()
	w.set(o, time.Now().Add(o.checkEvery())) // the next, if this one is not answered by then
	w.mu.Unlock()
	return engine.Pulse{CheckIn: &r, Done: func(ans engine.Answer, err error) {
		o.answered(err)
		err = m.judged(o, err)
		if err != nil && engine.IsTransient(err) {
			w.checkInFailed(o, err)
			return
		}
		m.settle(o, ans, err)
	}}, true
}

// checkInFailed has a waiter ask again soon that was not answered.
func (w *watchdog) checkInFailed(o *Hold, err error) {
	if w.askSoon(o) == 3 {
		w.manager.cfg.Log.Warn("relock: "+trouble(err)+" yet", "lock", o.req.Name, "error", err)
	}
}

// askSoon returns how often in a row o was not answered.
func (w *watchdog) askSoon(o *Hold) int {
	w.manager.mu.Lock()
	defer w.manager.mu.Unlock()
	if o.stage != queued {
		return 0
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o.retries++
	w.set(o, time.Now().Add(min(engine.Pause(o.retries), o.checkEvery())))
	return o.retries
}
