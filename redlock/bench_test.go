package redlock_test

import (
	"fmt"
	"testing"
)

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
