package faultproxy

import (
	"context"
	"fmt"
	"sync"
)

// Then says what becomes of a connection after a message on it was dropped.
type Then int

const (
	// Close closes the connection.
	Close Then = iota
	// Reset closes it by a TCP RST.
	Reset
	// Silence keeps it open; nothing more passes in the message's direction.
	Silence
	// Truncate lets the first half of the message's bytes pass, then closes.
	Truncate
)

// kind is the moment at which a rule is asked.
type kind int

const (
	onRequest kind = iota // drop the request
	onHold                // hold the request
	onForward             // drop the reply
	onPassed              // count only
	onPush                // drop the push
	kinds
)

// Rule is one armed fault, or a counter. Its methods may be called from
// several goroutines at once.
type Rule struct {
	match Match
	then  Then
	hits  counter
	held  *Held // of a hold; nil otherwise

	mu   sync.Mutex
	left int // matches still to take; negative: no limit
}

func newRule(match Match, n int, then Then) *Rule {
	if n < 1 {
		n = -1
	}
	return &Rule{match: match, then: then, left: n}
}

// Hits returns how often the rule has struck: requests, replies or pushes
// dropped, requests held, commands counted. A dropped reply counts when it
// arrives, so the server has executed its command by then.
func (r *Rule) Hits() int { return r.hits.value() }

// Wait returns nil once the rule has struck n times in all, or an error that
// wraps ctx's cause.
func (r *Rule) Wait(ctx context.Context, n int) error { return r.hits.wait(ctx, n) }

// Remove disarms the rule: nothing more matches it. What it already caught
// stays caught.
func (r *Rule) Remove() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = 0
}

// spent reports whether the rule will never strike again.
func (r *Rule) spent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.left == 0
}

// take reports whether the rule strikes, and uses up one of its matches.
func (r *Rule) take(words []string) bool {
	if !r.match(words) {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == 0 {
		return false
	}
	if r.left > 0 {
		r.left--
	}
	return true
}

// Held is a rule that holds requests back. Its methods may be called from
// several goroutines at once.
type Held struct {
	*Rule
	arrived  chan struct{}
	answers  counter
	once     sync.Once
	released chan struct{}
}

// arrivals is how many catches of a hold without limit can be left unread in
// its channel; further ones are not signalled.
const arrivals = 1024

func newHeld(match Match, n int) *Held {
	r := newRule(match, n, Close)
	h := &Held{Rule: r, arrived: make(chan struct{}, max(n, arrivals)), released: make(chan struct{})}
	r.held = h
	return h
}

// Arrived delivers one value for each request caught. No byte of a caught
// request has reached the server, and none will before [Held.Release].
func (h *Held) Arrived() <-chan struct{} { return h.arrived }

// Release sends the caught requests on, each on its own connection, also if
// the client has closed it since, and disarms the hold. Later calls do
// nothing.
func (h *Held) Release() {
	h.Remove()
	h.once.Do(func() { close(h.released) })
}

// Delivered returns nil once the server has answered every request caught so
// far, or an error that wraps ctx's cause. A request whose connection was cut
// while held is never answered.
func (h *Held) Delivered(ctx context.Context) error { return h.answers.wait(ctx, h.Hits()) }

// hold blocks until the release. It returns false if the connection ended
// first.
func (h *Held) hold(ended <-chan struct{}) bool {
	h.hits.add()
	select {
	case h.arrived <- struct{}{}:
	default:
	}
	select {
	case <-h.released:
		return true
	case <-ended:
		return false
	}
}

// counter is a number that only rises and can be waited for. Its zero value
// is ready.
type counter struct {
	mu      sync.Mutex
	n       int
	changed chan struct{} // closed and dropped by add; nil while nobody waits
}

func (c *counter) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

func (c *counter) value() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

// next returns the value and a channel that is closed when it changes.
func (c *counter) next() (int, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return c.n, c.changed
}

func (c *counter) wait(ctx context.Context, n int) error {
	for {
		got, changed := c.next()
		if got >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("faultproxy: %d of %d: %w", got, n, context.Cause(ctx))
		}
	}
}
