package relock_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/relock-go/relock/internal/redistest"
)

// offline is for a module whose every requirement has been downloaded, and
// checked, for this one.
var offline = []string{"GOPROXY=off", "GOSUMDB=off"}

// command runs one command in dir, and returns what it printed.
func command(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	cmd.Env = append(cmd.Env, env...)
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, said)
	}
	return string(said)
}

// TestTheQuickStartRunsInAModuleOfItsOwn does what the README says, in an empty
// folder: its commands, its program, and no other text. Two things are not the
// reader's: the module is this one here, and so is the server.
func TestTheQuickStartRunsInAModuleOfItsOwn(t *testing.T) {
	server := redistest.StartT(t)
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	section := regexp.MustCompile(`(?s)\n## Quick start\n(.*?)\n## `).FindString(readFile(t, "README.md"))
	install := regexp.MustCompile("(?s)\n```sh\n(.*?)\n```\n").FindStringSubmatch(section)
	program := goBlock.FindStringSubmatch(section)
	const address = `"localhost:6379"`
	if install == nil || program == nil || strings.Count(program[1], address) != 1 {
		t.Fatalf("Quick start has no commands, or no program on %s:\n%s", address, section)
	}

	command(t, here, nil, "go", "mod", "download")
	dir := t.TempDir()
	for line := range strings.Lines(install[1]) {
		if words := strings.Fields(line); len(words) > 0 {
			command(t, dir, offline, words[0], words[1:]...)
		}
		if strings.HasPrefix(line, "go mod init ") {
			command(t, dir, offline, "go", "mod", "edit", "-replace=github.com/relock-go/relock="+here)
		}
	}
	source := strings.Replace(program[1], address, `"`+server.Addr()+`"`, 1)
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, want := command(t, dir, offline, "go", "run", "."), "only one process at a time is here"; !strings.Contains(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
