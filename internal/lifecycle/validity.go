package lifecycle

import (
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// validity is the time for which a grant may be believed: it counts from before
// the request left, so the server's end can only be later.
type validity struct {
	sent time.Time
	left time.Duration // what the server gave
}

// spanning returns the least TTL of which d can be believed.
func spanning(d time.Duration) time.Duration { return (d+2*time.Millisecond)*100/99 + time.Millisecond }

func (v validity) until() time.Time { return v.sent.Add(v.left - engine.Drift(v.left)) }

func (v validity) remaining(now time.Time) time.Duration { return v.until().Sub(now) }
