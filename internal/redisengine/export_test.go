package redisengine

import "slices"

// What tests reach of the inside, and what callers do not.

// MostUnderWay is how many pipelines and single requests may be without an answer, by
// what the server's answers took so far.
func (s *Engine) MostUnderWay() int {
	d := s.dispatchers.one
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.limit.most() + 4 + 1
}

// Dispatchers is how many shards of a cluster have one.
func (s *Engine) Dispatchers() int {
	ss := s.dispatchers.shards
	ss.mu.Lock()
	defer ss.mu.Unlock()
	return len(ss.dispatchers)
}

// Waiting is how many requests wait for their turn.
func (s *Engine) Waiting() int {
	d := s.dispatchers.one
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.urgent) + len(d.waiting)
}

// WaitsFor reports whether a request of a lock is among them.
func (s *Engine) WaitsFor(name string) bool {
	d := s.dispatchers.one
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.ContainsFunc(d.waiting, func(it *item) bool { return it.r.name == name })
}

// Channel is what the engine's grants are published to.
func (s *Engine) Channel() string { return s.channel }

// ProveQuick has the server be taken for near.
func (s *Engine) ProveQuick() { s.inline.quick.Store(inlineProof) }

// Quick reports whether the server is taken for near.
func (s *Engine) Quick() bool { return s.inline.quick.Load() == inlineProof }

// Busy reports whether a request is sent by its caller, or none may be.
func (s *Engine) Busy() bool { return s.inline.busy.Load() > 0 || s.inline.quick.Load() == 0 }

// MayEnter reports whether a request may be sent by its caller.
func (s *Engine) MayEnter() bool {
	if !s.inline.enter() {
		return false
	}
	s.inline.leave()
	return true
}
