package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

const pings = 20

// scripts takes a lock of its own and gives it back.
func (p *Patient) scripts(ctx context.Context) Finding {
	c, err := relock.New(p.Rdb, relock.WithPrefix(p.Prefix))
	if err != nil {
		return fail("", "%v", err)
	}
	defer c.Close()
	lease, err := c.Mutex(probeName()).TryLock(ctx)
	if err == nil {
		err = lease.Unlock(ctx)
	}
	if err != nil {
		return fail("relock needs EVAL and EVALSHA, and the commands within (hashes, sorted sets, TIME): +@scripting +@hash +@sortedset +@string +@keyspace, ~"+p.Prefix+":*",
			"a lock cannot be taken and given back: %v", err)
	}
	return ok("a lock was taken and given back")
}

func probeName() string { return "relock-doctor-" + rand.Text()[:8] }

func (p *Patient) publish(ctx context.Context) Finding {
	const rights = "waiters then ask ten times a second instead of being woken: give the user +publish +subscribe, and the channels &"
	err := p.Rdb.Publish(ctx, p.Prefix+":doctor", "").Err()
	if redis.HasErrorPrefix(err, "NOPERM") {
		return warn(rights+p.Prefix+":*", "no right to publish")
	}
	if err != nil {
		return fail("", "%v", err)
	}
	ps := p.Rdb.Subscribe(ctx)
	defer ps.Close()
	if err = ps.Subscribe(ctx, p.Prefix+":doctor"); err == nil {
		_, err = ps.ReceiveTimeout(ctx, time.Second)
	}
	if redis.HasErrorPrefix(err, "NOPERM") {
		return warn(rights+p.Prefix+":*", "no right to subscribe")
	}
	if err != nil {
		return fail("a proxy in between may not pass pub/sub on", "no answer to a subscription: %v", err)
	}
	return ok("allowed, as is to subscribe")
}

// handOff has one client wait for another's lock, and measures from the release
// to the grant: that is one message.
func (p *Patient) handOff(ctx context.Context) Finding {
	first, err1 := relock.New(p.Rdb, relock.WithPrefix(p.Prefix))
	second, err2 := relock.New(p.Rdb, relock.WithPrefix(p.Prefix))
	if err := errors.Join(err1, err2); err != nil {
		return fail("", "%v", err)
	}
	defer first.Close()
	defer second.Close()
	name := probeName()
	lease, err := first.Mutex(name).Lock(ctx)
	if err != nil {
		return fail("", "%v", err)
	}
	granted := make(chan error, 1)
	go func() {
		l, err := second.Mutex(name).Lock(ctx)
		if err == nil {
			defer l.Unlock(context.WithoutCancel(ctx)) //nolint:errcheck // it expires
		}
		granted <- err
	}()
	if err := awaitWaiter(ctx, first.Mutex(name)); err != nil {
		return fail("", "%v", err)
	}
	began := time.Now()
	if err := lease.Unlock(ctx); err != nil {
		return fail("", "%v", err)
	}
	if err := <-granted; err != nil {
		return fail("", "%v", err)
	}
	took := time.Since(began)
	if took > relock.DefaultCheckInterval/2 {
		return warn("messages do not arrive, or late: does a proxy in between pass pub/sub on?", "%v from a release to the next holder", took.Round(time.Millisecond))
	}
	return ok("%v from a release to the next holder", took.Round(10*time.Microsecond))
}

func awaitWaiter(ctx context.Context, m *relock.Mutex) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := m.Status(ctx)
		if err != nil || st.Waiters > 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// roundTrip compares the slower of some pings with the TTL: a renewal has a
// third of it, resends included.
func (p *Patient) roundTrip(ctx context.Context) Finding {
	var took []time.Duration
	for range pings {
		began := time.Now()
		if err := p.Rdb.Ping(ctx).Err(); err != nil {
			return fail("", "%v", err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	median, worst := took[pings/2].Round(time.Microsecond), took[pings-1].Round(time.Microsecond)
	switch {
	case worst > p.TTL/6:
		return fail("a renewal may come too late: a longer TTL, or a Redis that is nearer", "median %v, worst %v, for a TTL of %v", median, worst, p.TTL)
	case worst > p.TTL/30:
		return warn("a longer TTL leaves more room for slow answers", "median %v, worst %v, for a TTL of %v", median, worst, p.TTL)
	}
	return ok("median %v, worst %v, for a TTL of %v", median, worst, p.TTL)
}

// clock compares the server's clock with ours. relock never does so itself; it
// shows that one of the two is not kept.
func (p *Patient) clock(ctx context.Context) Finding {
	began := time.Now()
	there, err := p.Rdb.Time(ctx).Result()
	if err != nil {
		return warn("", "%v", err)
	}
	trip := time.Since(began)
	offset := there.Sub(began.Add(trip / 2)).Round(time.Millisecond)
	if offset.Abs() > time.Second+trip {
		return warn("run NTP on both: leases follow the server's clock, and a step of it ends them early or late", "%v from ours", offset)
	}
	return ok("%v from ours, give or take %v", offset, (trip / 2).Round(time.Microsecond))
}
