package rival

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// LocalQueue is a first-in-first-out lock in this process, with no Redis: what a
// queue costs if asking costs nothing. All clients of one Open share it.
func LocalQueue() Kind {
	sem := semaphore.NewWeighted(1) // first come, first served
	return Kind{
		Name:     "floor: FIFO in memory",
		Settings: "golang.org/x/sync/semaphore of weight 1, in this process: the ideal queue with the same arrivals and the same sleeps",
		Open:     func(Env) (Client, error) { return localQueue{sem}, nil },
	}
}

type localQueue struct{ sem *semaphore.Weighted }

func (q localQueue) Locker(string) Locker { return q }
func (q localQueue) Close() error         { return nil }

func (q localQueue) Lock(ctx context.Context) (Held, error) { return q, q.sem.Acquire(ctx, 1) }

func (q localQueue) Unlock(context.Context) error {
	q.sem.Release(1)
	return nil
}
