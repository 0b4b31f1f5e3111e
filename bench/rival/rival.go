// Package rival puts every lock that is compared behind one small interface, one
// adapter a file. Each is used as its authors advise, with the settings that
// serve it best; Kind.Settings states them for the report.
package rival

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// TTL is the lease time of every rival unless a cell says otherwise: long enough
// that none expires while it is measured.
const TTL = 30 * time.Second

// Kind is one way of locking.
type Kind struct {
	Name     string
	Settings string
	// Commands are the commands that its clients send themselves, by their names
	// in INFO commandstats, which also counts what scripts call.
	Commands []string
	// Nodes is how many independent servers it needs; 0 is one.
	Nodes int
	// Keeper tells that the library does not renew: its user does (Env.Keep).
	Keeper bool
	// Hooked tells that its go-redis client has a hook: the one of Env.Hook.
	Hooked bool
	Open   func(Env) (Client, error)
}

// Env is where and how a client is opened.
type Env struct {
	Addrs   []string // one, or Nodes of them, or the masters of a cluster
	Cluster bool     // they are those
	TTL     time.Duration
	// CheckInterval is relock's; 0 is its default.
	CheckInterval time.Duration
	// Keep has holds renewed until they are unlocked, and their loss told. Where
	// a library leaves that to its user, the adapter does as that user would.
	Keep bool
	// Hook is the hook that kinds with one add to their client; nil: one of its own.
	Hook *Hook
}

// Client is what one process has: its connections are its own.
type Client interface {
	// Locker returns the lock of that name, for one goroutine.
	Locker(name string) Locker
	Close() error
}

// Locker takes one lock.
type Locker interface {
	// Lock waits for the lock; ctx bounds the wait.
	Lock(ctx context.Context) (Held, error)
}

// Held is a lock that was taken.
type Held interface {
	Unlock(ctx context.Context) error
}

// Watched is a Held whose holder learns of its loss. With Env.Keep every Held
// is one, unless its kind cannot.
type Watched interface {
	Held
	Lost() <-chan struct{}
}

// errGone is a release that found nothing to release.
var errGone = errors.New("the lock was gone at its release")

// dial opens a go-redis client as a process would, with the default settings: no
// hook, the default pool. Where a lock is kept against a server that may be cut
// off, it honours contexts: without that no rival's own timeouts work.
func (e Env) dial() redis.UniversalClient {
	if e.Cluster {
		return redis.NewClusterClient(&redis.ClusterOptions{Addrs: e.Addrs, DisableIdentity: true, MaintNotificationsConfig: quiet()})
	}
	o := options(e.Addrs[0])
	o.ContextTimeoutEnabled = e.Keep
	return redis.NewClient(o)
}

// Dial opens a go-redis client of one server.
func Dial(addr string) *redis.Client { return redis.NewClient(options(addr)) }

// dialNode opens a client of a node that may hang: it honours contexts, too.
func dialNode(addr string) *redis.Client {
	o := options(addr)
	o.ContextTimeoutEnabled = true
	return redis.NewClient(o)
}

// options leave out what older servers reply to with an error as a connection is
// opened: an error in a cell has to mean something.
func options(addr string) *redis.Options {
	return &redis.Options{Addr: addr, DisableIdentity: true, MaintNotificationsConfig: quiet()}
}

func quiet() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// Single are the kinds that need one server, in the order of the report.
func Single() []Kind {
	return []Kind{Relock, RelockAuto, RelockReentrant, Redsync, Redislock100, Redislock1, Rueidislock, Redisson}
}

// Free are those that are compared where nobody waits. How they wait makes no
// difference there: one of a library will do.
func Free() []Kind {
	return slices.Concat([]Kind{Relock, RelockHooked}, withBatching(true), []Kind{RelockAuto, Redsync, Redislock100, Rueidislock})
}

// Delayed are those that are compared where the server is far.
func Delayed() []Kind {
	return slices.Concat([]Kind{Relock}, withBatching(false), []Kind{Redsync, Redislock100, Rueidislock})
}

// Clustered are those that are compared on a cluster.
func Clustered() []Kind { return []Kind{Relock, Redislock100} }

// Composite are the kinds that take several locks as one.
func Composite() []Kind { return []Kind{RelockMultiLock} }

// Contended are those of them that differ when somebody waits.
func Contended() []Kind {
	return []Kind{Relock, Redsync, Redislock100, Redislock1, Rueidislock, Redisson}
}

// Keeping are those that can keep a lock for longer than its lease time.
func Keeping() []Kind { return []Kind{Relock, Redsync, Redislock100, Rueidislock} }

// Queueing are those whose server knows its waiters, each by an owner or a
// subscription of its own.
func Queueing() []Kind { return []Kind{RelockReentrant, Redisson} }

// Quorum are the kinds that need several servers.
func Quorum() []Kind { return []Kind{RelockRedLock, Redsync5, Redsync5Fast} }

// Floors are all that no lock can do without, of one work or another.
func Floors() []Kind {
	return []Kind{Bare, BareSame, BareHandOff, SetNX, Writes, HandOffWrites, PublishTurns(), BareQuorum, LocalQueue()}
}

// All are all of them.
func All() []Kind {
	return slices.Concat(Single(), []Kind{RelockHooked}, withBatching(true), withBatching(false), Composite(), Quorum())
}
