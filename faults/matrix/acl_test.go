package matrix

import (
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// Users that may not, and how they are made.

// asUser returns a process in the name of a user of the struck nodes.
func (w *world) asUser(rules ...string) *process {
	p := &process{w: w}
	set := []any{"acl", "setuser", "worker", "reset", "on", ">secret", "~*", "&*", "+@all"}
	for _, rule := range rules {
		set = append(set, rule)
	}
	for _, n := range w.nodes {
		if _, err := n.server.Do(bg, set...); err != nil {
			w.Fatal(err)
		}
		p.add(n.server.Client(func(o *redis.Options) { o.Username, o.Password = "worker", "secret" }), nil)
	}
	return p
}

// forbidden is a rule that changes under a holder: it hits open connections.
func forbidden(says string, rule string) func(w *world) {
	return func(w *world) {
		worker := w.asUser()
		w.unlock(w.hold(worker.lock()))
		ttl := short
		if w.kind.outlives {
			ttl = long
		}
		lease := w.holdEverywhere(worker.lock(relock.WithTTL(ttl)))
		w.command("acl", "setuser", "worker", rule)
		if w.kind.outlives {
			w.wantKept(lease)
			w.unlock(lease)
		} else {
			w.wantRefused(worker, says)
			w.wantLostAtDeadline(lease)
		}
		w.wantFree(w.beside(), ttl)
	}
}

func deletedUser(w *world) {
	worker := w.asUser()
	w.unlock(w.hold(worker.lock()))
	ttl := short
	if w.kind.outlives {
		ttl = long
	}
	lease := w.holdEverywhere(worker.lock(relock.WithTTL(ttl)))
	w.command("acl", "deluser", "worker")
	if w.kind.outlives {
		w.wantKept(lease)
		w.unlock(lease)
	} else {
		w.wantRefused(worker, "WRONGPASS", "NOAUTH")
		w.wantLostAtDeadline(lease)
	}
	w.command("config", "set", "requirepass", "secret")
	if !w.kind.outlives {
		w.wantRefused(w.beside(), "NOAUTH", "AUTH", "unauthenticated")
	}
	for _, n := range w.struck() {
		rdb := n.server.Client(func(o *redis.Options) { o.Password = "secret" })
		if err := rdb.ConfigSet(bg, "requirepass", "").Err(); err != nil {
			w.Fatal(err)
		}
	}
	w.wantFree(w.beside(), ttl)
}

func userOff(w *world) {
	worker := w.asUser()
	lease := w.hold(worker.lock(relock.WithTTL(told)))
	w.command("acl", "setuser", "worker", "off")
	w.wantKept(lease)
	w.unlock(lease)
	w.wantFree(w.beside(), 0)
}

func withoutChannels(w *world) {
	a, b := w.asUser("resetchannels"), w.asUser("resetchannels")
	for range 2 {
		lease := w.hold(a.lock(relock.WithTTL(long)))
		got := w.waiter(w.soon(), b.lock(relock.WithTTL(long)))
		w.awaitWaiters(1)
		w.unlock(lease)
		w.unlock(w.granted(got, interval))
	}
	w.awaitClean()
}
