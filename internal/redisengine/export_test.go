package redisengine

// What tests reach of the inside, and what callers do not.

// SpareCopies is how many copies a client has under way.
const SpareCopies = spareCopies

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
