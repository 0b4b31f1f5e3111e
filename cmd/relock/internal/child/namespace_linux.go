package child

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate has a guardian be PID 1 of a PID namespace of its own: when it ends,
// however that is, the kernel kills all that is in there. It has mounts of its own,
// for a /proc that shows this namespace. Who is not root becomes the owner of a user
// namespace for that, in which it is itself.
func isolate(attr *syscall.SysProcAttr) error {
	attr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWNS
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}}
		attr.AmbientCaps = []uintptr{unix.CAP_SYS_ADMIN} // for settle; the command has none of it
	}
	return nil
}

// settle makes a home of the namespace that this guardian is PID 1 of, if it is.
// Mounts of outside go on to be seen here, and ours not there. It is to be called by
// the thread that starts the command.
func settle() error {
	if os.Getpid() != 1 {
		return nil
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
}

// nobody is no process, and the number of no group.
const nobody = -1

// innermost is the pid of a process in its own namespace.
func innermost(pid int) int {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	for line := range strings.Lines(string(text)) {
		if pids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			all := strings.Fields(pids)
			inner, _ := strconv.Atoi(all[len(all)-1])
			return inner
		}
	}
	return nobody
}

// seenAs returns the pid that we know the command of an isolated guardian by, of
// which it has told the pid in there; or nobody, if that has ended and is gone.
func seenAs(pid, guardian int) int {
	for _, p := range processes() {
		if p.parent == guardian && innermost(p.pid) == pid {
			return p.pid
		}
	}
	return nobody
}
