package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/relock-go/relock"
)

// View shows a run while it goes on: on a terminal some lines that are redrawn,
// elsewhere a line a second. What happens stays on the page. Only one goroutine
// may use it.
type View struct {
	out     io.Writer
	redrawn bool
	lines   int           // of the last frame, to be drawn over
	last    frame         // drawn again below what is said
	next    time.Duration // when the next plain line is due
}

// NewView returns a view on out; redrawn says that out is a terminal.
func NewView(out io.Writer, redrawn bool) *View { return &View{out: out, redrawn: redrawn} }

// NoView returns a view that shows nothing.
func NoView() *View { return NewView(io.Discard, false) }

// maxShown bounds the lines of a frame: one that is higher than the terminal
// cannot be drawn over.
const maxShown = 16

// frame is the state at one instant.
type frame struct {
	elapsed    time.Duration
	status     relock.Status
	worker     int // the holder, if known; else 0
	goroutine  int
	sections   []int // by worker
	deposited  int64
	stopped    int // a worker, or 0
	stoppedFor time.Duration
}

func (v *View) intro(cfg Config, where string) {
	fmt.Fprintf(v.out, "relock demo: %d processes x %d goroutines, one lock with a TTL of %v, one account\nRedis: %s\n",
		cfg.Workers, cfg.Goroutines, cfg.TTL, where)
	if why := cfg.leftOut(); why != "" {
		fmt.Fprintf(v.out, "Left out: %s.\n", why)
	}
	fmt.Fprintln(v.out)
}

// say prints what has happened, to stay.
func (v *View) say(at time.Duration, text string) {
	v.wipe()
	fmt.Fprintf(v.out, "%5.1f s  * %s\n", at.Seconds(), text)
	if v.redrawn && len(v.last.sections) > 0 {
		v.draw(v.last)
	}
}

func (v *View) show(f frame) {
	v.last = f
	if v.redrawn {
		v.wipe()
		v.draw(f)
		return
	}
	if f.elapsed >= v.next {
		v.next = f.elapsed.Truncate(time.Second) + time.Second
		fmt.Fprintf(v.out, "%5.1f s  %s; %s\n", f.elapsed.Seconds(), f.total(), f.lock())
	}
}

// end leaves the page as it is for the summary.
func (v *View) end() {
	v.wipe()
	fmt.Fprintln(v.out)
}

func (v *View) wipe() {
	if v.lines > 0 {
		fmt.Fprintf(v.out, "\x1b[%dA\x1b[J", v.lines)
		v.lines = 0
	}
}

func (v *View) draw(f frame) {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%5.1f s  %s\n         %s\n", f.elapsed.Seconds(), f.total(), f.lock())
	for i, n := range f.sections[:min(len(f.sections), maxShown)] {
		fmt.Fprintf(&b, "         worker %-3d %9s  %s\n", i+1, grouped(int64(n)), f.doing(i+1))
	}
	if more := len(f.sections) - maxShown; more > 0 {
		fmt.Fprintf(&b, "         and %d more\n", more)
	}
	v.lines = strings.Count(b.String(), "\n")
	_, _ = io.WriteString(v.out, b.String())
}

func (f frame) total() string {
	total := 0
	for _, n := range f.sections {
		total += n
	}
	return fmt.Sprintf("%s sections, %s deposited", grouped(int64(total)), grouped(f.deposited))
}

func (f frame) lock() string {
	if !f.status.Held {
		return "the lock is free"
	}
	by := "a holder"
	if f.worker > 0 {
		by = fmt.Sprintf("worker %d, goroutine %d", f.worker, f.goroutine)
	}
	return fmt.Sprintf("held by %s, token %d; %d in the queue", by, f.status.Token, f.status.Waiters)
}

func (f frame) doing(worker int) string {
	switch {
	case worker == f.stopped:
		return fmt.Sprintf("STOPPED inside its section for %.1f s", f.stoppedFor.Seconds())
	case worker == f.worker && f.status.Held:
		return "holds the lock"
	}
	return "waits"
}

// grouped writes n with a comma every three digits.
func grouped(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
