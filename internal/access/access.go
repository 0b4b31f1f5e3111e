// Package access hands the inside of package relock's types to the packages of
// this module that build on them. Package relock sets its functions in an init, so
// that nothing need be exported for this module alone, as the standard library
// does it. Each takes or returns a type of package relock's, which cannot be
// named here; one that is not of the type that is said panics.
package access

import (
	"log/slog"
	"time"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
	"github.com/relock-go/relock/internal/redisengine"
)

// Inside is what a *relock.Client is made of.
type Inside struct {
	Manager *lifecycle.Manager
	Redis   *redisengine.Engine // nil: its locks are on another engine
}

// Settings are what an engine takes of the options of its client.
type Settings struct {
	ID        string        // of the client, which no other has
	Prefix    string        // of every key
	Check     time.Duration // how often a waiter asks for its state
	Call      time.Duration // bounds each request
	Retention time.Duration // of the counter of a lock's tokens
	Log       *slog.Logger
}

// Inspector returns a view of all the locks on the client's Redis, or nil where it
// has no single one.
func (in Inside) Inspector() engine.Inspector {
	if in.Redis == nil {
		return nil
	}
	return in.Manager.Inspector(in.Redis)
}

var (
	// Client returns the inside of a *relock.Client.
	Client func(client any) Inside
	// NewClient returns a *relock.Client whose locks the engine keeps that make makes
	// of the settings of opts, a []relock.Option or nil. It returns what is wrong with
	// them.
	NewClient func(make func(Settings) engine.Engine, opts any) (any, error)
	// NewQuorum returns a *relock.Client whose locks live on a quorum, with the
	// settings of like, a *relock.Client.
	NewQuorum func(quorum engine.Engine, like any) any
	// Member returns a *relock.Mutex or a *relock.Reentrant as the member of a
	// group, and false for anything else.
	Member func(lock any) (lifecycle.Member, bool)
	// NewLease returns a *relock.Lease.
	NewLease func(lifecycle.Lease) any
	// Lease returns the inside of a *relock.Lease.
	Lease func(lease any) lifecycle.Lease
)

// NoOrder returns why the tokens of a lock of package redlock's do not order its
// holders, or "". Package redlock sets it; nil: nobody has such a lock.
var NoOrder func(lock any) string

// QuorumInspector returns a view of all the locks of a *redlock.RedLock. Package
// redlock sets it.
var QuorumInspector func(redLock any) engine.Inspector
