package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/relock-go/relock/cmd/relock/internal/plain"
	"github.com/relock-go/relock/internal/engine"
)

const inspectIntro = `Shows one lock: who holds it, and who waits for it, in the order of their turns.
A waiter stands for its process: others of that process wait behind it. One that
is gone has not checked in for so long that its turn will be passed over.

Examples:
  relock inspect backup
  relock inspect backup --json | jq '.queue | length'`

var inspectCommand = command{name: "inspect", help: "show one lock, and its queue in order", run: interruptible(runInspect)}

// oneName reads the arguments of a command about one lock.
func oneName(fs *flag.FlagSet, args []string, std stdio, intro string) (string, int, bool) {
	names, status, ok := parseArgs(fs, args, std, "NAME", intro)
	switch {
	case !ok:
		return "", status, false
	case len(names) == 0 || names[0] == "":
		return "", misused(fs, std, fmt.Errorf("no lock name: %s NAME", fs.Name())), false
	case checkNames(names...) != nil:
		return "", misused(fs, std, errURLAsName), false
	case len(names) > 1:
		return "", misused(fs, std, fmt.Errorf("unexpected argument %q: one lock at a time", names[1])), false
	}
	return names[0], exitOK, true
}

func runInspect(ctx context.Context, args []string, std stdio) int {
	var v view
	fs := viewFlags("inspect", &v, ofRedLock)
	most := fs.Int("most", 1000, "how many waiters to show at most")
	name, status, ok := oneName(fs, args, std, inspectIntro)
	if !ok {
		return status
	}
	if *most < 1 {
		return misused(fs, std, fmt.Errorf("--most %d: at least 1", *most))
	}
	locks, err := v.look(ctx, v.open)
	if err != nil {
		return failed(fs, std, err)
	}
	defer locks.close()
	st, queue, err := locks.Queue(ctx, name, *most)
	if err != nil {
		return failed(fs, std, err)
	}
	l := shown(name, st, nil)
	l.Queue = shownQueue(queue)
	if v.json {
		err = printJSON(std.out, l)
	} else {
		err = l.print(std.out)
	}
	if err != nil {
		return exitFailed
	}
	return exitOK
}

func shownQueue(queue []engine.Waiter) []shownWaiter {
	var all []shownWaiter
	for i, w := range queue {
		all = append(all, shownWaiter{
			Place: i + 1, Owner: w.Owner, Hold: w.Hold, Gone: w.Silent >= w.Life,
			WaitedMS: w.Waited.Milliseconds(), SilentMS: w.Silent.Milliseconds(), encoded: encode("", w.Owner),
		})
	}
	return all
}

func (l shownLock) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", plain.Name(l.Name))
	if l.Held && l.kept() {
		fmt.Fprintf(&b, "kept: given back, and taken until its minimum (WithMinHold) is over\n  token    %d\n  held for %s\n  free in  %s\n",
			l.Token, brief(msec(l.HeldMS)), brief(msec(l.TTLMS)))
	} else if l.Held {
		fmt.Fprintf(&b, "held by %s\n  holds    %d\n  token    %d\n  held for %s\n  TTL      %s, unless renewed\n",
			plain.Name(l.Owner), l.Count, l.Token, brief(msec(l.HeldMS)), brief(msec(l.TTLMS)))
	} else {
		b.WriteString("free\n")
	}
	switch {
	case l.Waiters == 0:
		b.WriteString("  nobody waits\n")
	case l.Waiters > len(l.Queue):
		fmt.Fprintf(&b, "  %d wait, the first %d of them:\n", l.Waiters, len(l.Queue))
	default:
		fmt.Fprintf(&b, "  %d wait:\n", l.Waiters)
	}
	if len(l.Queue) > 0 {
		var rows [][]string
		for _, q := range l.Queue {
			seen := brief(msec(q.SilentMS)) + " ago"
			if q.Gone {
				seen += " (gone)"
			}
			rows = append(rows, []string{fmt.Sprintf("%5d", q.Place), brief(msec(q.WaitedMS)), seen, plain.Name(q.Owner)})
		}
		b.WriteString(table([]string{"PLACE", "WAITED", "CHECKED IN", "OWNER"}, rows))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
