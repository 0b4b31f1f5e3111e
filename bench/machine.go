package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/relock-go/relock/bench/result"
	"github.com/relock-go/relock/bench/server"
	"github.com/relock-go/relock/bench/work"
)

// described are the modules whose versions the report states.
var described = []string{
	"github.com/redis/go-redis/v9", "github.com/go-redsync/redsync/v4", "github.com/bsm/redislock", "github.com/redis/rueidis",
}

func describe(ctx context.Context, s *server.Server) (result.Machine, error) {
	version, err := s.Version(ctx)
	if err != nil {
		return result.Machine{}, err
	}
	m := result.Machine{
		CPU: find("/proc/cpuinfo", "model name"), Cores: runtime.NumCPU(), Memory: find("/proc/meminfo", "MemTotal"),
		System: strings.TrimSpace(find("/etc/os-release", "PRETTY_NAME") + ", " + command("uname", "-sr")),
		Go:     runtime.Version(), Redis: version, Commit: commit(), Modules: map[string]string{},
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if slices.Contains(described, dep.Path) {
				m.Modules[dep.Path] = dep.Version
			}
		}
	}
	return m, nil
}

// find returns the value of key in a file of lines "key: value" or key="value";
// nothing where there is no such file.
func find(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), key); ok {
			return strings.Trim(rest, " \t:=\"")
		}
	}
	return "unknown"
}

func command(name string, args ...string) string {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// commit is that of the working tree, with a mark if the tree differs from it.
func commit() string {
	c := command("git", "rev-parse", "--short=12", "HEAD")
	if status := command("git", "status", "--porcelain", "--untracked-files=no"); status != "" && status != "unknown" {
		c += " with local changes"
	}
	return c
}

// choose keeps the works that are named.
func choose(works []work.Work, only string) ([]work.Work, error) {
	if only == "" {
		return works, nil
	}
	var chosen []work.Work
	for key := range strings.SplitSeq(only, ",") {
		i := slices.IndexFunc(works, func(w work.Work) bool { return w.Key == key })
		if i < 0 {
			return nil, fmt.Errorf("no work has the key %q", key)
		}
		chosen = append(chosen, works[i])
	}
	return chosen, nil
}
