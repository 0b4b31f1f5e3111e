package work

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func cpus(t *testing.T, pid int) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(pid, &set); err != nil {
		t.Fatal(err)
	}
	return set.Count()
}

func TestClientAndServerShareOneCPUAndAreSetFree(t *testing.T) {
	rig := newRig(t)
	pid, err := rig.Main.PID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	client, server, procs := cpus(t, 0), cpus(t, pid), runtime.GOMAXPROCS(0)
	undo, err := oneCPU(t.Context(), rig)
	if err != nil {
		t.Fatal(err)
	}
	if a, b, n := cpus(t, 0), cpus(t, pid), runtime.GOMAXPROCS(0); a != 1 || b != 1 || n != 1 {
		t.Errorf("got %d CPUs for the client, %d for the server, GOMAXPROCS %d, want 1", a, b, n)
	}
	undo()
	if a, b, n := cpus(t, 0), cpus(t, pid), runtime.GOMAXPROCS(0); a != client || b != server || n != procs {
		t.Errorf("got %d, %d, %d afterwards, want %d, %d, %d", a, b, n, client, server, procs)
	}
}
