package redisengine_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redistest"
)

// An AutoPipeliner batches the commands of many goroutines, and takes no notice
// of the context of one that is queued.

// pipeliners are its faces: one blocks its callers, the other takes commands and
// has them waited for; by either of two ways to the server.
var pipeliners = map[string]func(*redis.Client) (*redis.AutoPipeliner, error){
	"blocking":           (*redis.Client).AutoPipeline,
	"async":              (*redis.Client).AsyncAutoPipeline,
	"async, full duplex": fullDuplex,
}

// fullDuplex has commands sent before the replies to those in front of them are
// there, as far as this go-redis can: 9.22 cannot, and returns an ordinary one.
// Two commands fill its queue: to submit one more is to wait.
func fullDuplex(rdb *redis.Client) (*redis.AutoPipeliner, error) {
	opts := redis.AutoPipelineOptions{MaxBatchSize: 1}
	fields := reflect.ValueOf(&opts).Elem()
	if on := fields.FieldByName("FullDuplex"); on.IsValid() {
		on.SetBool(true)
		fields.FieldByName("FullDuplexWindow").SetInt(1)
	}
	return rdb.AsyncAutoPipelineWithOptions(&opts)
}

func onEachPipeliner(t *testing.T, test func(t *testing.T, face string)) {
	for face := range pipeliners {
		t.Run(face, func(t *testing.T) { test(t, face) })
	}
}

// pipelined returns a Client on an AutoPipeliner of its own.
func pipelined(t *testing.T, s *redistest.Server, face string, opts ...relock.Option) *relock.Client {
	t.Helper()
	pipeliner, err := pipeliners[face](s.Client())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pipeliner.Close() })
	return behaviour.ClientOn(t, pipeliner, opts...)
}

func TestAnAutoPipelinerCarriesLocks(t *testing.T) { onEachPipeliner(t, carriesLocks) }

func carriesLocks(t *testing.T, face string) {
	r := behaviour.NewRig(t)
	a, b := pipelined(t, r.Server, face), pipelined(t, r.Server, face)
	t.Run("contended", func(t *testing.T) {
		const goroutines, times = 8, 10
		inside, sections, last := 0, 0, relock.Token(0) // the lock is their guard
		var wg sync.WaitGroup
		for _, c := range []*relock.Client{a, b} {
			for range goroutines {
				wg.Go(func() {
					for range times {
						lease := behaviour.LockOf(t, c.Mutex("contended"))
						if inside++; inside != 1 {
							t.Errorf("%d inside", inside)
						}
						if lease.Token() <= last {
							t.Errorf("token %d after %d", lease.Token(), last)
						}
						last = lease.Token()
						sections++
						inside--
						behaviour.Unlock(t, lease)
					}
				})
			}
		}
		wg.Wait()
		if want := 2 * goroutines * times; sections != want {
			t.Errorf("got %d sections, want %d", sections, want)
		}
	})
	t.Run("a free lock costs two commands", func(t *testing.T) {
		m := a.Mutex("free")
		behaviour.Unlock(t, behaviour.LockOf(t, m)) // loads the scripts
		behaviour.ResetStats(t, r.Direct)
		const pairs = 20
		for range pairs {
			behaviour.Unlock(t, behaviour.LockOf(t, m))
		}
		if got := behaviour.Calls(t, r.Direct, "evalsha", "eval"); got != 2*pairs {
			t.Errorf("got %d commands for %d pairs, want 2 each", got, pairs)
		}
	})
	t.Run("the watchdog renews", func(t *testing.T) {
		lease := behaviour.LockOf(t, a.Mutex("renewed", relock.WithTTL(900*time.Millisecond)))
		renewed(t, lease, "through an AutoPipeliner")
		behaviour.Unlock(t, lease)
	})
	behaviour.AwaitClean(t, r.Direct)
}

func TestAnAutoPipelinerDoesNotDelayACancel(t *testing.T) { onEachPipeliner(t, doesNotDelayACancel) }

func doesNotDelayACancel(t *testing.T, face string) {
	r := behaviour.NewRig(t)
	c := pipelined(t, r.Server, face)
	held := behaviour.LockOf(t, c.Mutex("held"))
	if err := r.Server.Pause(); err != nil {
		t.Fatal(err)
	}
	var others sync.WaitGroup // fill the queue, if it can be full
	for range 8 {
		others.Go(func() { _, _ = c.Mutex("held").Status(behaviour.Bg) })
	}
	for _, name := range []string{"free", "held"} {
		ctx, cancel := context.WithCancel(behaviour.Bg)
		ended := make(chan error, 1)
		go func() { _, err := c.Mutex(name).Lock(ctx); ended <- err }()
		<-time.After(50 * time.Millisecond)
		at := time.Now()
		cancel()
		err := <-ended
		if took := time.Since(at); took > promptly {
			t.Errorf("%s: returned %v after the cancel, want within 50ms", name, took)
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want the cancel", name, err)
		}
	}
	wantByDeadline(t, "TryLock", 200*time.Millisecond, behaviour.TryCall(c.Mutex("tried")))
	if err := r.Server.Resume(); err != nil {
		t.Fatal(err)
	}
	others.Wait()
	behaviour.Unlock(t, held)
	behaviour.AwaitClean(t, r.Direct)
}
