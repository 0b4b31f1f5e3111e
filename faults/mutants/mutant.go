package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A mutant is one way to break relock.
type mutant struct {
	name string // what is wrong with it
	edit
	killer test
	also   []edit // where one line guards what another does too, both must go
}

// An edit puts new in the place of old, which the file has exactly once.
type edit struct{ file, old, new string }

// A test is what must notice: the name of a test or a subtest, with spaces where
// the test's own source has them.
type test struct{ pkg, name string }

func root(name string) test        { return test{".", name} }
func lifecycle(name string) test   { return test{"./internal/lifecycle", name} }
func redisengine(name string) test { return test{"./internal/redisengine", name} }
func command(name string) test     { return test{"./cmd/relock", name} }
func redlock(name string) test     { return test{"./redlock", name} }
func fence(name string) test       { return test{"./fence", name} }
func election(name string) test    { return test{"./internal/election", name} }

func mutants() []mutant {
	return slices.Concat(acquiring, queueing, tokens, releasing, keeping, renewing, guarding, living, ending, waiting, replicating, together, asking, quorum, attempting, commanding, inQueue, seam, straight, batching, fencing, electing, cachedHolds)
}

func (m mutant) edits() []edit { return append([]edit{m.edit}, m.also...) }

func (e edit) isGo() bool { return filepath.Ext(e.file) == ".go" }

// apply returns the text of the file with the edit made.
func (e edit) apply(module string) (string, error) {
	text, err := os.ReadFile(filepath.Join(module, e.file))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), e.old); n != 1 {
		return "", fmt.Errorf("out of date: %s has %q %d times, not once", e.file, e.old, n)
	}
	return strings.Replace(string(text), e.old, e.new, 1), nil
}

// path is the test's name as the testing package writes it.
func (t test) path() string { return strings.ReplaceAll(t.name, " ", "_") }

// pattern selects the test, and no other.
func (t test) pattern() string {
	var exact []string
	for _, part := range strings.Split(t.path(), "/") {
		exact = append(exact, "^"+regexp.QuoteMeta(part)+"$")
	}
	return strings.Join(exact, "/")
}
