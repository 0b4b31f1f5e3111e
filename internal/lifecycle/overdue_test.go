package lifecycle_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/behaviour"
	"github.com/relock-go/relock/internal/lifecycle"
)

// The server's clock has stepped back, and so it holds a fixed lease for longer
// than it was taken for: it is given back when that time is over.
func TestAFixedLeaseThatTheServerHoldsTooLongIsGivenBack(t *testing.T) {
	behaviour.InBubble(t, func(b *behaviour.Bubble) {
		c, _ := b.Client()
		const lasts = 10 * time.Second
		lease := behaviour.LockOf(t, c.Mutex("a", relock.WithLease(lasts)))
		key := "relock:lock:{a}"
		b.Server.HSet(key, "hold:"+behaviour.HoldOf(lease).Request().Hold, fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()))
		b.Server.SetTTL(key, time.Hour)
		behaviour.Pass(lasts - time.Millisecond)
		if synctest.Wait(); !b.Server.Exists(key) {
			t.Error("given back before its time")
		}
		behaviour.Pass(2 * lifecycle.MinCheck)
		if synctest.Wait(); b.Server.Exists(key) {
			t.Error("the server still holds it")
		}
		if st := c.Stats(); st.Ended != 1 || st.Lost != 0 {
			t.Errorf("got %+v, want that it ended", st)
		}
	})
}
