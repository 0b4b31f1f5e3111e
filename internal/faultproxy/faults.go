package faultproxy

import "slices"

// DropReply forwards the next n requests that match and swallows the reply of
// each; then says what becomes of the connection. With n < 1 it strikes until
// [Rule.Remove]. Of a SUBSCRIBE the first confirmation is the reply.
func (p *Proxy) DropReply(match Match, n int, then Then) *Rule {
	return p.arm(onForward, newRule(match, n, then))
}

// DropRequest swallows the next n requests that match: the server never sees
// them. With n < 1 it strikes until [Rule.Remove].
func (p *Proxy) DropRequest(match Match, n int, then Then) *Rule {
	return p.arm(onRequest, newRule(match, n, then))
}

// Hold keeps the next n requests that match from the server until
// [Held.Release]; with n < 1, all until then. Later requests on the same
// connection wait behind it, other connections go on. If the client closes
// its connection meanwhile, the request is still delivered on release.
func (p *Proxy) Hold(match Match, n int) *Held {
	h := newHeld(match, n)
	p.arm(onHold, h.Rule)
	return h
}

// DropPush swallows the next n pushes that match, while all else passes on
// the same connection. With n < 1 it strikes until [Rule.Remove]. A push is a
// published message in RESP2, and anything out of band in RESP3;
// confirmations of subscriptions are none, and always pass.
func (p *Proxy) DropPush(match Match, n int) *Rule {
	return p.arm(onPush, newRule(match, n, Silence))
}

// Count counts the requests that match and are passed to the server, whatever
// becomes of their replies. A client that has the reply finds its request
// counted by [Rule.Hits].
func (p *Proxy) Count(match Match) *Rule {
	return p.arm(onPassed, newRule(match, 0, Silence))
}

// arm adds a rule behind those of its kind and forgets the spent ones.
func (p *Proxy) arm(k kind, r *Rule) *Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	live := slices.DeleteFunc(slices.Clone(p.rules[k]), (*Rule).spent)
	p.rules[k] = append(live, r)
	return r
}

func (p *Proxy) armed(k kind) []*Rule {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules[k]
}

// take returns the first rule of a kind that strikes, or nil.
func (p *Proxy) take(k kind, words []string) *Rule {
	for _, r := range p.armed(k) {
		if r.take(words) {
			return r
		}
	}
	return nil
}

// passed counts a request that is about to be sent.
func (p *Proxy) passed(words []string) {
	for _, r := range p.armed(onPassed) {
		if r.take(words) {
			r.hits.add()
		}
	}
}

// dropsPush reports whether a push is to be lost.
func (p *Proxy) dropsPush(words []string) bool {
	r := p.take(onPush, words)
	if r != nil {
		r.hits.add()
	}
	return r != nil
}
