package redisengine

import (
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"
)

// Batching is whether requests that come together leave as one pipeline.
type Batching int

const (
	// BatchingAuto batches where nobody looks on: a client without hooks, whose nodes'
	// clients have none either.
	BatchingAuto Batching = iota
	// BatchingOn batches under hooks too.
	BatchingOn
	// BatchingOff has each request leave by itself.
	BatchingOff
)

// A boundedClient is a client whose requests end by themselves within a limit: a clone
// of the one that was handed in, with that one's pool.
type boundedClient struct {
	rdb   Client
	one   *redis.Client // nil: there is no such clone
	hooks hooks
	limit time.Duration // of each read and write, or of a whole request
	whole bool          // which then also ends with its context
	clone atomic.Pointer[clone]
}

// clone is a client with time limits that was given the hooks of another, as of one
// state of them.
type clone struct {
	rdb   *redis.Client
	hooks unsafe.Pointer
}

// newBoundedClient leaves shorter limits that the client has as they are.
func newBoundedClient(rdb Client, limit time.Duration, whole bool) *boundedClient {
	b := &boundedClient{rdb: rdb, limit: limit, whole: whole}
	client, _ := rdb.(*redis.Client)
	if client == nil || !bounds(client.Options()) {
		return b
	}
	for _, own := range [...]time.Duration{client.Options().ReadTimeout, client.Options().WriteTimeout} {
		if own > 0 {
			b.limit = min(b.limit, own)
		}
	}
	if known, ok := hooksOf(client); ok {
		b.one, b.hooks = client, known
	}
	return b
}

// client returns the clone, with the hooks that the client handed in has now: a
// hook whose AddHook has returned misses no request that begins after that. New
// connections are dialled by the one handed in, under its hooks: the pool is its.
// Where there is no clone it returns the client itself.
func (b *boundedClient) client() Client {
	if b.one == nil {
		return b.rdb
	}
	state := b.hooks.now()
	c := b.clone.Load()
	if c == nil || c.hooks != state {
		c = &clone{b.one.WithTimeout(b.limit), state}
		if b.whole {
			// The limit is one for all that a request may need: to connect, to introduce
			// itself, and to be sent again with its source. The options are the clone's.
			c.rdb.Options().ContextTimeoutEnabled = true
		}
		for _, hook := range b.hooks.in(state) {
			c.rdb.AddHook(hook)
		}
		b.clone.Store(c)
	}
	return c.rdb
}

// dispatchers finds the dispatcher of a request.
type dispatchers struct {
	s      *Engine
	hidden hooks // of the client; a dispatcher is for one without
	auto   bool
	one    *dispatcher // of a client of one server
	shards *shards     // of a cluster's
}

// newDispatchers returns nil where each request is to leave by itself.
func newDispatchers(s *Engine) *dispatchers {
	ds := &dispatchers{s: s, auto: s.cfg.Batching == BatchingAuto}
	if s.cfg.Batching == BatchingOff {
		return nil
	}
	if ds.auto {
		known, ok := hooksOf(s.rdb)
		if !ok {
			return nil // what it does with a request is its own
		}
		ds.hidden = known
	}
	if cluster, ok := s.rdb.(masters); ok {
		ds.shards = newShards(s, cluster, ds.auto)
	} else {
		ds.one = newDispatcher(s)
	}
	return ds
}

// of returns the dispatcher that r is to go by, or nil: it is to leave by itself. So is a
// request of no lock, and one of a slot whose shard is not known yet.
func (ds *dispatchers) of(r *request) *dispatcher {
	switch {
	case ds == nil, r.name == "", ds.auto && ds.hidden.any():
		return nil
	case ds.shards != nil:
		return ds.shards.of(r.name)
	}
	return ds.one
}

// poolSize is how many connections to one server the client may have.
func (s *Engine) poolSize() int {
	switch rdb := s.rdb.(type) {
	case interface{ Options() *redis.Options }:
		return rdb.Options().PoolSize
	case interface{ Options() *redis.ClusterOptions }:
		return rdb.Options().PoolSize
	}
	return 0
}
