package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/relock-go/relock/cmd/relock/internal/plain"
	"github.com/relock-go/relock/internal/engine"
)

const unlockIntro = `Takes a lock away from whoever holds it, and passes it on to the next in the
queue. It says who loses it and asks before. It frees the holder that it showed
and no later one; if the lock has another holder by then it says so.

The holder learns of it by its next renewal, and believes in the lock until then:
only a fencing token keeps its writes out. End it, too.

Examples:
  relock unlock --force backup
  relock unlock --force --yes backup`

var unlockCommand = command{name: "unlock", help: "take a lock away from its holder (--force)", run: interruptible(runUnlock)}

// unlocked is what --json tells.
type unlocked struct {
	Freed bool      `json:"freed"`
	Lock  shownLock `json:"lock"` // as it was before
}

func runUnlock(ctx context.Context, args []string, std stdio) int {
	var v view
	fs := viewFlags("unlock", &v, ofRedLock)
	force := fs.Bool("force", false, "take it away; there is no other way to unlock what another holds")
	yes := fs.Bool("yes", false, "do not ask")
	name, status, ok := oneName(fs, args, std, unlockIntro)
	switch {
	case !ok:
		return status
	case !*force:
		return misused(fs, std, errors.New("only the holder gives a lock back; to take it away: --force"))
	case v.json && !*yes:
		return misused(fs, std, errors.New("--json does not ask: add --yes"))
	}
	locks, err := v.look(ctx, v.openWritable)
	if err != nil {
		return failed(fs, std, err)
	}
	defer locks.close()
	st, _, err := locks.Queue(ctx, name, 1)
	if err != nil {
		return failed(fs, std, err)
	}
	was := shown(name, st, nil)
	if !st.Held {
		return tellUnlocked(std, v, unlocked{Lock: was}, plain.Name(name)+" is free already", exitFailed)
	}
	if !*yes {
		fmt.Fprintf(std.out, "%s is held by %s (%s, token %d) for %s; %d wait.\nTake it away? [y/N] ",
			plain.Name(name), plain.Name(st.Owner), holds(st.Count), st.Token, brief(st.Age), st.Waiters)
		if !agreed(ctx, std) {
			fmt.Fprintln(std.out, "Left as it is.")
			return exitFailed
		}
	}
	return takeAway(ctx, std, v, locks, was, func(err error) int { return failed(fs, std, err) })
}

func holds(n int) string {
	if n == 1 {
		return "1 hold"
	}
	return fmt.Sprintf("%d holds", n)
}

// takeAway frees the very lock that was shown.
func takeAway(ctx context.Context, std stdio, v view, in engine.Inspector, was shownLock, fail func(error) int) int {
	freed, err := in.Force(ctx, was.Name, was.Token)
	if err != nil {
		return fail(err)
	}
	if !freed {
		return tellUnlocked(std, v, unlocked{Lock: was},
			fmt.Sprintf("%s has changed: token %d no longer holds it; nothing was done", plain.Name(was.Name), was.Token), exitFailed)
	}
	return tellUnlocked(std, v, unlocked{Freed: true, Lock: was},
		fmt.Sprintf("%s was taken from %s (token %d)", plain.Name(was.Name), plain.Name(was.Owner), was.Token), exitOK)
}

func tellUnlocked(std stdio, v view, u unlocked, text string, status int) int {
	if v.json {
		_ = printJSON(std.out, u)
		return status
	}
	fmt.Fprintln(std.out, text)
	return status
}

// agreed reads the answer; no answer is no.
func agreed(ctx context.Context, std stdio) bool {
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(std.in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		if f, ok := std.in.(*os.File); ok && !isTerminal(f) {
			fmt.Fprintln(std.out)
		}
		return a == "y" || a == "yes"
	case <-ctx.Done():
		fmt.Fprintln(std.out)
		return false
	}
}
