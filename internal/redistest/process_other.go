//go:build !linux

package redistest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

// isStopped takes the signal to have had its effect.
func isStopped(int) bool { return true }
