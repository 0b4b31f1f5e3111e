package demo

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// watcher asks for the lock's status again and again, apart from the run: a slow
// answer must not hold up the orders.
type watcher struct {
	rdb    redis.UniversalClient
	client *relock.Client
	asked  counter
	older  atomic.Pointer[relock.Status]
	quit   func() // once; what is under way is still answered, so that the server has counted it, too
	end    sync.WaitGroup
}

func watch(ctx context.Context, s *server, name string) (*watcher, error) {
	w := &watcher{}
	var err error
	if w.rdb, err = s.at.Connect(s.cluster); err != nil {
		return nil, err
	}
	w.rdb.AddHook(&w.asked)
	if w.client, err = relock.New(w.rdb); err != nil {
		_ = w.rdb.Close()
		return nil, err
	}
	over := make(chan struct{})
	w.quit = sync.OnceFunc(func() { close(over) })
	lock := w.client.Mutex(name)
	w.end.Go(func() {
		tick := time.NewTicker(frameEvery)
		defer tick.Stop()
		var newest *relock.Status
		for ctx.Err() == nil {
			// Where the status cannot be had the view shows the last one.
			if st, err := lock.Status(ctx); err == nil {
				w.older.Store(newest)
				newest = &st
			}
			select {
			case <-tick.C:
			case <-over:
				return
			case <-ctx.Done():
			}
		}
	})
	return w, nil
}

// last returns the status before the latest, and false if there is none yet. Of
// the holder in the latest one the worker may not have told by now.
func (w *watcher) last() (relock.Status, bool) {
	if st := w.older.Load(); st != nil {
		return *st, true
	}
	return relock.Status{}, false
}

// counts are the scripts that it took.
func (w *watcher) counts() counts {
	return counts{Lock: w.asked.scripts.Load(), Unsure: w.asked.unsure.Load()}
}

// close may be called twice.
func (w *watcher) close() {
	w.quit()
	w.end.Wait()
	_ = w.client.Close()
	_ = w.rdb.Close()
}
