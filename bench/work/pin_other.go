//go:build !linux

package work

import "errors"

func pin(int) (free func(), err error) {
	return nil, errors.New("a process cannot be held to one CPU here")
}
