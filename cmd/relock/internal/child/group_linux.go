package child

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// A process is known by its pid and its start: a pid is used again.
type process struct {
	pid, parent, group int
	started            string // ticks since boot
	dead               bool   // and not yet reaped
	stopped            bool
}

// signal sends sig to p if it is still there.
func (p process) signal(sig syscall.Signal) {
	if now, ok := stat(p.pid); ok && now.started == p.started {
		_ = syscall.Kill(p.pid, sig)
	}
}

// stat reads /proc/<pid>/stat: pid (command) state ppid pgrp ... starttime. The
// command may hold anything, so fields count from its last parenthesis.
func stat(pid int) (process, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return process{}, false
	}
	p := process{pid: pid, started: fields[19], dead: fields[0] == "Z", stopped: fields[0] == "T"}
	p.parent, _ = strconv.Atoi(fields[1])
	p.group, _ = strconv.Atoi(fields[2])
	return p, true
}

// isStopped tells whether a signal has stopped the process.
func isStopped(pid int) bool {
	p, ok := stat(pid)
	return ok && p.stopped
}

// processes returns all of them.
func processes() (all []process) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			if p, ok := stat(pid); ok {
				all = append(all, p)
			}
		}
	}
	return all
}

// descendants returns the processes below root, itself left out. Those whose
// parent has ended are not found.
func descendants(root int) []process {
	children := map[int][]process{}
	for _, p := range processes() {
		children[p.parent] = append(children[p.parent], p)
	}
	found := slices.Clone(children[root])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return found
}

// inGroup tells whether anybody lives in the group. One that is dead and waits
// for init to take note is there for kill(2), but does nothing any more.
func inGroup(group int) bool {
	return slices.ContainsFunc(processes(), func(p process) bool { return p.group == group && !p.dead })
}
