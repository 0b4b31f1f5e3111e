package redlock

import (
	"sync"
	"time"
)

// contended remembers which locks others were seen waiting for: there a newcomer
// goes to the coordinator at once. Asking all nodes it would take the votes that
// the waiter there is about to collect, above all just after its own release.
type contended struct {
	mu    sync.Mutex
	until map[string]time.Time
}

const contendedSize = 4096

func (c *contended) has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.until[name])
}

func (c *contended) add(name string, life time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until == nil || len(c.until) >= contendedSize {
		c.until = map[string]time.Time{} // a guess that is forgotten costs one round trip
	}
	c.until[name] = time.Now().Add(life)
}

func (c *contended) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.until, name)
}
