//go:build !linux

package servers

import (
	"errors"
	"os/exec"
)

type account struct{}

func unprivileged(string) (*account, error) {
	return nil, errors.New("servers are started on Linux only")
}

func (*account) own(string) error                   { return nil }
func (*account) command(string, []string) *exec.Cmd { return nil }
func launch(*exec.Cmd) (*process, error)            { return nil, errNotHere }

type process struct{ gone chan struct{} }

func (*process) end() {}
