package matrix

import (
	"cmp"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// A fault is one line of the matrix.
type fault struct {
	number    int    // in the list
	name      string // a sentence, and the name of its tests
	injection string
	asserted  string // what relock does about it, as it is checked here
	remark    string // where another answer is often asked for: why not
	see       string // tests that go into the details
	checks    []check
}

// A check is one injection into each of some kinds of lock.
type check struct {
	of    string // which case of the fault it is, where there are several
	on    string // the topology: "" for servers of their own
	kinds []kind
	args  []string // of the servers
	run   func(w *world)
	// world makes a world on a topology; nil for servers of their own.
	world func(t *testing.T, k kind) *world
}

// matrix is every fault, by family; the list is in the order of their numbers.
var matrix = slices.Concat(
	serverDeath, network, failovers, shards, pubsub, refusals, clients, keysAndCounters, clocks, quorums,
)

// injections counts them, for the figure at the end of a run.
var injections atomic.Int64

func TestEveryFault(t *testing.T) {
	for _, f := range matrix {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			for _, c := range f.checks {
				for _, k := range c.kinds {
					t.Run(c.name(k), func(t *testing.T) {
						t.Parallel()
						for range rounds() {
							injections.Add(1)
							c.run(c.newWorld(t, k))
						}
					})
				}
			}
		})
	}
}

func (c *check) newWorld(t *testing.T, k kind) *world {
	if c.world != nil {
		return c.world(t, k)
	}
	return newWorld(t, k, c.args...)
}

// name is that of one cell of the matrix.
func (c *check) name(k kind) string {
	name := k.name
	if c.on != "" {
		name += " on " + c.on
	}
	if c.of != "" {
		name += ": " + c.of
	}
	return name
}

// faults is how many the list has.
const faults = 37

func TestTheTableHasEveryFaultTwice(t *testing.T) {
	cells := map[int]int{}
	for _, f := range matrix {
		for _, c := range f.checks {
			cells[f.number] += len(c.kinds)
		}
		if f.name == "" || f.injection == "" || f.asserted == "" {
			t.Errorf("fault %d: its line is not whole", f.number)
		}
	}
	for n := 1; n <= faults; n++ {
		if cells[n] < 2 {
			t.Errorf("fault %d is injected %d times, want twice at least", n, cells[n])
		}
		delete(cells, n)
	}
	if len(cells) > 0 {
		t.Errorf("no faults of the list: %v", cells)
	}
}

// document is where the table stands for people.
const document = "FAULTS.md"

var update = flag.Bool("update", false, "write "+document+" anew from the table")

func TestTheDocumentIsTheTable(t *testing.T) {
	want := describe()
	if *update {
		if err := os.WriteFile(document, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not the table: go test -run %s -update", document, t.Name())
	}
}

func TestTheTestsThatTheTableNamesExist(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{"../..", "../../redlock", "../../internal/lifecycle", "../../internal/redisengine"} {
		files, err := fs.Glob(os.DirFS(dir), "*_test.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			text, err := fs.ReadFile(os.DirFS(dir), name)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(text)
		}
	}
	for _, f := range matrix {
		for name := range strings.SplitSeq(f.see, ", ") {
			if name != "" && !strings.Contains(source.String(), "func "+name+"(") {
				t.Errorf("fault %d: there is no %s", f.number, name)
			}
		}
	}
}

const preface = `# The faults that relock is tested under

Made from the table of the tests in this folder, and compared with it by one of them. T is the TTL of a lease, P the check
interval; a lease is renewed every T/3. Times hold with the slack of a busy machine; what is said of safety holds without.
Each is injected on real servers into each kind that is named.

`

// describe is the table as a document.
func describe() string {
	var b strings.Builder
	b.WriteString(preface)
	sorted := slices.SortedFunc(slices.Values(matrix), func(f, g fault) int { return cmp.Compare(f.number, g.number) })
	for _, f := range sorted {
		fmt.Fprintf(&b, "## %d. %s%s\n\n", f.number, strings.ToUpper(f.name[:1]), f.name[1:])
		fmt.Fprintf(&b, "Injection: %s.\n\nAsserted: %s.\n\n", f.injection, f.asserted)
		if f.remark != "" {
			fmt.Fprintf(&b, "Remark: %s.\n\n", f.remark)
		}
		for _, c := range f.checks {
			b.WriteString(c.line())
		}
		if f.see != "" {
			fmt.Fprintf(&b, "\nDetails: %s.\n", f.see)
		}
		b.WriteString("\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// line is one check of the document.
func (c *check) line() string {
	var kinds []string
	for _, k := range c.kinds {
		kinds = append(kinds, k.name)
	}
	line := "- " + strings.Join(kinds, "; ")
	if c.on != "" {
		line += ", on " + c.on
	}
	if c.of != "" {
		line += ": " + c.of
	}
	return line + "\n"
}
