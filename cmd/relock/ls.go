package main

import (
	"context"
	"fmt"
	"io"
	"path"

	"github.com/relock-go/relock/internal/engine"
)

const lsIntro = `Lists the locks that are held or waited for, on all masters of a cluster. A
PATTERN (as of a shell: job-*) chooses by name. It looks at every key of the
Redis, in steps that block nobody. The owner (kept) is nobody: that lock was given
back, and stays taken until its minimum (WithMinHold) is over.

Examples:
  relock ls
  relock ls 'deploy-*' --redis redis://prod:6379
  relock ls --json | jq -r '.[] | select(.waiters > 5) | .name'`

var lsCommand = command{name: "ls", help: "list the locks that are held or waited for", run: interruptible(runLs)}

func runLs(ctx context.Context, args []string, std stdio) int {
	var v view
	fs := viewFlags("ls", &v, ofRedLock)
	patterns, status, ok := parseArgs(fs, args, std, "[PATTERN]", lsIntro)
	if !ok {
		return status
	}
	if err := checkNames(patterns...); err != nil {
		return misused(fs, std, err)
	}
	if len(patterns) > 1 {
		return misused(fs, std, fmt.Errorf("unexpected argument %q: one pattern at a time, in quotes", patterns[1]))
	}
	match, err := matcher(patterns)
	if err != nil {
		return misused(fs, std, err)
	}
	locks, err := v.look(ctx, v.open)
	if err != nil {
		return failed(fs, std, err)
	}
	defer locks.close()
	all, err := list(ctx, locks, match)
	if err != nil {
		return failed(fs, std, err)
	}
	if v.json {
		err = printJSON(std.out, all)
	} else {
		err = printLocks(std.out, all)
	}
	if err != nil {
		return exitFailed
	}
	return exitOK
}

// matcher tells which names a pattern is about; none is about all.
func matcher(patterns []string) (func(string) bool, error) {
	if len(patterns) == 0 {
		return func(string) bool { return true }, nil
	}
	if _, err := path.Match(patterns[0], ""); err != nil {
		return nil, fmt.Errorf("pattern %q: a bracket is not closed", patterns[0])
	}
	return func(name string) bool {
		// A shell's * ends at a slash; a lock's name is no path.
		ok, _ := path.Match(slashless(patterns[0]), slashless(name))
		return ok
	}, nil
}

func slashless(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c == '/' {
			b[i] = 0
		}
	}
	return string(b)
}

func list(ctx context.Context, in engine.Inspector, match func(string) bool) ([]shownLock, error) {
	names, err := in.Names(ctx)
	if err != nil {
		return nil, err
	}
	var chosen []string
	for _, name := range names {
		if match(name) {
			chosen = append(chosen, name)
		}
	}
	statuses, errs := in.Statuses(ctx, chosen)
	all := []shownLock{}
	for i, st := range statuses {
		if engine.Unanswered(errs[i]) {
			return nil, errs[i] // Redis is gone, not this lock
		}
		if st.Held || st.Waiters > 0 || errs[i] != nil {
			all = append(all, shown(chosen[i], st, errs[i]))
		}
	}
	return all, nil
}

func printLocks(w io.Writer, all []shownLock) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(w, "no lock is held or waited for")
		return err
	}
	var rows [][]string
	for _, l := range all {
		rows = append(rows, l.columns())
	}
	_, err := io.WriteString(w, table(lockTitles, rows))
	return err
}
