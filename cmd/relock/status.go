package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/dial"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
	"github.com/relock-go/relock/internal/engine"
)

// Exit statuses, after sysexits.h where it has one.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 64 // EX_USAGE
	exitWrongType   = 65 // EX_DATAERR: the key of that name is not a lock
	exitUnreachable = 69 // EX_UNAVAILABLE: Redis does not answer, or refuses
	exitNotAcquired = 75 // EX_TEMPFAIL: another holds the lock
	exitLost        = 79 // the lock was lost while the command ran
)

// statusOf is the exit status that stands for err.
func statusOf(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage), errors.Is(err, relock.ErrInvalid), errors.Is(err, dial.ErrBadURL), errors.Is(err, dial.ErrBadTLS):
		return exitUsage
	case errors.Is(err, relock.ErrNotAcquired), errors.Is(err, errWaited) && !errors.Is(err, engine.ErrUnknown):
		return exitNotAcquired
	case errors.Is(err, relock.ErrWrongType):
		return exitWrongType
	}
	return exitUnreachable
}

// explain puts err into words that say what to do, in one line.
func explain(err error) string {
	var taken *relock.NotAcquiredError
	switch {
	case errors.As(err, &taken) && taken.Owner != "":
		return fmt.Sprintf("%s is held by %s for %s (token %d, %s left): try again, or wait longer (--wait)",
			plain.Quote(taken.Name), plain.Name(string(taken.Owner)), brief(time.Since(taken.Since)), taken.Token, brief(taken.TTL))
	case errors.Is(err, relock.ErrNotAcquired):
		return "the lock is held by another: try again, or wait longer (--wait)"
	case errors.Is(err, errWaited):
		return "not acquired in time: try again, or wait longer (--wait)"
	case errors.Is(err, relock.ErrWrongType):
		return plain.Error(err) + "; it is left as it is: choose another name or --prefix"
	case errors.Is(err, context.DeadlineExceeded):
		return plain.Error(err) + "; is Redis overloaded, or behind a firewall?"
	case errors.Is(err, dial.ErrReadOnly):
		return plain.Error(err) + "; connect to its primary, or through a Sentinel (?master_name=)"
	case errors.Is(err, dial.ErrUnreachable):
		return plain.Error(err) + "; check --redis or $" + envRedis
	}
	return plain.Error(err)
}

// brief is d in the precision that a reader needs.
func brief(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Millisecond).String()
}
