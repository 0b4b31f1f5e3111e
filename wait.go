package relock

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// stage is how far a hold has come. Who waits is woken at each change.
//
//	local -> asking | named -> queued -> granted -> held
//
// From any but local and held it may also fail; every stage but held may be
// given up, which takes the hold out of the host's map.
type stage int

const (
	local   stage = iota // behind another hold of this client; the server knows nothing of it
	asking               // its own goroutine asks the server
	named                // a release is under way that hands it over as next
	queued               // in the server's queue; the watchdog checks in
	granted              // it has the lock; its goroutine has not seen that yet
	failed               // it cannot be had
	held                 // a lease
	gone                 // given up: no answer changes it any more
)

type place = list.Element

// A line is the queue of one name in this client. Only its first waiter is
// registered with the server, so that the server's queue grows with clients and
// not with goroutines. While a local hold lasts nobody needs to be: its release
// hands the first over, by name, with the time it has waited, which is its
// place among the clients.
//
// Invariant, whenever host.mu is free: if waiters is not empty, either holder is
// set or the first waiter is not in stage local.
type line struct {
	holder  *hold         // the hold whose release will name the first waiter
	waiters list.List     // of *hold, by arrival; fresh owners only
	seen    engine.Answer // the holder in the way of the first, as last heard
}

// acquire is the life of every Lock and TryLock call.
func (h *host) acquire(ctx context.Context, l *lock, owner Owner, wait bool) (*hold, error) {
	o := h.newHold(ctx, l, owner, wait)
	if err := h.enter(o, owner == "" && wait); err != nil {
		return nil, err
	}
	for {
		switch h.stageOf(o) {
		case asking:
			ans, err := h.askFor(ctx, o)
			h.settle(o, ans, err)
			continue
		case granted:
			lease, err := h.take(ctx, o)
			if lease != nil || err != nil {
				return lease, err
			}
			o = h.retry(o)
			continue
		case failed:
			return nil, h.abandon(o, o.failure)
		}
		if err := h.park(ctx, o); err != nil {
			return nil, h.abandon(o, err)
		}
	}
}

// park waits for o's stage to change.
func (h *host) park(ctx context.Context, o *hold) error {
	var patience <-chan time.Time
	if o.behind {
		t := time.NewTimer(o.checkEvery())
		defer t.Stop()
		patience = t.C
	}
	select {
	case <-o.ready:
	case <-patience:
		h.registerFirst(o)
	case <-ctx.Done():
		return h.waitEnded(ctx, o, nil)
	case <-h.done:
		return ErrClosed
	}
	return nil
}

// registerFirst has o ask the server if it is the first behind a local hold that
// has lasted for an interval: that hold may have been lost on the server and not
// know it, as a fixed lease that was taken away.
func (h *host) registerFirst(o *hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if ln := h.lines[o.req.Name]; o.stage == local && ln.waiters.Front() == o.place {
		o.to(asking)
	}
}

// enter adds o to the host, and to its line if it is to wait there.
func (h *host) enter(o *hold, queue bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	h.holds[o.req.Hold] = o
	h.waiting++
	o.stage = asking
	ln := h.lineOf(o)
	if queue {
		// An owner of its own never waits here: a stranger in front of it may be
		// waiting for that very owner, in another process.
		if ln.holder != nil || ln.waiters.Len() > 0 {
			o.stage, o.behind = local, true
		}
		o.place = ln.waiters.PushBack(o)
	}
	return nil
}

// lineOf needs h.mu.
func (h *host) lineOf(o *hold) *line {
	ln := h.lines[o.req.Name]
	if ln == nil {
		ln = &line{}
		h.lines[o.req.Name] = ln
	}
	return ln
}

// tidy drops the line if it is empty. It needs h.mu.
func (h *host) tidy(o *hold) {
	if ln := h.lines[o.req.Name]; ln != nil && ln.holder == nil && ln.waiters.Len() == 0 {
		delete(h.lines, o.req.Name)
	}
}

func (h *host) stageOf(o *hold) stage {
	h.mu.Lock()
	defer h.mu.Unlock()
	return o.stage
}

// to changes the stage of o and wakes it. It needs h.mu.
func (o *hold) to(s stage) {
	o.stage = s
	select {
	case o.ready <- struct{}{}:
	default: // it has not seen the last change yet, and will see both
	}
}

// nextOf returns the first waiter of ln, now named, if the server does not know
// it yet. It needs h.mu.
func (h *host) nextOf(ln *line) *hold {
	if ln == nil || ln.holder != nil || ln.waiters.Len() == 0 {
		return nil
	}
	o := ln.waiters.Front().Value.(*hold)
	if o.stage != local {
		return nil
	}
	// From here on a request may carry it: its cancel must withdraw it, and have
	// the server refuse what comes late.
	o.stage, o.first = named, time.Now()
	o.unsure.Add(1)
	return o
}

// unname has a waiter ask the server itself that no request will carry after
// all.
func (h *host) unname(o *hold) {
	o.unsure.Add(-1)
	h.toAsk(o)
}

// toAsk has a named waiter ask the server itself.
func (h *host) toAsk(o *hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.stage == named {
		o.to(asking)
	}
}

// askFor sends the acquire of o until it is answered. A waiter first asks
// without joining the queue, unless grants can be heard already: a free lock
// then costs no subscription.
func (h *host) askFor(ctx context.Context, o *hold) (engine.Answer, error) {
	if !o.req.Wait {
		bounded, cancel := context.WithTimeout(ctx, h.set.call)
		defer cancel()
		ctx = bounded
	}
	var last error
	for n := 0; ; n++ {
		ans, err := h.sendAcquire(ctx, o)
		if err == nil && ans.State == engine.Taken && o.req.Wait {
			h.noteTaken(o, ans)
			if err = h.listen(ctx); err == nil || passes(err) && ctx.Err() == nil {
				// Without a subscription, or with one that comes and goes, it
				// queues all the same, and asks often instead.
				o.blind = err != nil || n > 1
				continue
			}
		}
		last = telling(ctx, last, err)
		err = last
		switch {
		case err == nil:
			return ans, nil
		case h.stageOf(o) != asking:
			return ans, nil // the grant came by itself
		case ctx.Err() != nil:
			return ans, h.waitEnded(ctx, o, err)
		case !passes(err), !o.req.Wait && noQuorum(err):
			return ans, err
		}
		if n == 3 {
			h.set.log.Warn("relock: no answer yet", "lock", o.req.Name, "error", err)
		}
		select {
		case <-h.done:
			return ans, ErrClosed
		default:
			h.rest(ctx, o, pause(n))
		}
	}
}

// rest waits before a resend, but not once o is granted or the host closed.
func (h *host) rest(ctx context.Context, o *hold, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	case <-h.done:
	case <-o.ready:
	}
}

func (h *host) listen(ctx context.Context) error {
	return h.once(ctx, h.eng.Listen)
}

func (h *host) sendAcquire(ctx context.Context, o *hold) (engine.Answer, error) {
	bounded, cancel := context.WithTimeout(ctx, min(h.set.call, o.req.TTL))
	defer cancel()
	r := o.req
	r.Wait = r.Wait && (o.blind || h.eng.Listening() || h.eng.Deaf())
	h.mu.Lock()
	if o.stage != asking {
		h.mu.Unlock()
		return engine.Answer{}, engine.ErrUnknown
	}
	o.interrupt = cancel
	if o.first.IsZero() {
		o.first = time.Now()
	}
	h.mu.Unlock()
	o.unsure.Add(1)
	ans, err := h.eng.Acquire(bounded, &r)
	o.answered(err)
	return ans, err
}

// answered notes that an acquire was answered, unless err leaves that open.
func (o *hold) answered(err error) {
	if !errors.Is(err, engine.ErrUnknown) || engine.Unsent(err) {
		o.unsure.Add(-1)
	}
}

func (h *host) noteTaken(o *hold, ans engine.Answer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o.last = ans
	h.lineOf(o).seen = ans
}

// settle makes of an answer the stage it stands for. A grant that came by
// itself in the meantime stays.
func (h *host) settle(o *hold, ans engine.Answer, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.stage != asking && o.stage != named && o.stage != queued {
		return
	}
	switch {
	case err != nil:
		o.failure = err
		o.to(failed)
	case ans.State == engine.Granted:
		h.grant(o, ans)
	case ans.State == engine.Waiting:
		if ans.Sent.After(o.last.Sent) || o.last.State != engine.Waiting {
			o.last = ans
			h.lineOf(o).seen = ans
		}
		if o.stage == named && !h.eng.Listening() && !h.eng.Deaf() {
			o.to(asking) // it has joined the queue, but its grant would not be heard
			return
		}
		o.stage = queued
		h.dog.await(o, ans)
	case ans.State == engine.Taken:
		o.last = ans
		o.failure = o.notAcquired(nil)
		o.to(failed)
	case o.stage == named:
		o.to(asking) // nobody took it over
	default:
		o.failure = fmt.Errorf("relock: the server refused hold %s: it was withdrawn", o.req.Hold)
		o.to(failed)
	}
}

// grant gives o the lock. It needs h.mu.
func (h *host) grant(o *hold, ans engine.Answer) {
	o.answer = ans
	h.dog.forget(o)
	if o.interrupt != nil {
		o.interrupt()
		o.interrupt = nil
	}
	o.to(granted)
}

// Deliver hands over a grant that came by message: the message is the grant.
//
// Its validity counts from when the last request left that was answered
// "waiting": the server granted it after that. A token that is not greater than
// the one in that answer is from before it: the grant has ended since, and o
// queues again. An engine that knows when it asked for the grant says so, and
// vouches for it.
func (h *host) Deliver(m engine.Message) {
	h.mu.Lock()
	defer h.mu.Unlock()
	o := h.holds[m.Hold]
	if o == nil {
		h.spawnLocked(func(ctx context.Context) { h.returnStray(ctx, m) })
		return
	}
	if o.stage != asking && o.stage != named && o.stage != queued {
		return
	}
	if !m.Sent.IsZero() {
		h.grant(o, engine.Answer{State: engine.Granted, Token: m.Token, Count: 1, Left: m.Left, Sent: m.Sent})
		return
	}
	if m.Token <= o.last.Token {
		return
	}
	sent := o.first
	if o.last.State == engine.Waiting {
		sent = o.last.Sent
	}
	o.byMessage = true
	h.grant(o, engine.Answer{State: engine.Granted, Token: m.Token, Count: 1, Left: m.Left, Sent: sent})
}

// returnStray releases a grant for nobody: its waiter is gone, and its
// withdrawal may have been lost.
func (h *host) returnStray(ctx context.Context, m engine.Message) {
	_ = h.ask(ctx, func(ctx context.Context) error {
		_, err := h.eng.Release(ctx, &engine.Release{Name: m.Name, Hold: m.Hold, Token: m.Token})
		return err
	})
}

// CheckIn has every waiter ask for its state now.
func (h *host) CheckIn() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, o := range h.holds {
		if o.stage == queued {
			h.dog.at(o, time.Now())
		}
	}
}

// Idle tells whether nobody waits.
func (h *host) Idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting == 0
}

// take makes a lease of a granted hold; it returns nil and nil if the grant is
// too old to use.
func (h *host) take(ctx context.Context, o *hold) (*hold, error) {
	v := validity{o.answer.Sent, o.answer.Left}
	o.token = o.answer.Token
	if o.lock.set.maxHold > 0 {
		o.lastEnd = h.grantedAt(ctx, o).Add(o.lock.set.maxHold).Sub(h.epoch)
	}
	if h.needsRenewal(o, v) {
		var err error
		if v, err = h.confirm(ctx, o, v); errors.Is(err, ErrNotReplicated) {
			// What is reported as released should be, if Redis can be reached.
			released := make(chan struct{})
			drop := h.drop(o)
			h.spawn(func(ctx context.Context) { drop(ctx); close(released) })
			h.left(o)
			_ = h.once(ctx, func(ctx context.Context) error {
				select {
				case <-released:
				case <-ctx.Done():
				}
				return nil
			})
			return nil, err
		} else if err != nil {
			return nil, h.abandon(o, err)
		}
	}
	if v.remaining(time.Now()) <= 0 || o.lastEnd > 0 && h.clock() >= int64(o.lastEnd) {
		if !o.req.Wait {
			return nil, h.abandon(o, fmt.Errorf("%w: answered after the hold had ended", ErrLost))
		}
		return nil, nil
	}
	return o, h.begin(ctx, o, v)
}

// grantedAt returns an instant no later than o's grant. A message does not tell
// how long ago the grant was; the server does.
func (h *host) grantedAt(ctx context.Context, o *hold) time.Time {
	if o.byMessage {
		sent := time.Now()
		var st engine.Status
		err := h.once(ctx, func(ctx context.Context) (err error) {
			st, err = h.eng.Status(ctx, o.req.Name)
			return err
		})
		if err == nil && st.Token == o.token {
			return sent.Add(-st.Age)
		}
	}
	return o.answer.Sent
}

// needsRenewal tells whether a grant must be renewed before Lock returns: one
// that came by message lives shorter than a TTL, and is as old as the last
// check-in.
func (h *host) needsRenewal(o *hold, v validity) bool {
	if o.lock.set.replicas > 0 {
		return true
	}
	return o.byMessage && (o.lock.set.fixed || v.remaining(time.Now()) < v.left/2)
}

// confirm renews a grant. A validity that has run out says that the hold is
// gone, or cannot be had in time.
func (h *host) confirm(ctx context.Context, o *hold, v validity) (validity, error) {
	for n := 0; v.remaining(time.Now()) > 0; n++ {
		var ans engine.Answer
		err := h.once(ctx, func(ctx context.Context) (err error) {
			ans, err = h.eng.Renew(ctx, o.renewal(o.req.TTL))
			return err
		})
		switch {
		case err == nil && ans.State == engine.Granted:
			return validity{ans.Sent, ans.Left}, nil
		case err == nil:
			return validity{}, nil
		case ctx.Err() != nil:
			return v, h.waitEnded(ctx, o, err)
		case !passes(err):
			return v, err
		}
		sleep(ctx, pause(n))
	}
	return v, nil
}

// begin makes o a lease, watched before Lock returns.
func (h *host) begin(ctx context.Context, o *hold, v validity) error {
	h.mu.Lock()
	if h.closed || ctx.Err() != nil {
		// Cancelled after the grant: put it back, so that an error always means
		// that nothing is held.
		h.mu.Unlock()
		if ctx.Err() != nil {
			return h.abandon(o, h.waitEnded(ctx, o, nil))
		}
		return h.abandon(o, ErrClosed)
	}
	o.stage = held
	h.waiting--
	ln := h.lineOf(o)
	if o.place != nil {
		ln.waiters.Remove(o.place)
		o.place = nil
	}
	if ln.holder == nil {
		ln.holder = o
	}
	h.mu.Unlock()
	o.believe(v)
	h.dog.watch(o, engine.Answer{Sent: v.sent, Left: v.left})
	return nil
}

// leave takes o out of the host. It returns the next waiter of its line, now
// named, if o's end is its turn. What remains to be done for o is a task until
// left is called.
func (h *host) leave(o *hold) *hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leaveLocked(o)
}

func (h *host) leaveLocked(o *hold) *hold {
	h.tasks++
	if o.stage == gone {
		return nil
	}
	if o.stage != held {
		h.waiting--
	}
	o.stage = gone
	ln := h.lines[o.req.Name]
	if o.place != nil {
		ln.waiters.Remove(o.place)
		o.place = nil
	}
	if ln != nil && ln.holder == o {
		ln.holder = nil
	}
	next := h.nextOf(ln)
	h.tidy(o)
	return next
}

// abandon gives up a hold that is no lease yet, and returns err. What may have
// reached the server is withdrawn in the background, and passed on to the next
// waiter: a grant that crosses a cancel is never swallowed.
func (h *host) abandon(o *hold, err error) error {
	if drop := h.drop(o); drop != nil {
		h.spawn(drop)
	}
	h.left(o)
	return err
}

// drop takes a hold that is no lease yet out of the host, and returns what is
// left to do for that on the server, or nil.
func (h *host) drop(o *hold) func(context.Context) {
	h.mu.Lock()
	h.dog.forget(o)
	known := o.stage != local && !o.first.IsZero()
	if !o.req.Wait && o.stage == failed && o.last.State == engine.Taken && o.unsure.Load() == 0 {
		known = false // a try that was told "taken" is in no queue, and one command was enough
	}
	o.token = 0
	next := h.leaveLocked(o)
	h.mu.Unlock()
	if !known {
		if next != nil {
			h.unname(next)
		}
		return nil
	}
	until := time.Now().Add(max(o.req.TTL, o.req.Life, h.set.call))
	return func(ctx context.Context) { h.withdraw(ctx, o, next, until) }
}

// retry gives up a grant that is too old to use, and returns a waiter in its
// place, with the time it has waited, under a new id: the old one is withdrawn,
// and refused from then on.
func (h *host) retry(old *hold) *hold {
	o := &hold{lock: old.lock, req: old.req, from: old.from, ready: make(chan struct{}, 1), stage: asking}
	o.req.Hold = h.newID()
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.holds, old.req.Hold)
	h.holds[o.req.Hold] = o
	if o.place = old.place; o.place != nil {
		o.place.Value = o
	}
	old.place, old.token, old.stage = nil, 0, gone
	until := time.Now().Add(max(old.req.TTL, h.set.call))
	h.spawnLocked(func(ctx context.Context) { h.withdraw(ctx, old, nil, until) })
	return o
}

// waitEnded is the error of a wait that ctx ended: ErrNotAcquired if another is
// known to hold the lock, else what Redis did not answer.
func (h *host) waitEnded(ctx context.Context, o *hold, err error) error {
	cause := ended(ctx)
	if cause == nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if o.last.Owner != "" || o.behind && err == nil {
		if ln := h.lines[o.req.Name]; o.last.Owner == "" && ln != nil {
			o.last = ln.seen
			if ln.holder != nil {
				o.last = ln.holder.asHolder()
			}
		}
		return o.notAcquired(cause)
	}
	if err == nil {
		return cause
	}
	return fmt.Errorf("no answer from Redis: %w: %w", cause, err)
}

func (o *hold) notAcquired(cause error) error {
	return &NotAcquiredError{
		Name: o.req.Name, Owner: Owner(o.last.Owner), Token: Token(o.last.Token),
		Since: ago(o.last.Owner != "", o.last.Age), TTL: max(o.last.Left, 0), cause: cause,
	}
}

// asHolder describes a local hold to one that waits behind it.
func (o *hold) asHolder() engine.Answer {
	return engine.Answer{
		State: engine.Taken, Owner: o.req.Owner, Token: o.token,
		Left: time.Until(o.validUntil()), Age: time.Since(o.answer.Sent),
	}
}
