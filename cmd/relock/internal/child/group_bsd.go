//go:build unix && !linux

package child

import (
	"os"
	"syscall"
	"time"
)

// Without /proc, and without a way to adopt orphans, only the group is known.
func dieWithParent(*syscall.SysProcAttr) {}

func wakeWithParent(*syscall.SysProcAttr) {}

func adopt() {}

func named() {}

func ourselves() (string, error) { return os.Executable() }

func monotonic() time.Duration { return time.Duration(time.Now().UnixNano()) }

func isolate(*syscall.SysProcAttr) error { return errNoNamespace }

func settle() error { return nil }

func seenAs(pid, _ int) int { return pid }

type process struct{ pid, group int }

func (process) signal(syscall.Signal) {}

func descendants(int) []process { return nil }

// isStopped is not told here: a command that Ctrl-Z stopped waits for SIGCONT.
func isStopped(int) bool { return false }

func see(int, int) process { return process{} }

// led is not told here either: a group whose last member was waited for fails to be
// signalled. Its number is not used again while it has members; between the end of
// its last one and our next look another's may have it.
func (tree) led() bool { return true }

func (tree) groupAmong([]process) bool { return false }

func inGroup(group int) bool { return syscall.Kill(-group, 0) == nil }
