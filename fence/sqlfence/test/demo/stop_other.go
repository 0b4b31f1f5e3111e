//go:build !unix

package main

import "os"

const canStop = false

func stopProcess(*os.Process) error     { return nil }
func continueProcess(*os.Process) error { return nil }
