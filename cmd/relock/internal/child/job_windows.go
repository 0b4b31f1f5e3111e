package child

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// A job is a command with what it starts. The system ends it with us, however we
// die: it goes with the last handle, and that is ours.
type job struct{ handle windows.Handle }

// enclose puts a process that was just started into a job. What it has started
// by then is left out, and so is all if the system refuses.
func enclose(pid int) job {
	handle, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return job{}
	}
	j := job{handle}
	process, err := windows.OpenProcess(windows.PROCESS_SET_QUOTA|windows.PROCESS_TERMINATE, false, uint32(pid))
	if err != nil {
		return j
	}
	defer windows.CloseHandle(process) //nolint:errcheck // of a handle that is
	j.limit(windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE)
	_ = windows.AssignProcessToJobObject(handle, process)
	return j
}

func (j job) limit(flags uint32) {
	info := windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION{
		BasicLimitInformation: windows.JOBOBJECT_BASIC_LIMIT_INFORMATION{LimitFlags: flags},
	}
	_, _ = windows.SetInformationJobObject(j.handle, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&info)), uint32(unsafe.Sizeof(info)))
}

func (j job) end() {
	if j.handle != 0 {
		_ = windows.TerminateJobObject(j.handle, 1)
	}
}

// release has what is left of the job outlive us.
func (j job) release() {
	if j.handle != 0 {
		j.limit(0)
	}
}
