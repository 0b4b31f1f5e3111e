package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/relock-go/relock/cmd/relock/internal/plain"
	"github.com/relock-go/relock/internal/engine"
)

const watchIntro = `Shows what happens to one lock, or to all, as it happens: a lock is granted, is
freed (given back or taken away: Redis does not tell which), or has expired (the
time of its holder ran out), and the length of the queue. On a terminal it is a
table that is redrawn, else a line an event.

It samples: what comes and goes between two looks (--every) is not seen. With no
NAME it looks for new locks once a second, at every key.

Examples:
  relock watch
  relock watch backup --every 50ms
  relock watch --json | jq 'select(.event == "expired")'`

var watchCommand = command{name: "watch", help: "follow one lock, or all, live", run: interruptible(runWatch)}

const (
	minEvery    = 10 * time.Millisecond
	lookForNew  = time.Second
	shownEvents = 10
)

func runWatch(ctx context.Context, args []string, std stdio) int {
	var v view
	fs := viewFlags("watch", &v, ofRedLock)
	every := fs.Duration("every", 250*time.Millisecond, "how often to look")
	times := fs.Int("times", 0, "how many looks to end after (default: go on)")
	names, status, ok := parseArgs(fs, args, std, "[NAME]", watchIntro)
	switch {
	case !ok:
		return status
	case checkNames(names...) != nil:
		return misused(fs, std, errURLAsName)
	case len(names) > 1:
		return misused(fs, std, fmt.Errorf("unexpected argument %q: one lock, or all", names[1]))
	case *every < minEvery:
		return misused(fs, std, fmt.Errorf("--every %v: at least %v", *every, minEvery))
	}
	locks, err := v.look(ctx, v.open)
	if err != nil {
		return failed(fs, std, err)
	}
	defer locks.close()
	w := &watch{in: locks, names: names, all: len(names) == 0, every: *every, times: *times}
	switch {
	case v.json:
		w.show = jsonScreen{json.NewEncoder(std.out)}
	case isTerminal(std.out):
		w.show = &tableScreen{out: steering(std.out), where: locks.where}
	default:
		w.show = lineScreen{std.out}
	}
	if err := w.run(ctx); err != nil && ctx.Err() == nil {
		return failed(fs, std, err)
	}
	return exitOK
}

// A screen shows a look at the locks and what has happened since the last one.
type screen interface {
	draw(locks []shownLock, events []watchEvent, trouble error) error
}

type watch struct {
	in    engine.Inspector
	all   bool // names are looked for
	names []string
	every time.Duration
	times int
	show  screen

	looked time.Time // for names
	seen   tracker
}

// run looks until ctx ends or nobody reads any more. Redis may go away and come
// back: that is shown, but not at the first look.
func (w *watch) run(ctx context.Context) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for n := 1; ; n++ {
		locks, err := w.look(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && n == 1 {
			return err
		}
		var events []watchEvent
		if err == nil {
			events = w.seen.see(time.Now(), locks)
		}
		if err := w.show.draw(locks, events, err); err != nil {
			return nil // the reader is gone, as of a pipe to head
		}
		if n == w.times {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (w *watch) look(ctx context.Context) ([]shownLock, error) {
	if now := time.Now(); w.all && now.Sub(w.looked) >= lookForNew {
		names, err := w.in.Names(ctx)
		if err != nil {
			return nil, err
		}
		w.names, w.looked = names, now
	}
	statuses, errs := w.in.Statuses(ctx, w.names)
	locks := make([]shownLock, len(statuses))
	for i, st := range statuses {
		if errs[i] != nil && statusOf(errs[i]) == exitUnreachable {
			return nil, errs[i]
		}
		locks[i] = shown(w.names[i], st, errs[i])
	}
	return locks, nil
}

// watchEvent is what happened to a lock, as --json shows it.
type watchEvent struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"` // granted, freed, expired, queue
	Name    string    `json:"name"`
	Owner   string    `json:"owner,omitempty"`
	Token   int64     `json:"token,omitempty"`
	HeldMS  int64     `json:"held_ms,omitempty"`
	Waiters int       `json:"waiters"`
	encoded
}

func (e watchEvent) String() string {
	at := e.Time.Format("15:04:05.000")
	switch e.Event {
	case "granted":
		return fmt.Sprintf("%s  %-8s  %s  to %s, token %d; %d wait", at, e.Event, plain.Name(e.Name), plain.Name(e.Owner), e.Token, e.Waiters)
	case "queue":
		return fmt.Sprintf("%s  %-8s  %s  %d wait", at, e.Event, plain.Name(e.Name), e.Waiters)
	}
	return fmt.Sprintf("%s  %-8s  %s  by %s after %s; %d wait", at, e.Event, plain.Name(e.Name), plain.Name(e.Owner), brief(msec(e.HeldMS)), e.Waiters)
}

// tracker finds out what happened between two looks.
type tracker struct {
	at    time.Time // of the last look; zero before the first
	locks map[string]shownLock
}

// see returns what happened since the last look. A holder that is gone though
// its time had not run out gave the lock back, or had it taken away.
func (t *tracker) see(now time.Time, locks []shownLock) []watchEvent {
	var events []watchEvent
	since := now.Sub(t.at)
	seen := map[string]shownLock{}
	note := func(event string, l shownLock, waiters int, held int64) {
		events = append(events, watchEvent{now, event, l.Name, l.Owner, l.Token, held, waiters, l.encoded})
	}
	change := func(was, is shownLock) {
		same := was.Held && is.Held && was.Token == is.Token
		if was.Held && !same {
			event := "freed"
			if msec(was.TTLMS) <= since {
				event = "expired"
			}
			note(event, was, is.Waiters, was.HeldMS+since.Milliseconds())
		}
		switch {
		case is.Held && !same:
			note("granted", is, is.Waiters, 0)
		case was.Waiters != is.Waiters:
			note("queue", shownLock{Name: is.Name, encoded: is.encoded}, is.Waiters, 0)
		}
	}
	for _, l := range locks {
		seen[l.Name] = l
		change(t.locks[l.Name], l)
	}
	for name, was := range t.locks {
		if _, still := seen[name]; !still {
			change(was, shownLock{Name: name, encoded: was.encoded})
		}
	}
	t.at, t.locks = now, seen
	return events
}

type jsonScreen struct{ enc *json.Encoder }

func (s jsonScreen) draw(_ []shownLock, events []watchEvent, trouble error) error {
	if trouble != nil {
		return s.enc.Encode(map[string]any{"time": time.Now(), "event": "trouble", "message": explain(trouble)})
	}
	for _, e := range events {
		if err := s.enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

type lineScreen struct{ out io.Writer }

func (s lineScreen) draw(_ []shownLock, events []watchEvent, trouble error) error {
	if trouble != nil {
		_, err := fmt.Fprintf(s.out, "%s  %s\n", time.Now().Format("15:04:05.000"), explain(trouble))
		return err
	}
	for _, e := range events {
		if _, err := fmt.Fprintln(s.out, e); err != nil {
			return err
		}
	}
	return nil
}
