package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/leash"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

// A reporter tells what a relock run does, on standard error: the standard
// output is the command's. It is safe for concurrent use.
type reporter struct {
	json, quiet bool
	name        string
	began       time.Time

	mu  sync.Mutex
	out io.Writer
}

func newReporter(out io.Writer, cfg runConfig) *reporter {
	return &reporter{json: cfg.json, quiet: cfg.quiet, name: cfg.name, began: time.Now(), out: plain.Writer{W: out}}
}

// runEvent is one line of --json.
type runEvent struct {
	Event    string       `json:"event"`
	Name     string       `json:"name"`
	Owner    relock.Owner `json:"owner,omitempty"`
	Token    relock.Token `json:"token,omitempty"`
	WaitedMS *int64       `json:"waited_ms,omitempty"`
	HeldMS   *int64       `json:"held_ms,omitempty"`
	Waiters  *int         `json:"waiters,omitempty"`
	Killed   bool         `json:"killed,omitempty"`
	Status   *int         `json:"status,omitempty"`
	Message  string       `json:"message,omitempty"`
	encoded
}

// say writes one line: text for people, where there is any, or e.
func (r *reporter) say(text string, e runEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.quiet:
	case r.json:
		e.Name, e.encoded = r.name, encode(r.name, string(e.Owner))
		_ = json.NewEncoder(r.out).Encode(e)
	case text != "":
		fmt.Fprintf(r.out, "relock run: %s\n", plain.Line(text))
	}
}

func millis(d time.Duration) *int64 {
	ms := d.Milliseconds()
	return &ms
}

func (r *reporter) waiting(name string, st relock.Status) {
	text := fmt.Sprintf("waiting for %s, held by %s for %s", plain.Quote(name), plain.Name(string(st.Owner)), brief(time.Since(st.Since)))
	if st.Owner == relock.KeptOwner {
		text = fmt.Sprintf("waiting for %s, which was given back and is kept for another %s (--at-least)", plain.Quote(name), brief(st.TTL))
	}
	r.say(text,
		runEvent{Event: "waiting", Owner: st.Owner, Token: st.Token, HeldMS: millis(time.Since(st.Since)), Waiters: &st.Waiters})
}

func (r *reporter) acquired(l *relock.Lease) {
	r.say("", runEvent{Event: "acquired", Owner: l.Owner(), Token: l.Token(), WaitedMS: millis(time.Since(r.began))})
}

func (r *reporter) ended(status int) { r.say("", runEvent{Event: "ended", Status: &status}) }

func (r *reporter) lost(l *relock.Lease, why string, loss leash.Loss, status int) {
	how := fmt.Sprintf("the command ended with status %d", status)
	switch {
	case loss.Killed:
		how = "the command was killed"
	case loss.Lost && status > 128:
		how = "the command was terminated"
	}
	r.say(fmt.Sprintf("lost the lock %s: %s; %s", plain.Quote(r.name), why, how),
		runEvent{Event: "lost", Owner: l.Owner(), Token: l.Token(), Killed: loss.Killed, Message: why})
}

func (r *reporter) failed(text string) { r.say(text, runEvent{Event: "failed", Message: text}) }
func (r *reporter) warn(text string)   { r.say(text, runEvent{Event: "warning", Message: text}) }
