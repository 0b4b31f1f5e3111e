package redlock

import (
	"sync"
	"time"
)

// crowd remembers which locks others were seen waiting for: there a newcomer
// goes to the gate at once. Asking all nodes it would take the votes that the
// waiter at the gate is about to collect, above all just after its own release.
type crowd struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const crowdSize = 4096

func (c *crowd) is(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.until[name])
}

func (c *crowd) seen(name string, life time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil || len(c.until) >= crowdSize {
		c.until = map[string]time.Time{} // a guess that is forgotten costs one round trip
	}
	c.until[name] = time.Now().Add(life)
}

func (c *crowd) left(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.until, name)
}
