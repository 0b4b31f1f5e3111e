package lifecycle_test

import (
	"testing"
	"time"

	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/engine"
)

// BenchmarkGrantByMessage is a grant's way from the socket to its waiter, but
// for the goroutine that takes it.
func BenchmarkGrantByMessage(b *testing.B) {
	c := behaviour.ClientOn(b, behaviour.NewReady())
	l := behaviour.InsideOf(c.Mutex("grant"))
	payload := "client.1 1700000000000000 9000 " + "relock:lock:{grant}"
	b.ReportAllocs()
	for b.Loop() {
		o := behaviour.ManagerOf(c).Wait(l, "client.1")
		m, err := behaviour.EngineOf(c).Parse(payload)
		if err != nil {
			b.Fatal(err)
		}
		behaviour.ManagerOf(c).Deliver(m)
		if !behaviour.ManagerOf(c).Forget(o) {
			b.Fatal("not granted")
		}
	}
}

// BenchmarkRenewal is the watchdog's work a lease and tick, the round trip aside.
func BenchmarkRenewal(b *testing.B) {
	c := behaviour.ClientOn(b, behaviour.NewReady())
	lease := behaviour.LockOf(b, c.Mutex("renewal"))
	ans := engine.Answer{State: engine.Granted, Left: 30 * time.Second}
	b.ReportAllocs()
	for b.Loop() {
		p := behaviour.ManagerOf(c).Renew(behaviour.HoldOf(lease))
		ans.Sent = time.Now()
		p.Done(ans, nil)
	}
	behaviour.Unlock(b, lease)
}
