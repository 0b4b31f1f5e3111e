package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

const completionIntro = `Prints what makes bash, zsh or fish complete commands, flags and lock names.

Examples:
  source <(relock completion bash)
  relock completion zsh >"${fpath[1]}/_relock"
  relock completion fish >~/.config/fish/completions/relock.fish`

var completionCommand = command{name: "completion", help: "completion for bash, zsh and fish", run: interruptible(runCompletion)}

// They ask relock itself: what it offers is then what it has.
var completions = map[string]string{
	"bash": `_relock() {
  local word
  COMPREPLY=()
  while IFS= read -r word; do
    [[ $word == "${COMP_WORDS[COMP_CWORD]}"* ]] || continue
    printf -v word %q "$word" # a name is what others have written
    COMPREPLY+=("$word")
  done < <(relock complete-words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o default -F _relock relock
`,
	"zsh": `#compdef relock
_relock() {
  local -a found
  found=(${(f)"$(relock complete-words "${(@)words[2,CURRENT]}" 2>/dev/null)"})
  if (( $#found )); then compadd -a found; else _default; fi
}
if [ "$funcstack[1]" = _relock ]; then _relock "$@"; else compdef _relock relock; fi
`,
	"fish": `function __relock_words
  set -l words (commandline -opc) (commandline -ct)
  relock complete-words $words[2..-1] 2>/dev/null
end
complete -c relock -n 'not contains -- -- (commandline -opc)' -f -a '(__relock_words)'
`,
}

func runCompletion(_ context.Context, args []string, std stdio) int {
	fs := newFlags("completion")
	shells, status, ok := parseArgs(fs, args, std, "bash|zsh|fish", completionIntro)
	if !ok {
		return status
	}
	if len(shells) != 1 || completions[shells[0]] == "" {
		return misused(fs, std, errors.New("which shell? relock completion bash, zsh or fish"))
	}
	fmt.Fprint(std.out, completions[shells[0]])
	return exitOK
}

var completeCommand = command{name: "complete-words", run: runComplete}

// runComplete prints the words that the last of args can become.
func runComplete(ctx context.Context, args []string, std stdio) int {
	for _, word := range wordsFor(ctx, args) {
		if plain.IsPlain(word) { // else it could not be typed
			fmt.Fprintln(std.out, word)
		}
	}
	return exitOK
}

func wordsFor(ctx context.Context, args []string) (words []string) {
	switch {
	case len(args) <= 1:
		for _, c := range commands() {
			words = append(words, c.name)
		}
		return append(words, "help")
	case slices.Contains(args[1:len(args)-1], "--"):
		return nil // the command to run: files
	case strings.HasPrefix(args[len(args)-1], "-"):
		return flagsOf(args[0])
	}
	switch args[0] {
	case "run", "inspect", "unlock", "watch", "ls":
		return lockNames(ctx)
	case "completion":
		return []string{"bash", "zsh", "fish"}
	}
	return nil
}

// flagsOf returns the flags of a command, as its help shows them.
func flagsOf(name string) (flags []string) {
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		var help strings.Builder
		c.run(context.Background(), []string{"-h"}, stdio{out: &help, err: &help})
		for line := range strings.Lines(help.String()) {
			if rest, ok := strings.CutPrefix(line, "  -"); ok {
				flags = append(flags, "--"+strings.Fields(rest)[0])
			}
		}
	}
	return flags
}

// completeWithin is how long somebody who types waits.
const completeWithin = time.Second

// lockNames are those of the Redis of the environment; a Redis that is slow to
// tell is not waited for.
func lockNames(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, completeWithin)
	defer cancel()
	w := where{prefix: relock.DefaultPrefix}
	registerTLS(newFlags(""), &w.tls) // for what they have from the environment
	locks, err := w.look(ctx, w.open)
	if err != nil {
		return nil
	}
	defer locks.close()
	names, _ := locks.Names(ctx) // those that were found
	return names
}
