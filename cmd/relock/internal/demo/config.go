// Package demo is `relock demo`: real processes that contend for one lock over
// one record, one of them stopped past its lease in the middle, and the proof
// that nothing got lost.
//
// The parent starts the workers by running its own executable again, and talks
// to them in JSON lines: orders on their standard input, events on their
// standard output. A worker ends when its input does, so none outlives its
// parent.
package demo

import (
	"fmt"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/dial"
)

// Config is what a run is made of.
type Config struct {
	Redis      string        // URL; "" is an embedded server
	TLS        dial.TLS      // for that URL
	Workers    int           // processes
	Goroutines int           // in each of them
	TTL        time.Duration // of the lock
	Duration   time.Duration // of the work
}

const (
	maxWorkers    = 64
	maxGoroutines = 1000
	maxDuration   = time.Hour
)

// Check returns what is wrong with c, or nil.
func (c Config) Check() error {
	switch {
	case c.Workers < 1 || c.Workers > maxWorkers:
		return fmt.Errorf("--workers %d: must be between 1 and %d", c.Workers, maxWorkers)
	case c.Goroutines < 1 || c.Goroutines > maxGoroutines:
		return fmt.Errorf("--goroutines %d: must be between 1 and %d", c.Goroutines, maxGoroutines)
	case c.TTL < relock.MinTTL || c.TTL > time.Minute:
		return fmt.Errorf("--ttl %v: must be between %v and 1m", c.TTL, relock.MinTTL)
	case c.Duration < 100*time.Millisecond || c.Duration > maxDuration:
		return fmt.Errorf("--duration %v: must be between 100ms and %v", c.Duration, maxDuration)
	}
	return nil
}

// leftOut says why no worker is stopped, or nothing.
func (c Config) leftOut() string {
	switch {
	case !canStop:
		return "stopping a process inside its section: this system has no SIGSTOP"
	case c.Workers < 2:
		return "stopping a process inside its section: it takes a second one (--workers 2) to overtake it"
	}
	return ""
}
