package redlock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/redlock"
)

// BenchmarkPair is Lock and Unlock by one process, of three nodes and of five.
func BenchmarkPair(b *testing.B) {
	for _, nodes := range []int{3, 5} {
		b.Run(fmt.Sprint("nodes=", nodes), func(b *testing.B) {
			r := newRig(b, nodes)
			m := redLock(b, r.addrs()).Mutex("pair")
			unlock(b, lock(b, m))
			awaitClean(b, r.direct...)
			before := scripts(b, r)
			b.ReportAllocs()
			for b.Loop() {
				unlock(b, lock(b, m))
			}
			b.StopTimer()
			awaitClean(b, r.direct...)
			b.ReportMetric(float64(scripts(b, r)-before)/float64(b.N), "scripts/op")
		})
	}
}

// BenchmarkHandOver is a section of two processes that always want the lock.
func BenchmarkHandOver(b *testing.B) {
	r := newRig(b, 3)
	var locks []*redlock.Mutex
	for range 2 {
		m := patient(b, r).Mutex("handed", relock.WithTTL(time.Minute))
		unlock(b, lock(b, m))
		awaitClean(b, r.direct...)
		locks = append(locks, m)
	}
	before := scripts(b, r)
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan error, len(locks))
	for i, m := range locks {
		go func() {
			for range b.N/2 + i*(b.N%2) {
				if err := section(m); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range locks {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	awaitClean(b, r.direct...)
	b.ReportMetric(float64(scripts(b, r)-before)/float64(b.N), "scripts/op")
}

func section(l relock.Locker) error {
	lease, err := l.Lock(bg)
	if err != nil {
		return err
	}
	return lease.Unlock(bg)
}

// scripts counts what all servers of r have run.
func scripts(b *testing.B, r *rig) (n int64) {
	b.Helper()
	for _, rdb := range r.direct {
		n += calls(b, rdb)
	}
	return n
}

// BenchmarkHungNodes is Lock and Unlock with none, one and two of five nodes
// stopped.
func BenchmarkHungNodes(b *testing.B) {
	for hung := range 3 {
		b.Run(fmt.Sprint("hung=", hung), func(b *testing.B) {
			r := newRig(b, 5)
			m := redLock(b, r.addrs()).Mutex("hung")
			unlock(b, lock(b, m))
			for _, s := range r.servers[:hung] {
				if err := s.Pause(); err != nil {
					b.Fatal(err)
				}
			}
			times := newMedian(b)
			for b.Loop() {
				times.measure(func() { unlock(b, lock(b, m)) })
			}
			times.report()
			for _, s := range r.servers[:hung] {
				if err := s.Resume(); err != nil {
					b.Fatal(err)
				}
			}
			awaitClean(b, r.direct...)
		})
	}
}
