package redlock

import (
	"errors"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/engine"
)

// noQuorumError is a [relock.QuorumError] for those who decide by its class.
type noQuorumError struct{ relock.QuorumError }

func newNoQuorumError(need int) *noQuorumError {
	return &noQuorumError{relock.QuorumError{Need: need, Nodes: map[string]error{}}}
}

// Unwrap returns what callers look for.
func (e *noQuorumError) Unwrap() error { return &e.QuorumError }

// Class is described in package engine.
func (e *noQuorumError) Class() engine.Class { return engine.NoQuorum }

// Transient is described in package engine. It is false where so many nodes
// refused for good that the others are no quorum: asking again changes nothing, as
// with one server that does.
func (e *noQuorumError) Transient(calls int) bool {
	refused := 0
	for _, err := range e.Nodes {
		if engine.ClassOf(err) == engine.Refused && !engine.IsTransientAfter(err, calls) && !errors.Is(err, engine.ErrForgot) {
			refused++
		}
	}
	return e.Acquired+len(e.Nodes)-refused >= e.Need
}
