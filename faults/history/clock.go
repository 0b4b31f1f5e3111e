package history

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now reads the machine's monotonic clock, in nanoseconds. All processes of one
// machine read the same one.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("history: no monotonic clock: " + err.Error())
	}
	return ts.Nano()
}

// At returns t on the clock of Now. The clock is read first: where the process
// loses the processor in between, the result is too early and never too late,
// and a deadline is believed for too short rather than for too long.
func At(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	now := Now()
	return now + int64(time.Until(t))
}
