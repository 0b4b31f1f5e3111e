package work

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// pin holds the threads of a process (0: this one), and those that they will
// start, to the first CPU that it may use. free undoes it.
func pin(pid int) (free func(), err error) {
	var all, one unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &all); err != nil {
		return nil, err
	}
	cpu := 0
	for !all.IsSet(cpu) {
		cpu++
	}
	one.Set(cpu)
	if err := hold(pid, &one); err != nil {
		return nil, err
	}
	return func() { _ = hold(pid, &all) }, nil
}

// hold is for threads that are there. One that is started meanwhile has what its
// starter had: a second look finds it.
func hold(pid int, set *unix.CPUSet) error {
	dir := "/proc/self/task"
	if pid != 0 {
		dir = fmt.Sprintf("/proc/%d/task", pid)
	}
	for range 2 {
		tasks, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			if err := unix.SchedSetaffinity(id, set); err != nil && err != unix.ESRCH {
				return err
			}
		}
	}
	return nil
}
