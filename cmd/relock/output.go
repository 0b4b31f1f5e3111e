package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
	"github.com/relock-go/relock/internal/engine"
)

// view is the flags of a command that looks at locks.
type view struct {
	where
	json bool
}

func viewFlags(name string, v *view, several string) *flag.FlagSet {
	fs := newFlags(name)
	v.register(fs, several)
	fs.BoolVar(&v.json, "json", false, "print JSON")
	return fs
}

// failed reports err in one line, and returns its exit status.
func failed(fs *flag.FlagSet, std stdio, err error) int {
	status := statusOf(err)
	if status == exitUsage {
		return misused(fs, std, err)
	}
	fmt.Fprintf(std.err, "%s: %s\n", fs.Name(), explain(err))
	return status
}

// shownLock is a lock as --json shows it.
type shownLock struct {
	Name    string        `json:"name"`
	Held    bool          `json:"held"`
	Owner   string        `json:"owner,omitempty"`
	Count   int           `json:"count,omitempty"`
	Token   int64         `json:"token,omitempty"`
	HeldMS  int64         `json:"held_ms,omitempty"`
	TTLMS   int64         `json:"ttl_ms,omitempty"`
	Waiters int           `json:"waiters"`
	Queue   []shownWaiter `json:"queue,omitempty"`
	Error   string        `json:"error,omitempty"`
	encoded
}

// encoded is a name and an owner that are no UTF-8: in JSON as text they all look
// alike.
type encoded struct {
	Name64  string `json:"name_base64,omitempty"`
	Owner64 string `json:"owner_base64,omitempty"`
}

func encode(name, owner string) encoded { return encoded{plain.Base64(name), plain.Base64(owner)} }

// shownWaiter is one that waits.
type shownWaiter struct {
	Place    int    `json:"place"`
	Owner    string `json:"owner"`
	Hold     string `json:"hold"`
	WaitedMS int64  `json:"waited_ms"`
	SilentMS int64  `json:"silent_ms"` // since its last check-in
	Gone     bool   `json:"gone"`      // silent for longer than its entry lives: passed over
	encoded
}

func shown(name string, st engine.Status, err error) shownLock {
	l := shownLock{
		Name: name, Held: st.Held, Owner: st.Owner, Count: st.Count, Token: st.Token,
		HeldMS: st.Age.Milliseconds(), TTLMS: st.Left.Milliseconds(), Waiters: st.Waiters,
		encoded: encode(name, st.Owner),
	}
	if err != nil {
		l.Error = plain.Error(err)
	}
	return l
}

// columns are the cells of a lock in a table.
func (l shownLock) columns() []string {
	switch {
	case l.Error != "":
		return []string{plain.Name(l.Name), "?", "", "", "", "", "", l.Error}
	case !l.Held:
		return []string{plain.Name(l.Name), "(free)", "", "", "", "", fmt.Sprint(l.Waiters)}
	}
	return []string{
		plain.Name(l.Name), l.holder(), fmt.Sprint(l.Count), fmt.Sprint(l.Token),
		brief(msec(l.HeldMS)), brief(msec(l.TTLMS)), fmt.Sprint(l.Waiters),
	}
}

// holder is who holds the lock, for people.
func (l shownLock) holder() string {
	if l.kept() {
		return "(kept)"
	}
	return plain.Name(l.Owner)
}

// kept tells whether the lock was given back, and its minimum is not over.
func (l shownLock) kept() bool { return l.Owner == string(relock.KeptOwner) }

var lockTitles = []string{"NAME", "OWNER", "COUNT", "TOKEN", "HELD FOR", "TTL", "WAITERS"}

func msec(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// table writes rows in columns.
func table(titles []string, rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(titles, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // into memory
	return b.String()
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
