package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/faults/history"
	"github.com/relock-go/relock/faults/rig"
	"github.com/relock-go/relock/internal/redistest"
)

// A machine that is slow enough has its sentinels, or its cluster, take a living
// primary for dead. Such a failover loses locks as any other; the watch finds it,
// so that it is known for what it is.

type roleWatch struct {
	changes []int64 // of run, until over is closed
	stop    context.CancelFunc
	over    chan struct{}
}

const (
	watchEvery    = 100 * time.Millisecond
	beforeChange  = 3 * time.Second // a promotion is seen so much later than it began
	afterChange   = 6 * time.Second // the old primary still takes writes
	seenLate      = 2 * time.Second // all servers are asked in turn, and some do not answer
	answersWithin = 300 * time.Millisecond
)

func watchRoles(r *rig.Rig) *roleWatch {
	ctx, cancel := context.WithCancel(context.Background())
	w := &roleWatch{stop: cancel, over: make(chan struct{})}
	if r.Topology != rig.Sentinel && r.Topology != rig.Cluster {
		close(w.over)
		return w
	}
	clients := map[*redistest.Server]*redis.Client{}
	for _, s := range r.Servers {
		clients[s] = rig.Admin(s)
	}
	go func() {
		defer close(w.over)
		w.run(ctx, clients)
	}()
	return w
}

func (w *roleWatch) run(ctx context.Context, clients map[*redistest.Server]*redis.Client) {
	roles := map[*redistest.Server]bool{}
	w.look(clients, roles)
	for wait(ctx, watchEvery) == nil {
		w.look(clients, roles)
	}
	w.look(clients, roles) // for what has changed since
}

func (w *roleWatch) look(clients map[*redistest.Server]*redis.Client, roles map[*redistest.Server]bool) {
	for s, c := range clients {
		primary, err := isPrimary(c)
		if err != nil {
			continue
		}
		if was, known := roles[s]; known && was != primary {
			w.changes = append(w.changes, history.Now())
		}
		roles[s] = primary
	}
}

func isPrimary(c *redis.Client) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), answersWithin)
	defer cancel()
	reply, err := c.Do(ctx, "role").Slice()
	if err != nil {
		return false, err
	}
	return len(reply) > 0 && strings.EqualFold(fmt.Sprint(reply[0]), "master"), nil
}

// end stops the watch.
func (w *roleWatch) end() {
	w.stop()
	<-w.over
}

// unasked ends the watch and adds a window to those of the faults for each change
// that none explains.
func (w *roleWatch) unasked(windows []history.Window) []history.Window {
	w.end()
	for _, at := range w.changes {
		explained := false
		for i := range windows {
			one := &windows[i]
			explained = explained || one.Failover && one.Start <= at && at <= one.End+int64(seenLate)
		}
		if !explained {
			windows = append(windows, history.Window{
				Kind: Unasked, Start: at - int64(beforeChange), End: at + int64(afterChange), Lossy: true, Hits: 1, Failover: true,
			})
		}
	}
	return windows
}

// Unasked is the kind of a failover that no fault was meant to bring about.
const Unasked = "failover by itself"
