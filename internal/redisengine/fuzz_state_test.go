package redisengine

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// checkState compares what is in Redis with the model, and with the invariants
// that need no model.
func (r *fuzzRun) checkState() {
	r.Helper()
	ctx := context.Background()
	fields := r.w.rdb.HGetAll(ctx, r.keys[0]).Val()
	now := r.w.clock(r.T) / 1000
	owners, holds, kept := []string{}, map[string]int64{}, map[string]int64{}
	for field, value := range fields {
		if owner, ok := strings.CutPrefix(field, "owner:"); ok {
			owners = append(owners, owner)
		}
		if hold, ok := strings.CutPrefix(field, "hold:"); ok {
			end, _ := strconv.ParseInt(value, 10, 64)
			if id, ok := strings.CutSuffix(hold, "/kept"); ok && end > now {
				kept[id] = end - now
			} else if end > now {
				holds[hold] = end - now
			}
		}
	}
	queue := r.w.rdb.ZRange(ctx, r.keys[2], 0, -1).Val()
	r.checkInvariants(owners, holds, queue)

	var wantOwners []string
	wantHolds := map[string]int64{}
	if l := r.m.lock; l != nil {
		wantOwners = []string{l.owner}
		for hold, end := range l.holds {
			wantHolds[hold] = end - r.m.ms()
		}
		if got, want := r.w.rdb.PTTL(ctx, r.keys[0]).Val().Milliseconds(), l.last()-r.m.ms(); !r.match.matches(got, left(want)) {
			r.Fatalf("got %d ms left of the lock, want %d", got, want)
		}
	}
	if len(holds) > 0 && !slices.Equal(owners, wantOwners) || len(holds) != len(wantHolds) {
		r.Fatalf("got owners %q with holds %v, want %q with %v", owners, holds, wantOwners, wantHolds)
	}
	for hold, want := range wantHolds {
		if got := holds[hold]; !r.match.matches(got, left(want)) {
			r.Fatalf("got %d ms left of hold %s, want %d", got, hold, want)
		}
	}
	wantKept := 0
	if r.m.lock != nil {
		wantKept = len(r.m.lock.kept)
	}
	if len(kept) != wantKept {
		r.Fatalf("got minimums %v, want %d of them", kept, wantKept)
	}
	for hold, got := range kept {
		if want := r.m.lock.kept[hold] - r.m.ms(); !r.match.matches(got, left(want)) {
			r.Fatalf("got %d ms left of the minimum of hold %s, want %d", got, hold, want)
		}
	}
	var wantQueue []string
	for _, waiter := range r.m.queue {
		wantQueue = append(wantQueue, waiter.hold)
	}
	if !slices.Equal(queue, wantQueue) {
		r.Fatalf("got queue %q, want %q", queue, wantQueue)
	}
	for _, waiter := range r.m.queue {
		entry := strings.Fields(r.w.rdb.HGet(ctx, r.keys[3], waiter.hold).Val())
		if len(entry) < 6 || entry[3] != waiter.here {
			r.Fatalf("got entry %q of %s, want %s in the fourth place", entry, waiter.hold, waiter.here)
		}
	}
	entries := r.w.rdb.HKeys(ctx, r.keys[3]).Val()
	slices.Sort(entries)
	slices.Sort(queue)
	if !slices.Equal(entries, queue) {
		r.Fatalf("got waiters' entries %q, want those of the queue %q", entries, queue)
	}
}

func (r *fuzzRun) checkInvariants(owners []string, holds map[string]int64, queue []string) {
	r.Helper()
	if len(owners) > 1 {
		r.Fatalf("got owners %q: more than one", owners)
	}
	for hold := range holds {
		if len(owners) != 1 || r.owner[hold] != owners[0] {
			r.Fatalf("hold %s of %q is in the lock of %q", hold, r.owner[hold], owners)
		}
		if slices.Contains(queue, hold) {
			r.Fatalf("hold %s has the lock, and waits for it", hold)
		}
	}
	for hold := range r.m.tombstones {
		_, back := holds[hold]
		if r.hasTombstone[hold] && (back || slices.Contains(queue, hold)) {
			r.Fatalf("hold %s was withdrawn, and is back", hold)
		}
		if !back {
			r.hasTombstone[hold] = true
		}
	}
}
