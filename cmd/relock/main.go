// Command relock runs commands under locks of package relock, shows who holds
// what, and measures it.
//
// Every command's -h shows the exit statuses.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/relock-go/relock/cmd/relock/internal/child"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

// stdio is what a command reads and writes, so that it can be tested without a
// process.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// A command is one verb of relock. run returns the exit status; it has reported
// its own errors.
type command struct {
	name, help string
	run        func(ctx context.Context, args []string, std stdio) int
	lends      bool // its standard output is another command's
}

// commands are those that help lists, in its order.
func commands() []command {
	return []command{
		runCommand, lsCommand, inspectCommand, watchCommand, unlockCommand,
		doctorCommand, benchCommand, demoCommand, completionCommand, versionCommand,
	}
}

// plumbing are commands that relock runs itself, as child processes.
func plumbing() []command {
	return []command{demoWorkerCommand, completeCommand}
}

const examples = `
Examples:
  relock run backup -- /usr/local/bin/backup.sh    a command, alone in the whole fleet
  relock ls                                        who holds what, and how many wait
  relock watch                                     the same, live
  relock demo                                      on an embedded Redis, about 9 seconds
`

func main() {
	child.Guard()
	ctx, stop := untilSignal(context.Background())
	status := dispatch(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(status)
}

func dispatch(ctx context.Context, args []string, std stdio) int {
	hideSecrets(args)
	if len(args) == 0 {
		usage(std.err)
		return exitUsage
	}
	switch {
	case isHelp(args[0]):
		if len(args) == 2 && !isHelp(args[1]) { // of a command
			args = []string{args[1], "-h"}
			break
		}
		return wary("help", func(std stdio) int { return help(args[1:], std) }, std)
	case args[0] == "-version", args[0] == "--version":
		args = append([]string{"version"}, args[1:]...)
	}
	for _, c := range append(commands(), plumbing()...) {
		if c.name == args[0] {
			return c.start(ctx, args[1:], std)
		}
	}
	fmt.Fprintf(std.err, "relock: no command %s (relock help lists them)\n", plain.Error(errors.New(plain.Quote(args[0]))))
	return exitUsage
}

func isHelp(arg string) bool {
	return slices.Contains([]string{"help", "-h", "-help", "--help"}, arg)
}

// help shows what there is, unless it was asked for more than one thing.
func help(about []string, std stdio) int {
	if len(about) > 1 {
		fmt.Fprintln(std.err, "relock help: one command at a time, as in relock help run")
		return exitUsage
	}
	usage(std.out)
	return exitOK
}

// hideSecrets keeps the passwords that we were given out of errors, wherever they
// were given.
func hideSecrets(args []string) {
	plain.Hide(args...)
	plain.Hide(strings.Fields(os.Getenv(envRedis))...)
}

func (c command) start(ctx context.Context, args []string, std stdio) int {
	if c.lends {
		return c.run(ctx, args, std)
	}
	return wary(c.name, func(std stdio) int { return c.run(ctx, args, std) }, std)
}

func usage(w io.Writer) {
	fmt.Fprint(w, "relock: distributed locks on Redis\n\nUsage: relock <command> [flags]\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-11s %s\n", c.name, c.help)
	}
	fmt.Fprint(w, examples, "\n", statusTable(), "\nrelock help <command>, or relock <command> -h, shows its flags and examples.\n")
}
