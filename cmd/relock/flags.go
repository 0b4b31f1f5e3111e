package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

// newFlags returns the flags of a command; its mistakes are one line, and its
// help is what -h asks for.
func newFlags(name string) *flag.FlagSet {
	fs := flag.NewFlagSet("relock "+name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	return fs
}

// parse reads args, which are flags only. It returns false, and the exit status,
// where there is nothing to run: help was asked for, or args are wrong.
func parse(fs *flag.FlagSet, args []string, std stdio, intro string) (int, bool) {
	rest, status, ok := parseArgs(fs, args, std, "", intro)
	if ok && len(rest) > 0 {
		return misused(fs, std, fmt.Errorf("unexpected argument %q", rest[0])), false
	}
	return status, ok
}

// parseArgs is parse for a command that takes arguments.
func parseArgs(fs *flag.FlagSet, args []string, std stdio, operands, intro string) ([]string, int, bool) {
	rest, err := parseAnywhere(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return nil, showHelp(fs, std, operands, intro), false
	case err != nil:
		return nil, misused(fs, std, err), false
	}
	return rest, exitOK, true
}

// parseAnywhere reads flags between and after the arguments, too, which it
// returns. What stands after -- is no flag.
func parseAnywhere(fs *flag.FlagSet, args []string) (rest []string, err error) {
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		if read := len(args) - fs.NArg(); fs.NArg() == 0 || read > 0 && args[read-1] == "--" {
			return append(rest, fs.Args()...), nil
		}
		rest, args = append(rest, fs.Arg(0)), fs.Args()[1:]
	}
}

func isSet(fs *flag.FlagSet, name string) (set bool) {
	fs.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

func showHelp(fs *flag.FlagSet, std stdio, operands, intro string) int {
	fmt.Fprintf(std.out, "%s\n\nUsage: %s\n\n", intro, strings.TrimSpace(fs.Name()+" [flags] "+operands))
	fs.SetOutput(std.out)
	fs.PrintDefaults()
	fmt.Fprint(std.out, "\n", statusTable())
	return exitOK
}

func misused(fs *flag.FlagSet, std stdio, err error) int {
	fmt.Fprintf(std.err, "%s: %s (%s -h lists the flags)\n", fs.Name(), plain.Error(err), fs.Name())
	return exitUsage
}
