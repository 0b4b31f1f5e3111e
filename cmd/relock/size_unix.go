//go:build unix

package main

import "golang.org/x/sys/unix"

// sizeOf is that of a terminal, or the usual one.
func sizeOf(w any) (width, height int) {
	if f, ok := fileOf(w); ok {
		if size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 1 && size.Row > 0 {
			return int(size.Col), int(size.Row)
		}
	}
	return 80, 24
}
