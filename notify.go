package relock

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
	"github.com/relock-go/relock/internal/redisengine"
)

// subscribeEvery is how often SUBSCRIBE is tried, while somebody waits, at a server
// that refuses it: the right may be given, the proxy changed.
const subscribeEvery = 30 * time.Second

// A notifier is a client's one subscription: it hears the grants of the
// client's waiters. It is opened at the first contention and closed when nobody
// has waited for a check interval.
//
// The connection is ours to watch: go-redis reconnects and resubscribes by
// itself, but hides that messages were lost in between, and never notices one
// that is half open.
type notifier struct {
	rdb     Redis
	channel string
	set     settings
	parse   func(payload string) (engine.Message, error)
	sink    engine.Sink

	refusing atomic.Bool // SUBSCRIBE is refused
	ready    atomic.Bool // the subscription is confirmed

	mu        sync.Mutex
	pubsub    *redis.PubSub // nil: no goroutine
	confirmed chan struct{} // closed when this subscription is confirmed, or has failed once
	failure   error         // why it cannot be heard now
	again     time.Time     // where it is refused: when SUBSCRIBE may be tried again
	closed    bool
	stop      chan struct{} // closed by close
}

func newNotifier(rdb Redis, channel string, set settings, parse func(string) (engine.Message, error)) *notifier {
	return &notifier{rdb: rdb, channel: channel, set: set, parse: parse, stop: make(chan struct{})}
}

// Start gives n the sink for what it hears.
func (n *notifier) Start(sink engine.Sink) { n.sink = sink }

// CannotSubscribe reports whether SUBSCRIBE is refused.
func (n *notifier) CannotSubscribe() bool { return n.refusing.Load() }

// Listening reports whether grants are heard now.
func (n *notifier) Listening() bool { return n.ready.Load() }

// Listen opens the subscription if there is none, and returns when it is
// confirmed, when it cannot be had now, or when ctx ends. A refusal is no error:
// the waiters ask often instead.
func (n *notifier) Listen(ctx context.Context) error {
	if n.ready.Load() || n.refusing.Load() {
		return nil
	}
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return ErrClosed
	}
	if n.pubsub == nil {
		n.open()
	}
	confirmed := n.confirmed
	n.mu.Unlock()
	select {
	case <-confirmed:
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.failure
	case <-ctx.Done():
		return redisengine.FromServer(engine.ContextError(ctx))
	}
}

// open needs n.mu.
func (n *notifier) open() {
	n.failure, n.confirmed = nil, make(chan struct{})
	// No channels: Subscribe with some would dial in this call, whatever ctx says.
	n.pubsub = n.rdb.Subscribe(context.Background())
	go n.run(n.pubsub, n.confirmed)
}

// Retry tries a refused SUBSCRIBE again, in the background, if it is time for
// that. Each request of a waiter calls it, so nothing runs while nobody waits.
func (n *notifier) Retry() {
	if !n.refusing.Load() {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pubsub == nil && !n.closed && !time.Now().Before(n.again) {
		n.open()
	}
}

// run receives until nobody waits or the client is closed.
func (n *notifier) run(pubsub *redis.PubSub, confirmed chan struct{}) {
	r := receiver{notifier: n, pubsub: pubsub, confirmed: confirmed}
	r.subscribe()
	for r.next() {
	}
}

// A receiver is one life of the subscription, over as many connections as it
// takes. A silent connection is pinged after one interval and replaced after the
// second.
type receiver struct {
	*notifier
	pubsub    *redis.PubSub
	confirmed chan struct{}

	sent    time.Time     // when SUBSCRIBE left
	trip    time.Duration // from then to its answer
	pinged  bool          // the connection was silent, and has not answered yet
	attempt int           // how many connections in a row have failed
}

func (r *receiver) subscribe() {
	r.sent = time.Now()
	_ = r.pubsub.Subscribe(context.Background(), r.channel) // its error is that of the next read
}

// next takes what comes next, and reports whether there is more to come.
func (r *receiver) next() bool {
	msg, err := r.pubsub.ReceiveTimeout(context.Background(), r.patience(r.trip))
	if r.isClosed() {
		return r.over(engine.ErrClosed)
	}
	if err != nil {
		return r.failed(err)
	}
	r.attempt, r.pinged = 0, false
	switch msg := msg.(type) {
	case *redis.Message:
		r.hear(msg.Payload)
	case *redis.Subscription:
		r.trip = time.Since(r.sent)
		r.accepted()
		r.sink.CheckIn() // grants may have been published before, to nobody
		r.answer(r.confirmed, nil)
	}
	return true
}

// failed is next where err came instead of a message.
func (r *receiver) failed(err error) bool {
	said := redisengine.IsReply(err)
	switch {
	case r.idle():
		return r.over(redisengine.FromServer(err))
	case r.pinged && said:
		r.pinged = false // it is the answer to our PING
		return true
	case said && !engine.IsTransient(redisengine.FromServer(err)):
		r.refused(err)
		r.over(nil)
		r.sink.CheckIn() // who has relied on messages asks from now on
		return false
	case isTimeout(err) && !r.pinged && r.ready.Load() && r.pubsub.Ping(context.Background()) == nil:
		r.pinged = true
		return true
	}
	return r.reconnect(err)
}

// reconnect has a new connection take the place of one that broke with err.
func (r *receiver) reconnect(err error) bool {
	r.ready.Store(false)
	r.answer(r.confirmed, redisengine.FromServer(err)) // nobody waits for the next attempt
	if r.attempt == 3 {
		r.set.log.Warn("relock: no subscription: waiters check in instead", "every", lifecycle.PollInterval, "error", err)
	}
	redisengine.RefreshTopology(r.rdb)
	if r.pubsub = r.replace(r.pubsub); r.pubsub == nil {
		return r.over(engine.ErrClosed)
	}
	r.pinged = false
	if !r.rest(engine.Pause(r.attempt)) {
		return r.over(engine.ErrClosed)
	}
	r.attempt++
	r.subscribe()
	return true
}

// over ends the subscription; err is what those who wait for its confirmation get.
func (r *receiver) over(err error) bool {
	r.end(r.pubsub, r.confirmed, err)
	return false
}

// patience is how long a connection may be silent: for a check interval, but not
// for less than its answers take (trip: those to connect and to subscribe), unless
// that is longer than any call may take: go-redis may have connected again itself,
// much later.
func (n *notifier) patience(trip time.Duration) time.Duration {
	if !n.ready.Load() {
		return max(n.set.check, n.set.call)
	}
	return max(n.set.check, min(2*trip, n.set.call))
}

// idle reports whether nobody waits. A waiter that came after the first look may
// have found the subscription still open; the second look sees that one.
func (n *notifier) idle() bool {
	if !n.sink.Idle() {
		return false
	}
	was := n.ready.Swap(false)
	if n.sink.Idle() {
		return true
	}
	n.ready.Store(was)
	return false
}

// accepted notes that grants can be heard.
func (n *notifier) accepted() {
	n.ready.Store(true)
	if n.refusing.Swap(false) {
		n.set.log.Info("relock: SUBSCRIBE is accepted now: waiters are woken by messages")
	}
}

// refused notes that the server answers SUBSCRIBE with an error that does not pass
// by itself. A proxy's may do after all; its waiters then ask often for a while.
func (n *notifier) refused(err error) {
	n.mu.Lock()
	n.again = time.Now().Add(subscribeEvery)
	n.mu.Unlock()
	if !n.refusing.Swap(true) {
		n.set.log.Warn("relock: SUBSCRIBE is refused: waiters check in instead",
			"every", lifecycle.PollInterval, "retry", subscribeEvery, "error", err)
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func (n *notifier) hear(payload string) {
	m, err := n.parse(payload)
	if err != nil {
		n.set.log.Warn("relock: unreadable message", "error", err)
		return
	}
	if m.Kept {
		n.sink.Nudge(m)
		return
	}
	n.sink.Deliver(m)
}

func (n *notifier) isClosed() bool {
	select {
	case <-n.stop:
		return true
	default:
		return false
	}
}

// rest waits for d; it reports whether the notifier is still open.
func (n *notifier) rest(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-n.stop:
		return false
	}
}

// replace closes a broken subscription and returns a new one, or nil if the
// client was closed.
func (n *notifier) replace(old *redis.PubSub) *redis.PubSub {
	_ = old.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.pubsub = n.rdb.Subscribe(context.Background())
	return n.pubsub
}

// answer has those go on who wait for the confirmation, with err.
func (n *notifier) answer(confirmed chan struct{}, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answerLocked(confirmed, err)
}

// answerLocked needs n.mu.
func (n *notifier) answerLocked(confirmed chan struct{}, err error) {
	n.failure = err
	select {
	case <-confirmed:
	default:
		close(confirmed)
	}
}

// end closes the subscription; err is what those who wait for its confirmation
// get.
func (n *notifier) end(pubsub *redis.PubSub, confirmed chan struct{}, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ready.Store(false)
	n.pubsub = nil
	n.answerLocked(confirmed, err)
	if pubsub != nil {
		_ = pubsub.Close()
	}
}

// Close has the subscription and its goroutine end.
func (n *notifier) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	n.closed = true
	close(n.stop)
	if p := n.pubsub; p != nil {
		// It ends the read that run is in. Where go-redis is reconnecting it
		// waits for that, so it is not waited for itself.
		go func() { _ = p.Close() }()
	}
}
