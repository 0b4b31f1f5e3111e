//go:build !unix

package demo

import (
	"errors"
	"os"
	"os/exec"
)

const canStop = false

func stopProcess(*os.Process) error     { return errors.ErrUnsupported }
func continueProcess(*os.Process) error { return errors.ErrUnsupported }
func detach(*exec.Cmd)                  {}
