package redisengine

import (
	"hash/maphash"
	"sync/atomic"
	"time"
)

// keySlots bounds how many names' keys a cache keeps: a lock that is used again
// and again should not have its five keys put together each time.
const keySlots = 256

// A keyCache has the keys of names that were used lately, one name a slot. It is
// safe for concurrent use.
type keyCache struct {
	prefix, space string
	seed          maphash.Seed
	slots         [keySlots]atomic.Pointer[keySet]
}

// keySet is the keys of one lock, as commands take them. It is never changed.
type keySet struct {
	name string
	keys [5]any
}

// A millisCache has the TTL that was used last, as commands take it: most locks of a
// client have one. It is safe for concurrent use.
type millisCache struct{ last atomic.Pointer[ttlWord] }

type ttlWord struct {
	ttl  time.Duration
	word any
}

// of returns d in milliseconds, rounded up.
func (c *millisCache) of(d time.Duration) any {
	w := c.last.Load()
	if w == nil || w.ttl != d {
		w = &ttlWord{d, millis(d)}
		c.last.Store(w)
	}
	return w.word
}

func newKeyCache(prefix, space string) *keyCache {
	return &keyCache{prefix: prefix, space: space, seed: maphash.MakeSeed()}
}

// of returns the keys of a name in the order of spaceKeys. It is not to be
// changed or appended to in place.
func (c *keyCache) of(name string) []any {
	slot := &c.slots[maphash.String(c.seed, name)%keySlots]
	set := slot.Load()
	if set == nil || set.name != name {
		set = &keySet{name: name}
		for i, key := range SpaceKeys(c.prefix, c.space, name) {
			set.keys[i] = key
		}
		slot.Store(set)
	}
	return set.keys[:len(set.keys):len(set.keys)]
}
