package rival

import (
	"context"
	"sync"
	"time"
)

// keeper is what a user writes around a library that does not renew: a goroutine
// a lock, which renews every third of the TTL, and takes the lock for lost at
// the first renewal that fails or is not answered within another third.
type keeper struct {
	held  Held
	lost  chan struct{}
	stop  chan struct{}
	ended sync.WaitGroup
}

func keep(held Held, ttl time.Duration, renew func(context.Context) error) *keeper {
	k := &keeper{held: held, lost: make(chan struct{}), stop: make(chan struct{})}
	k.ended.Go(func() { k.run(ttl/3, renew) })
	return k
}

func (k *keeper) run(every time.Duration, renew func(context.Context) error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-k.stop:
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(context.Background(), every)
		err := renew(ctx)
		cancel()
		if err != nil {
			close(k.lost)
			return
		}
	}
}

func (k *keeper) Lost() <-chan struct{} { return k.lost }

func (k *keeper) Unlock(ctx context.Context) error {
	close(k.stop)
	k.ended.Wait()
	return k.held.Unlock(ctx)
}
