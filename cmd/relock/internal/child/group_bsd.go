//go:build unix && !linux

package child

import "syscall"

// Without /proc only the group is known, and only the death of the command's
// own parent that can be handled ends it.
func dieWithParent(*syscall.SysProcAttr) {}

type process struct {
	pid, group int
	started    string
}

func (process) signal(syscall.Signal) {}

func descendants(int) []process { return nil }

// isStopped is not told here: a command that Ctrl-Z stopped waits for SIGCONT.
func isStopped(int) bool { return false }

func inGroup(group int) bool { return syscall.Kill(-group, 0) == nil }
