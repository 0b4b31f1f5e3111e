//go:build unix && !linux

package child

import (
	"os"
	"syscall"
	"time"
)

// Without /proc, and without a way to adopt orphans, only the group is known.
func dieWithParent(*syscall.SysProcAttr) {}

func adopt() {}

func named() {}

func ourselves() (string, error) { return os.Executable() }

func monotonic() time.Duration { return time.Duration(time.Now().UnixNano()) }

type process struct{ pid, group int }

func (process) signal(syscall.Signal) {}

func descendants(int) []process { return nil }

// isStopped is not told here: a command that Ctrl-Z stopped waits for SIGCONT.
func isStopped(int) bool { return false }

func inGroup(group int) bool { return syscall.Kill(-group, 0) == nil }
