package redisengine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// What an error of go-redis's says of the request that failed with it: this is the
// one place that knows.

// FromServer translates the error of a command that may have been sent. What the
// server answered is certain; anything else leaves open whether the command takes
// effect.
func FromServer(err error) error { return translate(err, true) }

// translate is fromServer, for a command of which it is known whether anything of
// it left.
func translate(err error, left bool) error {
	if err == nil || engine.ClassOf(err) != engine.Unclassified {
		return err
	}
	var dial *net.OpError
	switch {
	case redis.HasErrorPrefix(err, "WRONGTYPE"):
		return refused(fmt.Errorf("%w: %w", engine.ErrWrongType, err))
	case redis.HasErrorPrefix(err, "FORGOT"):
		return refused(fmt.Errorf("%w: %w", engine.ErrForgot, err))
	case IsReply(err) && notReady(err):
		return &engine.ClassifiedError{Err: err, Kind: engine.Refused, Grace: engine.Forever}
	case IsReply(err):
		return refused(err)
	case errors.Is(err, redis.ErrClosed):
		return &engine.ClassifiedError{Err: err, Kind: engine.Closed}
	case !left, errors.As(err, &dial) && dial.Op == "dial":
		return unsent(fmt.Errorf("%w: %w", engine.ErrUnsent, err))
	}
	return fmt.Errorf("%w: %w", engine.ErrUnknown, err)
}

func refused(err error) error { return &engine.ClassifiedError{Err: err, Kind: engine.Refused} }

// unsent tells a request that the caller's own client kept back, as a breaker does,
// from one that found no connection.
func unsent(err error) error {
	var net net.Error
	if errors.As(err, &net) || errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) ||
		errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) {
		return err
	}
	return &engine.ClassifiedError{Err: err, Kind: engine.Denied, Grace: engine.Forever}
}

// IsReply reports whether err is what the server said.
func IsReply(err error) bool {
	var said redis.Error
	return errors.As(err, &said)
}

// notReady reports whether the server said no for a while, which passes by itself.
func notReady(err error) bool {
	for _, prefix := range [...]string{
		"LOADING", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "UNBLOCKED",
		"NOREPLICAS", "MOVED", "ASK", "max number of clients",
	} {
		if redis.HasErrorPrefix(err, prefix) {
			return true
		}
	}
	return false
}

// moved reports whether a server said that another one has the key.
func moved(err error) bool { return hasPrefix(err, "MOVED") || hasPrefix(err, "ASK") }

// hasPrefix reports whether err is a server's, with that first word; it costs
// nothing where there is none.
func hasPrefix(err error, prefix string) bool {
	return err != nil && redis.HasErrorPrefix(err, prefix)
}

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
func reachOf(rdb Client) reach {
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
func advise(rdb Client, err error) error {
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
		return &engine.ClassifiedError{Err: err, Kind: engine.Refused, Grace: grace, Advice: fmt.Sprintf(
			"the server is one of a Redis Cluster's, and %T does not go to the others: use redis.NewClusterClient", rdb)}
	case hasPrefix(err, "READONLY") && kind != sentinel:
		return &engine.ClassifiedError{Err: err, Kind: engine.Refused, Grace: max(grace, 1), Advice: fmt.Sprintf(
			"the server is a replica, and %T does not look for its primary: give it the primary's address, or use redis.NewFailoverClient (Sentinel) or redis.NewClusterClient (Cluster)", rdb)}
	}
	return err
}

// fault translates the error of c, with which rdb has returned.
func (c *command) fault(rdb Client, err error) error {
	return advise(rdb, translate(err, err == nil || c.last.bar()))
}
