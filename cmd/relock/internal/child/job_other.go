//go:build !unix && !windows

package child

type job struct{}

func enclose(int) job { return job{} }

func (job) end()     {}
func (job) release() {}
