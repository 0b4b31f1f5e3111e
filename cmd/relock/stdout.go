package main

import (
	"fmt"
	"io"
	"os"
)

// checked remembers that something could not be written: a full disk, a
// terminal that is gone.
type checked struct {
	io.Writer
	err error
}

func (c *checked) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

// wary has a command say so, and fail, if its output could not be written.
func wary(name string, run func(std stdio) int, std stdio) int {
	out := &checked{Writer: std.out}
	std.out = out
	status := run(std)
	if out.err == nil {
		return status
	}
	fmt.Fprintf(std.err, "relock %s: cannot write its output: %v\n", name, out.err)
	return max(status, exitFailed)
}

// fileOf returns the file that is behind w.
func fileOf(w any) (*os.File, bool) {
	if c, ok := w.(*checked); ok {
		w = c.Writer
	}
	f, ok := w.(*os.File)
	return f, ok
}

// isTerminal tells whether w can be redrawn.
func isTerminal(w any) bool {
	f, ok := fileOf(w)
	if !ok || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
