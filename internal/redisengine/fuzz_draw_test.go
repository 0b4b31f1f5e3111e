package redisengine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"
)

// What is sent: each returns a request that can be sent any number of times,
// and says what it was.

func (r *fuzzRun) acquire(a ask) func() string {
	return func() string {
		if r.over(a.hold) {
			return ""
		}
		r.run(&acquireScript, a.floor, r.m.acquire(a, r.w.hears), a.args()...)
		return fmt.Sprintf("acquire %+v", a)
	}
}

func (r *fuzzRun) release(g give) func() string {
	return func() string {
		if g.next != nil && r.over(g.next.hold) {
			return ""
		}
		before := r.m.lock
		want := r.m.release(g, r.w.hears)
		floor := g.floor
		if before != nil && r.m.lock != before {
			floor = max(floor, before.token)
		}
		r.run(&releaseScript, floor, want, g.args()...)
		return fmt.Sprintf("release %+v, next %+v", g, g.next)
	}
}

func (r *fuzzRun) renew(hold string, token, ttl int64) func() string {
	return func() string {
		r.run(&renewScript, 0, r.m.renew(hold, token, ttl), hold, token, ttl)
		return fmt.Sprintf("renew %s, token %d, for %d", hold, token, ttl)
	}
}

func (r *fuzzRun) force(token int64) func() string {
	return func() string {
		r.run(&forceScript, token, r.m.force(token, r.w.hears), token, 0, testRetention)
		return fmt.Sprintf("force of token %d", token)
	}
}

func (r *fuzzRun) status() func() string {
	return func() string {
		r.run(&statusScript, 0, r.m.status())
		return "status"
	}
}

// What it is drawn from.

// drawHold draws a hold: the one that a seat has, or its next.
func (r *fuzzRun) drawHold(label string) string {
	i := rapid.IntRange(0, len(r.seats)-1).Draw(r.T, label+"'s seat")
	s := &r.seats[i]
	if s.hold == "" || r.over(s.hold) || rapid.IntRange(0, 9).Draw(r.T, "generation") == 0 {
		r.drawn++
		s.hold = fmt.Sprintf("%s%d", s.owner, r.drawn)
		r.owner[s.hold] = s.owner
		// Its arrival: ten seconds from any other's, so that what passes on a real
		// clock does not alter the order.
		slot := rapid.Int64Range(1, 1000).Draw(r.T, "arrival")
		for slices.Contains(slices.Collect(maps.Values(r.came)), r.arrival(slot)) {
			slot++
		}
		r.came[s.hold] = r.arrival(slot)
	}
	return s.hold
}

// arrival is on the model's clock.
func (r *fuzzRun) arrival(slot int64) time.Duration { return -time.Duration(slot) * 10 * time.Second }

func (r *fuzzRun) drawTTL() int64 { return rapid.SampledFrom(r.w.times.ttl).Draw(r.T, "ttl") }

func (r *fuzzRun) drawAsk(label string, wait bool) ask {
	hold := r.drawHold(label)
	a := ask{
		hold: hold, owner: r.owner[hold], ttl: r.drawTTL(), life: rapid.SampledFrom(r.w.times.life).Draw(r.T, "life"),
		waited: time.Duration(r.m.now-r.start)*time.Microsecond - r.came[hold],
		floor:  r.drawFloor(), subscribed: rapid.IntRange(0, 1).Draw(r.T, "subscribed"), retention: testRetention,
	}
	if wait {
		a.channel = rapid.SampledFrom([]string{heardChannel, heardChannel, unheardChannel}).Draw(r.T, "channel")
	}
	return a
}

// drawFloor draws a client's high-water mark.
func (r *fuzzRun) drawFloor() int64 {
	now := r.m.now
	marks := []int64{0, 0, 0, now, now + hourUS/6, now + 3*hourUS}
	if n := len(r.tokens); n > 0 {
		marks = append(marks, r.tokens[n-1])
	}
	return rapid.SampledFrom(marks).Draw(r.T, "floor")
}

// drawHolder draws one of the holds that the lock has, if any.
func (r *fuzzRun) drawHolder() string {
	if r.m.lock == nil || len(r.m.lock.holds) == 0 {
		return r.drawHold("hold")
	}
	return rapid.SampledFrom(slices.Sorted(maps.Keys(r.m.lock.holds))).Draw(r.T, "holder")
}

// drawWaiter draws one of those that wait, if any.
func (r *fuzzRun) drawWaiter() string {
	if len(r.m.queue) == 0 {
		return r.drawHold("hold")
	}
	return rapid.SampledFrom(r.m.queue).Draw(r.T, "waiter").hold
}

func (r *fuzzRun) drawGive(hold string, token int64) give {
	g := give{hold: hold, token: token, floor: r.drawFloor()}
	if r.laysTombstones && rapid.Bool().Draw(r.T, "tombstone") {
		g.tombstone = 60_000
	}
	if rapid.Bool().Draw(r.T, "names a next") {
		next := r.drawAsk("next", true)
		if next.hold != g.hold {
			g.next = &next
		}
	}
	return g
}

// drawKeep gives a release a minimum, as of a lease of that token or another.
func (r *fuzzRun) drawKeep(g give) give {
	g.keep = rapid.SampledFrom(r.w.times.keep).Draw(r.T, "keep")
	g.lease = g.token
	if g.token == 0 || rapid.IntRange(0, 3).Draw(r.T, "of another lease") == 0 {
		g.lease = max(1, r.drawToken())
	}
	return g
}

func (r *fuzzRun) currentToken() int64 {
	if r.m.lock == nil {
		return 0
	}
	return r.m.lock.token
}

func (r *fuzzRun) drawToken() int64 {
	tokens := []int64{1, r.currentToken(), r.currentToken() + 1}
	return rapid.SampledFrom(append(tokens, r.tokens...)).Draw(r.T, "token")
}
