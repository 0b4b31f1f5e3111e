// Package child runs a command so that it can be ended with all that it has
// started: in a process group of its own, which every signal is sent to, below
// a guardian that outlives us, and on Linux with what has left that group found
// by its parents.
//
// On a terminal the command's group is its foreground group, so that what is
// typed there (Ctrl-C, Ctrl-Z, input) reaches the command as if nothing stood in
// between, and reaches nobody twice.
package child

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// A Command is what is to be run.
type Command struct {
	Path  string
	Args  []string // the first is its name
	Env   []string
	Files [3]*os.File // standard input, output and error

	// Isolated has it run in a PID namespace that ends with its guardian: even if we
	// are killed together with that. Linux alone has them.
	Isolated bool
}

// errNoNamespace is returned where an Isolated command cannot be.
var errNoNamespace = errors.New("no PID namespace can be had here: it takes Linux, and root or a kernel that lets users have them")

// Ends tells whether sig asks a command to end.
func Ends(sig os.Signal) bool {
	return sig == os.Interrupt || sig == syscall.SIGTERM || sig == syscall.SIGHUP || sig == syscall.SIGQUIT
}

// Suspends tells whether sig asks a command to stop.
func Suspends(sig os.Signal) bool { return sig == suspend }

// Passed are the signals that a command gets when we do.
func Passed() []os.Signal {
	return append([]os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}, more...)
}

// Missing returns the exit status for a command that cannot be started, as
// shells have it: 127 if it is not there, else 126.
func Missing(err error) int {
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		return 127
	}
	return 126
}
