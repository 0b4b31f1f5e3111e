package relock

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// What is refused, by whom, and whether it passes.

// unknownGrace is for how many call timeouts a client of which nothing is known is
// given to find the right server. One that can has found it long before.
const unknownGrace = 10

// reach is what a client does about a server that sends it to another one.
type reach int

const (
	unknown  reach = iota
	plain          // one address: it goes nowhere
	sentinel       // it finds the primary, and no other node of a cluster
	cluster        // it finds both
)

// reachOf tells what can be known of a client. An AutoPipeliner shows nothing of
// the one it is made of.
func reachOf(rdb Redis) reach {
	switch rdb := rdb.(type) {
	case masters:
		return cluster
	case interface{ Options() *redis.Options }:
		if rdb.Options().Addr == "FailoverClient" { // what NewFailoverClient has for an address
			return sentinel
		}
		return plain
	}
	return unknown
}

// advise adds what to do to a refusal of rdb's server that it should have been
// asked elsewhere, and for how long that may yet pass.
//
// go-redis follows MOVED and ASK in a ClusterClient only. READONLY passes where
// the client finds the new primary, or where a failover was not heard of yet.
func advise(rdb Redis, err error) error {
	if err == nil || engine.Unanswered(err) {
		return err
	}
	kind, grace := reachOf(rdb), 0
	if kind == unknown {
		grace = unknownGrace
	}
	switch {
	case kind == cluster:
		return err
	case moved(err), hasPrefix(err, "CROSSSLOT") && kind == plain:
		return &engine.RefusalError{Err: err, Grace: grace, Advice: fmt.Sprintf(
			"the server is one of a Redis Cluster's, and %T does not go to the others: use redis.NewClusterClient", rdb)}
	case hasPrefix(err, "READONLY") && kind != sentinel:
		return &engine.RefusalError{Err: err, Grace: max(grace, 1), Advice: fmt.Sprintf(
			"the server is a replica, and %T does not look for its primary: give it the primary's address, or use redis.NewFailoverClient (Sentinel) or redis.NewClusterClient (Cluster)", rdb)}
	}
	return err
}

// fault translates the error of c, with which rdb has returned.
func (c *command) fault(rdb Redis, err error) error {
	return advise(rdb, translate(err, err == nil || c.last.bar()))
}

// forGoodError is an error that passes no more, whatever passes says of it.
type forGoodError struct{ error }

func (e forGoodError) Unwrap() error { return e.error }

// outlasted returns err, as one that is for good if it has lasted for longer than
// such an error may.
func (h *host) outlasted(err error, lasted time.Duration) error {
	if err != nil && passes(err) && !passesAfter(err, int(lasted/h.set.call)) {
		return forGoodError{err}
	}
	return err
}

// judged is outlasted for what an acquire of o came to, which waits for longer
// than one call.
func (h *host) judged(o *hold, err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var refusal *engine.RefusalError
	switch {
	case err == nil:
		o.refusedSince = time.Time{}
	case o.refusedSince.IsZero() && errors.As(err, &refusal):
		o.refusedSince = time.Now()
	case !o.refusedSince.IsZero():
		return h.outlasted(err, time.Since(o.refusedSince))
	}
	return err
}

// denied tells whether the caller's own client kept a request back, as a breaker
// does: that is its word, and no failure to connect.
func denied(err error) bool {
	var net net.Error
	return errors.Is(err, engine.ErrUnsent) && !errors.As(err, &net) && !errors.Is(err, io.EOF) &&
		!errors.Is(err, context.Canceled) && !errors.Is(err, redis.ErrPoolTimeout) && !errors.Is(err, redis.ErrPoolExhausted)
}

// trouble is what err comes to, in a sentence about Redis.
func trouble(err error) string {
	var quorum *QuorumError
	switch {
	case errors.As(err, &quorum):
		return "no quorum of the nodes"
	case errors.Is(err, engine.ErrUnknown):
		return "no answer from Redis"
	case errors.Is(err, engine.ErrUnsent):
		return "nothing could be sent to Redis"
	case isReply(err):
		return "refused by Redis"
	}
	return "not acquired"
}
