package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

// meanings are the exit statuses as -h and docs/cli.md show them.
var meanings = []struct{ status, means string }{
	{"0", "done; of run, the command ended with 0"},
	{"1", "something is wrong: a check of doctor failed, the demo lost something, unlock freed nothing, the output could not be written"},
	{"64", "wrong usage, or files and URLs that cannot be read"},
	{"65", "the key of that name is not a lock"},
	{"69", "Redis cannot be reached, or refuses"},
	{"75", "another has the lock, and --wait is over"},
	{"79", "the lock was lost while the command ran; the command was ended"},
	{"126, 127", "the command cannot be run, or is not there"},
	{"128 + n", "ended by signal n (Ctrl-C: 130)"},
	{"others", "of run, the command's own"},
}

// statusTable shows them in lines that fit a terminal.
func statusTable() string {
	var b strings.Builder
	b.WriteString("Exit statuses:\n")
	for _, m := range meanings {
		line := fmt.Sprintf("  %-9s", m.status)
		for word := range strings.FieldsSeq(m.means) {
			if len(line)+1+len(word) > 79 {
				b.WriteString(line + "\n")
				line = strings.Repeat(" ", 11)
			}
			line += " " + word
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// statusOf is the exit status that stands for err.
func statusOf(err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage), errors.Is(err, relock.ErrInvalid), errors.Is(err, dial.ErrBadURL), errors.Is(err, dial.ErrBadTLS):
		return exitUsage
	case errors.Is(err, relock.ErrNotAcquired), errors.Is(err, errWaited) && !engine.Unanswered(err):
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
	case errors.As(err, &taken) && taken.Owner == relock.KeptOwner:
		return fmt.Sprintf("%s was given back, and is kept for another %s (--at-least): try again, or wait longer (--wait)",
			plain.Quote(taken.Name), brief(taken.TTL))
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
