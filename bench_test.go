package relock_test

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/redisengine"
	"github.com/relock-go/relock/internal/redistest"
)

func benchClient(b *testing.B, opts ...relock.Option) *relock.Client {
	b.Helper()
	redistest.Require(b)
	return behaviour.ClientOn(b, redistest.StartT(b).Client(), opts...)
}

func benchPairs(b *testing.B, ctx context.Context, l relock.Locker) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		lease, err := l.Lock(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if err := lease.Unlock(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPair takes and gives back a free lock.
func BenchmarkPair(b *testing.B) {
	b.Run("Mutex", func(b *testing.B) { benchPairs(b, behaviour.Bg, benchClient(b).Mutex("pair")) })
	b.Run("Reentrant", func(b *testing.B) { benchPairs(b, behaviour.Bg, benchClient(b).Reentrant("pair")) })
	b.Run("no server", func(b *testing.B) {
		benchPairs(b, behaviour.Bg, behaviour.ClientOn(b, behaviour.NewReady()).Mutex("pair"))
	})
	b.Run("no server, a tracer of losses", func(b *testing.B) {
		benchPairs(b, behaviour.Bg, behaviour.ClientOn(b, behaviour.NewReady(), relock.WithTracer(&behaviour.LossOnly{})).Mutex("pair"))
	})
	b.Run("floor of two round trips", func(b *testing.B) {
		redistest.Require(b)
		rdb := redistest.StartT(b).Client()
		nothing := redis.NewScript("return 1")
		b.ReportAllocs()
		for b.Loop() {
			for range 2 {
				if err := nothing.Run(behaviour.Bg, rdb, nil).Err(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkReentry takes a hold more of a lock that is held, and gives it back.
func BenchmarkReentry(b *testing.B) {
	m := benchClient(b).Reentrant("reentry")
	outer := behaviour.LockOf(b, m)
	benchPairs(b, outer.Context(), m)
	behaviour.Unlock(b, outer)
}

// BenchmarkTryTaken asks for a lock that another holds.
func BenchmarkTryTaken(b *testing.B) {
	m := benchClient(b).Mutex("taken")
	held := behaviour.LockOf(b, m)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.TryLock(behaviour.Bg); err == nil {
			b.Fatal("got a lock that is held")
		}
	}
	behaviour.Unlock(b, held)
}

// BenchmarkNames has goroutines take a lock each.
func BenchmarkNames(b *testing.B) {
	c := benchClient(b)
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		m := c.Mutex("name" + strconv.FormatInt(n.Add(1), 10))
		for pb.Next() {
			lease, err := m.Lock(behaviour.Bg)
			if err == nil {
				err = lease.Unlock(behaviour.Bg)
			}
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkHandOff passes one lock on between waiters that never end.
func BenchmarkHandOff(b *testing.B) {
	for _, clients := range []int{1, 2, 16} {
		b.Run(strconv.Itoa(clients)+" clients", func(b *testing.B) {
			redistest.Require(b)
			s := redistest.StartT(b)
			var all []*relock.Mutex
			for range clients {
				all = append(all, behaviour.ClientOn(b, s.Client()).Mutex("hand-off"))
			}
			handOff(b, all, max(2, clients))
		})
	}
}

func handOff(b *testing.B, locks []*relock.Mutex, contenders int) {
	b.Helper()
	ctx, cancel := context.WithCancel(behaviour.Bg)
	turns := make(chan struct{})
	ended := make(chan struct{}, contenders)
	for i := range contenders {
		m := locks[i%len(locks)]
		go func() {
			defer func() { ended <- struct{}{} }()
			for {
				lease, err := m.Lock(ctx)
				if err != nil {
					return
				}
				select {
				case turns <- struct{}{}:
				case <-ctx.Done():
				}
				if err := lease.Unlock(behaviour.Bg); err != nil {
					b.Error(err)
				}
			}
		}()
	}
	for range 4 * contenders {
		<-turns // all of them listen by now
	}
	b.ReportAllocs()
	for b.Loop() {
		<-turns
	}
	cancel()
	for range contenders {
		<-ended
	}
}

// BenchmarkHeldLeases holds many leases that the watchdog keeps, for a minute
// where RELOCK_FULL is set.
func BenchmarkHeldLeases(b *testing.B) {
	const leases = 10_000
	redistest.Require(b)
	s := redistest.StartT(b)
	rdb := s.Client()
	c := behaviour.ClientOn(b, s.Client(), relock.WithTTL(behaviour.Scaled(6*time.Second, relock.DefaultTTL)))
	for b.Loop() {
		for _, l := range lockMany(b, c, 1000) { // the connections are there
			behaviour.Unlock(b, l)
		}
		bytes, goroutines := inUse()
		held := lockMany(b, c, leases)
		more, running := inUse()
		behaviour.ResetStats(b, rdb)
		start := time.Now()
		<-time.After(behaviour.Scaled(6*time.Second, time.Minute))
		renewals := behaviour.Calls(b, rdb, "evalsha", "eval")
		took := time.Since(start).Seconds()
		lost := 0
		for _, l := range held {
			if l.Err() != nil {
				lost++
			}
		}
		b.ReportMetric(float64(running-goroutines), "goroutines")
		b.ReportMetric(float64(more-bytes)/leases, "B/lease")
		b.ReportMetric(float64(renewals)/took, "commands/s")
		b.ReportMetric(float64(lost), "lost")
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}
}

// inUse returns the bytes on the heap and the number of goroutines, once both
// have come to rest.
func inUse() (uint64, int) {
	<-time.After(100 * time.Millisecond)
	runtime.GC()
	runtime.GC() // what a sync.Pool keeps goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, runtime.NumGoroutine()
}

// lockMany takes n locks, some at a time.
func lockMany(b *testing.B, c *relock.Client, n int) []*relock.Lease {
	b.Helper()
	held := make([]*relock.Lease, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				var err error
				// Under no context of our own: a lease keeps that of its Lock.
				if held[i], err = c.Mutex("held" + strconv.FormatInt(i, 10)).Lock(behaviour.Bg); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	return held
}

// BenchmarkErr is what a holder may ask before every step.
func BenchmarkErr(b *testing.B) {
	lease := behaviour.LockOf(b, behaviour.ClientOn(b, behaviour.NewReady()).Mutex("err"))
	b.ReportAllocs()
	for b.Loop() {
		if lease.Err() != nil {
			b.Fatal("lost")
		}
	}
	behaviour.Unlock(b, lease)
}

// BenchmarkKeys makes the key names of one lock.
func BenchmarkKeys(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = redisengine.SpaceKeys(relock.DefaultPrefix, "", "invoice/2026/0042")
	}
}
