package main

import (
	"fmt"
	"io"
	"os"

	"github.com/relock-go/relock/cmd/relock/internal/plain"
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

// wary has a command say so, and fail, if its output could not be written. What
// it writes is made plain.
func wary(name string, run func(std stdio) int, std stdio) int {
	out := &checked{Writer: std.out}
	std.out, std.err = plain.Writer{W: out}, plain.Writer{W: std.err}
	status := run(std)
	if out.err == nil {
		return status
	}
	fmt.Fprintf(std.err, "relock %s: cannot write its output: %v\n", name, out.err)
	return max(status, exitFailed)
}

// steering returns what may steer the terminal that is behind w. Whoever writes
// there has made what others have written plain.
func steering(w io.Writer) io.Writer {
	if p, ok := w.(plain.Writer); ok {
		return p.W
	}
	return w
}

// fileOf returns the file that is behind w.
func fileOf(w any) (*os.File, bool) {
	if p, ok := w.(plain.Writer); ok {
		w = p.W
	}
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
