package behaviour

import (
	"crypto/sha1"
	"encoding/hex"
	"sync"
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/access"
	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/lifecycle"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/scripts"
)

// redisOf has what clients were made on.
var redisOf sync.Map

// RedisOf returns what c was made on, by clientOn.
func RedisOf(c *relock.Client) relock.Redis {
	rdb, _ := redisOf.Load(c)
	return rdb.(relock.Redis)
}

// InspectorOf returns the view of all the locks on c's server.
func InspectorOf(c *relock.Client) engine.Inspector { return access.Client(c).Inspector() }

// GroupOf returns what is held by a lock of several.
func GroupOf(t testing.TB, locks ...relock.Locker) *lifecycle.Group {
	t.Helper()
	members := make([]lifecycle.Member, len(locks))
	for i, l := range locks {
		members[i], _ = access.Member(l)
	}
	g, err := lifecycle.NewGroup(members)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// ManagerOf returns what runs the life of c's locks.
func ManagerOf(c *relock.Client) *lifecycle.Manager { return access.Client(c).Manager }

// EngineOf returns the engine of c.
func EngineOf(c *relock.Client) *redisengine.Engine { return access.Client(c).Redis }

// InsideOf returns what m is a handle of.
func InsideOf(m *relock.Mutex) *lifecycle.Lock {
	member, _ := access.Member(m)
	return &member.Lock
}

// HoldOf returns the hold that l is a handle of.
func HoldOf(l *relock.Lease) *lifecycle.Hold { return access.Lease(l).(*lifecycle.Hold) }

// ScriptName is what servers know a script by.
func ScriptName(file string) string {
	sum := sha1.Sum([]byte(scripts.Source(file)))
	return hex.EncodeToString(sum[:])
}
