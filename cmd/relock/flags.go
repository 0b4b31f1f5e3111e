package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
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
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(std.out, "%s\n\nUsage: %s [flags]\n\n", intro, fs.Name())
		fs.SetOutput(std.out)
		fs.PrintDefaults()
		return exitOK, false
	case err != nil:
		return misused(fs, std, err), false
	case fs.NArg() > 0:
		return misused(fs, std, fmt.Errorf("unexpected argument %q", fs.Arg(0))), false
	}
	return exitOK, true
}

func misused(fs *flag.FlagSet, std stdio, err error) int {
	fmt.Fprintf(std.err, "%s: %v (%s -h lists the flags)\n", fs.Name(), err, fs.Name())
	return exitUsage
}
