package faultproxy

import (
	"strings"
	"sync"
)

// request is a command that was forwarded and awaits its reply.
type request struct {
	words    []string
	drop     *Rule // swallows the reply; nil lets it pass
	answered func()
	left     int // confirmations still to come; 0 until it is first in line
}

// name is the command's first word in lower case.
func (q *request) name() string { return strings.ToLower(q.words[0]) }

// ledger matches the replies of one connection to its requests. Redis answers
// in order, except that pushes come in between, and that SUBSCRIBE and its
// kin are answered by one confirmation a channel.
type ledger struct {
	mu      sync.Mutex
	waiting []*request
	subs    map[string]map[string]bool // verb without "un" -> channels
	resp3   bool
}

func newLedger() *ledger {
	return &ledger{subs: map[string]map[string]bool{
		"subscribe": {}, "psubscribe": {}, "ssubscribe": {},
	}}
}

// expect notes a request before its first byte is sent.
func (l *ledger) expect(q *request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = append(l.waiting, q)
}

// takenOver reports whether the next bytes answer a command that ends the
// exchange of requests and replies.
func (l *ledger) takenOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.waiting) > 0 && takesOver(l.waiting[0].words)
}

// settle says what a frame from the server is: a push, or the answer to a
// request.
func (l *ledger) settle(f *frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.confirms(f):
		f.req = l.confirm(f.words)
	case f.kind == '>' || l.isMessage(f):
		f.push = true
	default:
		f.req = l.pop()
		l.observe(f)
	}
	if f.req != nil && f.req.answered != nil {
		f.req.answered()
	}
}

// observe follows the commands that change the connection's protocol.
func (l *ledger) observe(f *frame) {
	if f.req == nil || f.kind == '-' {
		return
	}
	switch f.req.name() {
	case "hello":
		if len(f.req.words) > 1 {
			l.resp3 = f.req.words[1] == "3"
		}
	case "reset":
		l.resp3 = false
		for _, channels := range l.subs {
			clear(channels)
		}
	}
}

// confirms reports whether f confirms a subscription or its end. A RESP2
// array may be an ordinary reply that only looks like one, so it counts only
// where a confirmation can come.
func (l *ledger) confirms(f *frame) bool {
	if len(f.words) != 3 || subscribed(f.words[0]) == "" {
		return false
	}
	if f.kind == '>' {
		return true
	}
	return f.kind == '*' && !l.resp3 && (l.listening() || l.headVerb() != "")
}

// confirm books a confirmation and returns the request it answers: nil where
// the server ended the subscription by itself, as after a slot's migration.
func (l *ledger) confirm(words []string) *request {
	verb, channel := words[0], words[1]
	var q *request
	if l.headVerb() == verb {
		q = l.countDown()
	}
	channels := l.subs[subscribed(verb)]
	if strings.Contains(verb, "un") {
		delete(channels, channel)
	} else {
		channels[channel] = true
	}
	return q
}

// countDown books one confirmation of the first request in line.
func (l *ledger) countDown() *request {
	q := l.waiting[0]
	if q.left == 0 {
		q.left = l.confirmations(q)
	}
	q.left--
	if q.left == 0 {
		l.pop()
	}
	return q
}

// confirmations is how many a request gets; it is exact only once the request
// is first in line, since UNSUBSCRIBE without channels names those of then.
func (l *ledger) confirmations(q *request) int {
	if n := len(q.words) - 1; n > 0 {
		return n
	}
	return max(1, len(l.subs[subscribed(q.name())]))
}

// isMessage reports whether f is a published message in RESP2.
func (l *ledger) isMessage(f *frame) bool {
	if f.kind != '*' || l.resp3 || !l.listening() || len(f.words) < 3 {
		return false
	}
	return f.words[0] == "message" || f.words[0] == "pmessage" || f.words[0] == "smessage"
}

// listening reports whether the connection has a subscription.
func (l *ledger) listening() bool {
	for _, channels := range l.subs {
		if len(channels) > 0 {
			return true
		}
	}
	return false
}

// headVerb is the first request's name if that is a subscription verb.
func (l *ledger) headVerb() string {
	if len(l.waiting) == 0 || subscribed(l.waiting[0].name()) == "" {
		return ""
	}
	return l.waiting[0].name()
}

func (l *ledger) pop() *request {
	if len(l.waiting) == 0 {
		return nil
	}
	q := l.waiting[0]
	l.waiting = l.waiting[1:]
	return q
}

// subscribed maps a subscription verb, or its opposite, to the verb that
// subscribes; everything else to "".
func subscribed(verb string) string {
	switch verb {
	case "subscribe", "unsubscribe":
		return "subscribe"
	case "psubscribe", "punsubscribe":
		return "psubscribe"
	case "ssubscribe", "sunsubscribe":
		return "ssubscribe"
	}
	return ""
}

// takesOver reports whether a command turns the connection into a stream.
func takesOver(words []string) bool {
	if len(words) == 0 {
		return false
	}
	switch strings.ToLower(words[0]) {
	case "psync", "sync", "monitor":
		return true
	}
	return false
}
