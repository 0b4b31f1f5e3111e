package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A lab is a copy of the module, to be broken and mended. It is compiled once,
// with every mutant in it, of which none or one is at work: see weave.
type lab struct {
	dir     string
	timeout time.Duration
}

func newLab(module string, timeout time.Duration, chosen []mutant) (*lab, error) {
	dir, err := os.MkdirTemp("", "relock-mutants-")
	if err != nil {
		return nil, err
	}
	l := &lab{dir, timeout}
	for _, step := range []func() error{
		func() error { return copyTree(dir, module) },
		l.loosen,
		func() error { return l.weave(chosen) },
	} {
		if err := step(); err != nil {
			l.close()
			return nil, err
		}
	}
	return l, nil
}

// loosen has the copy read its scripts when it runs, not when it is built: a
// mutant of a script then costs no compilation.
func (l *lab) loosen() error {
	for _, e := range []edit{
		{"scripts/embed.go", "	\"embed\"\n", "	\"os\"\n"},
		{"scripts/embed.go", "//go:embed *.lua\nvar files embed.FS\n", "type folder string\n\n" +
			"func (f folder) ReadFile(name string) ([]byte, error) { return os.ReadFile(string(f) + name) }\n\n" +
			fmt.Sprintf("var files = folder(%q)\n", filepath.Join(l.dir, "scripts")+string(filepath.Separator))},
	} {
		if _, err := l.apply(e); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) close() { _ = os.RemoveAll(l.dir) }

// copyTree copies the module, without the modules nested in it.
func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil || rel == "." {
			return err
		}
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if nested == nil || d.Name() == ".git" {
				return fs.SkipDir
			}
			return os.Mkdir(filepath.Join(to, rel), 0o755)
		}
		if !d.Type().IsRegular() || d.Name() == ".git" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o644)
	})
}

// baseline builds the tests, and checks that every killer passes while no mutant
// is at work: else its failure says nothing. It says of all at once what is wrong.
func (l *lab) baseline(ctx context.Context, chosen []mutant) error {
	var wrong []error
	asked, built := map[test]bool{}, map[string]bool{}
	for _, m := range chosen {
		k := m.killer
		if asked[k] {
			continue
		}
		asked[k] = true
		if !built[k.pkg] {
			if err := l.build(ctx, k.pkg); err != nil {
				return err
			}
			built[k.pkg] = true
		}
		got, err := l.run(ctx, k, "")
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			wrong = append(wrong, fmt.Errorf("%s on the code as it is: %w", k.path(), err))
		case got.failed != "":
			wrong = append(wrong, fmt.Errorf("%s fails on the code as it is:\n%s", got.failed, got.output))
		case !got.passed[k.path()]:
			wrong = append(wrong, fmt.Errorf("there is no test %s in %s, or it was skipped", k.path(), k.pkg))
		}
	}
	return errors.Join(wrong...)
}

// try sets a mutant to work and returns the test that noticed.
func (l *lab) try(ctx context.Context, m mutant) (killedBy string, err error) {
	for _, e := range m.edits() {
		if !e.isGo() {
			mend, err := l.apply(e)
			if err != nil {
				return "", err
			}
			defer mend()
		}
	}
	got, err := l.run(ctx, m.killer, m.name)
	switch {
	case err != nil:
		return "", err
	case got.failed == "":
		return "", errors.New("survived " + m.killer.path())
	}
	return got.failed, nil
}

// apply makes an edit in the copy, and returns what unmakes it.
func (l *lab) apply(e edit) (mend func(), err error) {
	path := filepath.Join(l.dir, e.file)
	before, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	broken, err := e.apply(l.dir)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, []byte(broken), 0o644); err != nil {
		return nil, err
	}
	return func() { _ = os.WriteFile(path, before, 0o644) }, nil
}

// binary is where the tests of a package are built.
func (l *lab) binary(pkg string) string {
	return filepath.Join(l.dir, pkg, "mutants.test")
}

// build compiles the tests of a package. What does not compile is no mutant; the
// message names its function.
func (l *lab) build(ctx context.Context, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-trimpath", "-o", l.binary(pkg), pkg)
	cmd.Dir = l.dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("does not compile: %s", bytes.TrimSpace(said))
	}
	return nil
}

// run runs one test, with real servers, while the mutant of that name is at work.
func (l *lab) run(ctx context.Context, t test, mutant string) (outcome, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json", l.binary(t.pkg),
		"-test.v=test2json", "-test.timeout", l.timeout.String(), "-test.run", t.pattern())
	cmd.Dir = filepath.Join(l.dir, t.pkg)
	cmd.Env = append(os.Environ(), "RELOCK_REQUIRE_REDIS=1", switchEnv+"="+mutant)
	var events, trouble bytes.Buffer
	cmd.Stdout, cmd.Stderr = &events, &trouble
	ran := cmd.Run()
	o, err := read(&events)
	if err == nil && ran != nil && o.failed == "" {
		err = ran
	}
	if err != nil {
		return o, fmt.Errorf("%w\n%s%s", err, o.output, trouble.String())
	}
	return o, nil
}

// outcome is what one run of a test came to.
type outcome struct {
	passed map[string]bool
	failed string // the innermost test that failed first; "" where all passed
	output string
}

// event is a line of test2json.
type event struct{ Action, Test, Output string }

func read(events *bytes.Buffer) (outcome, error) {
	o := outcome{passed: map[string]bool{}}
	var output strings.Builder
	for dec := json.NewDecoder(events); dec.More(); {
		var e event
		if err := dec.Decode(&e); err != nil {
			return o, err
		}
		output.WriteString(e.Output)
		switch {
		case e.Action == "pass":
			o.passed[e.Test] = true
		case e.Action == "fail" && o.failed == "":
			o.failed = e.Test
			if e.Test == "" { // of all together: what they leave behind
				o.failed = "TestMain"
			}
		}
	}
	o.output = output.String()
	if strings.Contains(o.output, "panic: test timed out") {
		o.failed += " (out of time)"
	}
	return o, nil
}
