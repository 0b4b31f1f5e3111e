package child

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dieWithParent is the second line behind a guardian: where it is killed, too,
// the command itself dies with it.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// wakeWithParent has a guardian that is stopped go on when we die: it has work then.
func wakeWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGCONT }

// adopt makes us the parent of what our descendants leave behind, so that it
// stays below us, and is found.
func adopt() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// named has ps show a guardian as what it is, and not as "exe".
func named() { _ = os.WriteFile("/proc/self/comm", []byte("relock"), 0) }

// errNoProc is returned where nothing could be found, and so nothing be ended.
var errNoProc = errors.New("no /proc is mounted here, and without it what it starts cannot be found, nor be ended with the lock")

// ourselves is a path of this very executable, also after it was replaced.
func ourselves() (string, error) {
	const exe = "/proc/self/exe"
	if _, err := os.Lstat(exe); err != nil {
		return "", errNoProc
	}
	return exe, nil
}

// monotonic is a clock that all processes of the machine share, and nobody sets.
func monotonic() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return time.Duration(time.Now().UnixNano())
	}
	return time.Duration(now.Nano())
}

// A process is known by its pid and its start: a pid is used again.
type process struct {
	pid, parent, group int
	started            string // ticks since boot
	dead               bool   // and not yet reaped
	stopped            bool
}

// signal sends sig to p if it is still there, and to the group that it leads.
func (p process) signal(sig syscall.Signal) {
	now, ok := stat(p.pid)
	switch {
	case !ok || now.started != p.started:
	case now.group == p.pid:
		_ = syscall.Kill(-p.pid, sig)
	default:
		_ = syscall.Kill(p.pid, sig)
	}
}

// stat reads /proc/<pid>/stat: pid (command) state ppid pgrp ... threads
// itrealvalue starttime. The command may hold anything, so fields count from its
// last parenthesis. A process whose first thread alone has ended is not dead.
func stat(pid int) (process, bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return process{}, false
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return process{}, false
	}
	p := process{pid: pid, started: fields[19], stopped: fields[0] == "T"}
	p.dead = fields[0] == "X" || fields[0] == "Z" && fields[17] <= "1"
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

// descendants returns the processes below top that live, itself left out. Those
// whose parent has ended are below top too, if it adopts them.
func descendants(top int) []process {
	children := map[int][]process{}
	for _, p := range processes() {
		children[p.parent] = append(children[p.parent], p)
	}
	found := slices.Clone(children[top])
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].pid]...)
	}
	return slices.DeleteFunc(found, func(p process) bool { return p.dead })
}

// see returns the child of parent that has that pid, or none.
func see(pid, parent int) process {
	if p, ok := stat(pid); ok && p.parent == parent {
		return p
	}
	return process{}
}

// led tells whether the command is there, dead or alive: nobody has waited for it,
// and its number is its own.
func (t tree) led() bool {
	now, ok := stat(t.root)
	return ok && now.started == t.lead.started
}

// groupAmong tells whether one of them is in the group of t.
func (t tree) groupAmong(living []process) bool {
	return slices.ContainsFunc(living, func(p process) bool { return p.group == t.root })
}

// inGroup tells whether anybody lives in the group: all of it is below the
// guardian here, so it is not asked for.
func inGroup(int) bool { return false }
