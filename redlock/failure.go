package redlock

import (
	"errors"
	"slices"

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

// GraceCalls is described in package engine. The error is for good once so many nodes
// have refused for good that the others are no quorum: asking again changes nothing,
// as with one server that does.
func (e *noQuorumError) GraceCalls() int {
	var refusals []int // the grace of each
	for _, err := range e.Nodes {
		if engine.ClassOf(err) == engine.Refused && !errors.Is(err, engine.ErrForgot) {
			refusals = append(refusals, engine.GraceOf(err))
		}
	}
	slices.Sort(refusals)
	switch spare := e.Acquired + len(e.Nodes) - e.Need; {
	case spare < 0:
		return 0
	case spare < len(refusals):
		return refusals[spare]
	}
	return engine.Forever
}
