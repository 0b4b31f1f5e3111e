package relock

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// The server's clock has stepped back, and so it holds a fixed lease for longer
// than it was taken for: it is given back when that time is over.
func TestAFixedLeaseThatTheServerHoldsTooLongIsGivenBack(t *testing.T) {
	inBubble(t, func(b *bubble) {
		c, _ := b.client()
		const lasts = 10 * time.Second
		lease := lockOf(t, c.Mutex("a", WithLease(lasts)))
		key := c.eng.lockKey("a")
		b.server.HSet(key, "hold:"+lease.o.(*hold).req.Hold, fmt.Sprint(time.Now().Add(time.Hour).UnixMilli()))
		b.server.SetTTL(key, time.Hour)
		pass(lasts - time.Millisecond)
		if synctest.Wait(); !b.server.Exists(key) {
			t.Error("given back before its time")
		}
		pass(2 * minCheck)
		if synctest.Wait(); b.server.Exists(key) {
			t.Error("the server still holds it")
		}
		if st := c.Stats(); st.Ended != 1 || st.Lost != 0 {
			t.Errorf("got %+v, want that it ended", st)
		}
	})
}
