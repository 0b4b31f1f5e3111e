package engine

import (
	"context"
	"time"
)

// Waiter is an entry of a lock's queue.
type Waiter struct {
	Hold   string
	Owner  string        // "": the entry is damaged
	Waited time.Duration // since its arrival
	Silent time.Duration // since its last check-in
	Life   time.Duration // that it has without one; after it, it is passed over
}

// Inspector looks at all the locks of one deployment, for people: nothing of it
// is on the way of a lock.
type Inspector interface {
	// Names returns, sorted, which locks are held or waited for. It looks at
	// every key of every master.
	Names(ctx context.Context) ([]string, error)
	// Statuses asks about several locks in few round trips.
	Statuses(ctx context.Context, names []string) ([]Status, []error)
	// Queue returns who holds a lock and who waits for it, in order: the first
	// most of them.
	Queue(ctx context.Context, name string, most int) (Status, []Waiter, error)
	// Force frees a lock if it still has that token, and reports whether it had.
	Force(ctx context.Context, name string, token int64) (bool, error)
}
