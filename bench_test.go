package relock

import (
	"context"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
	"github.com/relock-go/relock/internal/redistest"
)

// The core's own paths. What a server takes part in is measured on a real one;
// what it has no part in, on one that answers at once from memory. The folder
// bench compares with other libraries.

// ready answers every script at once: what is left is our own work.
type ready struct {
	redis.UniversalClient
	replies map[string][]any // by the script's name on the server
}

func (r ready) Process(_ context.Context, cmd redis.Cmder) error {
	cmd.(interface{ SetVal(any) }).SetVal(r.replies[cmd.Args()[1].(string)])
	return nil
}

func (r ready) Pipeline() redis.Pipeliner { return readyPipeline{ready: r} }

type readyPipeline struct {
	redis.Pipeliner
	ready ready
}

func (p readyPipeline) Process(ctx context.Context, cmd redis.Cmder) error {
	return p.ready.Process(ctx, cmd)
}

func (readyPipeline) Exec(context.Context) ([]redis.Cmder, error) { return nil, nil }

func newReady() ready {
	return ready{replies: map[string][]any{
		acquireScript.sha: {int64(1), int64(1_700_000_000_000_000), int64(1), int64(30_000)},
		releaseScript.sha: {int64(1), int64(0), int64(0)},
		renewScript.sha:   {int64(1), int64(1_700_000_000_000_000), int64(1), int64(30_000)},
	}}
}

func benchClient(b *testing.B, opts ...Option) *Client {
	b.Helper()
	redistest.Require(b)
	return clientOn(b, redistest.StartT(b).Client(), opts...)
}

func benchPairs(b *testing.B, ctx context.Context, l Locker) {
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
	b.Run("Mutex", func(b *testing.B) { benchPairs(b, bg, benchClient(b).Mutex("pair")) })
	b.Run("Reentrant", func(b *testing.B) { benchPairs(b, bg, benchClient(b).Reentrant("pair")) })
	b.Run("no server", func(b *testing.B) { benchPairs(b, bg, clientOn(b, newReady()).Mutex("pair")) })
	b.Run("no server, a tracer of losses", func(b *testing.B) {
		benchPairs(b, bg, clientOn(b, newReady(), WithTracer(&lossOnly{})).Mutex("pair"))
	})
	b.Run("floor of two round trips", func(b *testing.B) {
		redistest.Require(b)
		rdb := redistest.StartT(b).Client()
		nothing := redis.NewScript("return 1")
		b.ReportAllocs()
		for b.Loop() {
			for range 2 {
				if err := nothing.Run(bg, rdb, nil).Err(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}

// BenchmarkReentry takes a hold more of a lock that is held, and gives it back.
func BenchmarkReentry(b *testing.B) {
	m := benchClient(b).Reentrant("reentry")
	outer := lockOf(b, m)
	benchPairs(b, outer.Context(), m)
	unlock(b, outer)
}

// BenchmarkTryTaken asks for a lock that another holds.
func BenchmarkTryTaken(b *testing.B) {
	m := benchClient(b).Mutex("taken")
	held := lockOf(b, m)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.TryLock(bg); err == nil {
			b.Fatal("got a lock that is held")
		}
	}
	unlock(b, held)
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
			lease, err := m.Lock(bg)
			if err == nil {
				err = lease.Unlock(bg)
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
			var all []*Mutex
			for range clients {
				all = append(all, clientOn(b, s.Client()).Mutex("hand-off"))
			}
			handOff(b, all, max(2, clients))
		})
	}
}

func handOff(b *testing.B, locks []*Mutex, contenders int) {
	b.Helper()
	ctx, cancel := context.WithCancel(bg)
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
				if err := lease.Unlock(bg); err != nil {
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

// BenchmarkGrantByMessage is a grant's way from the socket to its waiter, but
// for the goroutine that takes it.
func BenchmarkGrantByMessage(b *testing.B) {
	c := clientOn(b, newReady())
	l := c.lock("grant", nil)
	payload := "client.1 1700000000000000 9000 " + keyOf(c.set.prefix, kindLock, "grant")
	b.ReportAllocs()
	for b.Loop() {
		o := c.host.newHold(bg, &l, "", true)
		o.req.Hold, o.stage = "client.1", queued
		c.host.holds[o.req.Hold] = o
		m, err := c.eng.parse(payload)
		if err != nil {
			b.Fatal(err)
		}
		c.host.Deliver(m)
		if o.stage != granted {
			b.Fatal("not granted")
		}
		delete(c.host.holds, o.req.Hold)
	}
}

// BenchmarkRenewal is the watchdog's work a lease and tick, the round trip aside.
func BenchmarkRenewal(b *testing.B) {
	c := clientOn(b, newReady())
	lease := lockOf(b, c.Mutex("renewal"))
	ans := engine.Answer{State: engine.Granted, Left: 30 * time.Second}
	b.ReportAllocs()
	for b.Loop() {
		p := c.host.dog.renew(lease.o.(*hold))
		ans.Sent = time.Now()
		p.Done(ans, nil)
	}
	unlock(b, lease)
}

// BenchmarkHeldLeases holds many leases that the watchdog keeps, for a minute
// where RELOCK_FULL is set.
func BenchmarkHeldLeases(b *testing.B) {
	const leases = 10_000
	redistest.Require(b)
	s := redistest.StartT(b)
	rdb := s.Client()
	c := clientOn(b, s.Client(), WithTTL(scaled(6*time.Second, DefaultTTL)))
	for b.Loop() {
		for _, l := range lockMany(b, c, 1000) { // the connections are there
			unlock(b, l)
		}
		bytes, goroutines := inUse()
		held := lockMany(b, c, leases)
		more, running := inUse()
		resetStats(b, rdb)
		start := time.Now()
		<-time.After(scaled(6*time.Second, time.Minute))
		renewals := calls(b, rdb, "evalsha", "eval")
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
func lockMany(b *testing.B, c *Client, n int) []*Lease {
	b.Helper()
	held := make([]*Lease, n)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				var err error
				// Under no context of our own: a lease keeps that of its Lock.
				if held[i], err = c.Mutex("held" + strconv.FormatInt(i, 10)).Lock(bg); err != nil {
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
	lease := lockOf(b, clientOn(b, newReady()).Mutex("err"))
	b.ReportAllocs()
	for b.Loop() {
		if lease.Err() != nil {
			b.Fatal("lost")
		}
	}
	unlock(b, lease)
}

// BenchmarkKeys makes the key names of one lock.
func BenchmarkKeys(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = lockKeys(DefaultPrefix, "invoice/2026/0042")
	}
}
