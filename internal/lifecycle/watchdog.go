package lifecycle

import (
	"container/heap"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle/queue"
)

// PollInterval is how often a waiter asks that cannot hear its grant.
const PollInterval = queue.PollInterval

// A watchdog renews a manager's leases, ends those whose validity has run out, and
// brings its waiters their intervals. It is one heap and one runtime timer: between its
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

func (d dues) Less(i, j int) bool { return d[i].due < d[j].due }

func (d dues) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = int32(i+1), int32(j+1)
}

func (d *dues) Push(x any) { o := x.(*Hold); *d = append(*d, o); o.index = int32(len(*d)) }

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
	o.due = due.Sub(w.manager.epoch)
	if o.index > 0 {
		heap.Fix(&w.heap, int(o.index-1))
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
	due := w.manager.epoch.Add(w.heap[0].due)
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

// schedule has o's next interval be at due.
func (w *watchdog) schedule(o *Hold, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.set(o, due)
}

// hasten moves o to due if that is earlier. It does nothing for a hold that is not
// watched.
func (w *watchdog) hasten(o *Hold, due time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.index > 0 && due.Sub(w.manager.epoch) < o.due {
		w.set(o, due)
	}
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

// isFixed reports whether o is not renewed.
func (w *watchdog) isFixed(o *Hold) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return o.fixed
}

// fix has o renewed no more.
func (w *watchdog) fix(o *Hold) {
	w.mu.Lock()
	defer w.mu.Unlock()
	o.fixed = true
	if o.index > 0 {
		w.set(o, o.nextDue())
	}
}

// nextDue needs w.mu.
func (o *Hold) nextDue() time.Time {
	deadline := o.validUntil()
	if o.fixed || deadline.Before(o.renewAt) {
		return deadline
	}
	return o.renewAt
}

// forget stops watching o.
func (w *watchdog) forget(o *Hold) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.index > 0 {
		heap.Remove(&w.heap, int(o.index-1))
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
	clock := now.Sub(w.manager.epoch)
	w.mu.Lock()
	w.armed = time.Time{}
	for len(w.heap) > 0 && !w.stopped {
		o := w.heap[0]
		if early := o.due - clock; early > 0 && (early > o.req.TTL/60 || o.due != o.renewAt.Sub(w.manager.epoch)) {
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
	batch := make([]engine.BatchItem, 0, len(due))
	for _, o := range due {
		switch {
		case o.valid.Load() == 0: // it waits, or was granted or given up just now
			if w.manager.interval(o) {
				batch = append(batch, w.checkIn(o))
			}
		case o.cause.Load() != nil: // ended just now
		case !now.Before(o.validUntil()):
			o.expire()
		case w.isFixed(o):
			w.watch(o, engine.Answer{})
		default:
			batch = append(batch, w.renew(o))
		}
	}
	if len(batch) > 0 {
		w.manager.eng.SendBatch(w.manager.bg, batch)
	}
}

// renew returns the renewal of o, and sends the next one a third of the TTL
// later if this one is not answered by then.
func (w *watchdog) renew(o *Hold) engine.BatchItem {
	w.mu.Lock()
	o.renewAt = time.Now().Add(o.req.TTL / 3)
	o.mayLast(o.req.TTL)
	if o.cause.Load() == nil {
		w.set(o, o.nextDue())
	}
	w.mu.Unlock()
	return engine.BatchItem{
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
func (w *watchdog) again(o *Hold) int32 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.cause.Load() != nil {
		return 0
	}
	o.renewAt = time.Now().Add(min(engine.Pause(int(o.retries)), o.req.TTL/10))
	o.retries++
	w.set(o, o.nextDue())
	return o.retries
}

// interval tells a waiter that its interval is over, and reports whether it is to
// check in.
func (m *Manager) interval(o *Hold) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stepOf(o, queue.Event{Kind: queue.Interval}).Do == queue.CheckIn
}

// checkIn returns the request of one that waits.
func (w *watchdog) checkIn(o *Hold) engine.BatchItem {
	r := o.req
	return engine.BatchItem{CheckIn: &r, Done: func(ans engine.Answer, err error) { w.checkedIn(o, ans, err) }}
}

// checkedIn takes the answer to a check-in. One that was not answered is soon made
// again.
func (w *watchdog) checkedIn(o *Hold, ans engine.Answer, err error) {
	next := w.manager.answered(o, ans, err)
	if next.Do != queue.Pause {
		return
	}
	attempt := next.N + 1
	w.hasten(o, time.Now().Add(engine.Pause(attempt)))
	w.manager.warnOf(o, attempt, err)
}
