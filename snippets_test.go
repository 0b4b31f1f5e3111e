package relock_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/relock-go/relock/internal/redistest"
)

// A snippet is a block of Go in a document.
type snippet struct {
	file string
	line int // of its first line
	code string
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

func snippetsOf(t testing.TB, file string) (all []snippet) {
	t.Helper()
	text := readFile(t, file)
	for _, at := range goBlock.FindAllStringSubmatchIndex(text, -1) {
		all = append(all, snippet{file, 1 + strings.Count(text[:at[2]], "\n"), text[at[2]:at[3]]})
	}
	return all
}

// isProgram reports whether s is a whole file.
func (s snippet) isProgram() bool { return strings.HasPrefix(s.code, "package ") }

// declares matches a snippet that stands outside of functions.
var declares = regexp.MustCompile(`\A(//.*\n)*(func \w|type )`)

// The packages that snippets may use: whoever pastes one has them imported.
var snippetImports = []string{
	"context", "database/sql", "errors", "fmt", "io", "io/fs", "log", "math", "net/http", "net/http/httptest", "os", "path/filepath", "slices",
	"strconv", "strings", "sync", "testing", "testing/synctest", "time",
	"github.com/redis/go-redis/v9", "github.com/relock-go/relock", "github.com/relock-go/relock/fence",
	"github.com/relock-go/relock/redlock", "github.com/relock-go/relock/relocktest",
}

// ofOthers matches what belongs to another module: it is compiled there, in the
// example that it is a part of.
var ofOthers = regexp.MustCompile(`\b(sqlfence|sqlx|gorm|pgx)\.|\bfence\.(Claim|Do)\(`)

// source is s as a file of a package: declarations as they are, anything else as
// the body of a function, whose errors are told by the document's lines.
func (s snippet) source() string {
	var b strings.Builder
	b.WriteString("package snippets\n")
	for _, p := range snippetImports {
		name := path.Base(strings.TrimSuffix(strings.Replace(p, "go-redis", "redis", 1), "/v9"))
		if regexp.MustCompile(`\b` + name + `\.[A-Z]`).MatchString(s.code) {
			fmt.Fprintf(&b, "import %s %q\n", name, p)
		}
	}
	format := "func _() {\n//line %s:%d\n%s}\n"
	if declares.MatchString(s.code) {
		format = "//line %s:%d\n%s"
	}
	fmt.Fprintf(&b, format, s.file, s.line, s.code)
	return b.String()
}

// around is what the documents say is there where a snippet is pasted, and what
// the snippets name for the reader's own.
const around = `package snippets

import (
	"context"
	"errors"
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
)

// Shop is the reader's code under test.
type Shop struct{ Client *relock.Client }

func (s *Shop) Close(ctx context.Context, book func(context.Context) error) error { return nil }

var ErrBusy, errLater = errors.New(""), errors.New("")

// What a recipe is about.
type (
	record struct{ Key, Value []byte; Headers map[string]string }
	object struct{ body []byte; etag string; fence relock.Sequencer }
	item   struct {
		TableName, UpdateExpression, ConditionExpression string
		Key                                              map[string]string
		ExpressionAttributeValues                        map[string]any
	}
)

var errChanged, errCondition = errors.New(""), errors.New("")

func getObject(ctx context.Context, c *http.Client, url string) (o object, err error) { return o, err }
func putObject(ctx context.Context, c *http.Client, url string, o object) error       { return nil }

var (
	secret                 []byte
	ctx                    context.Context
	rdb                    *redis.Client
	client, other          *relock.Client
	clients                []*relock.Client
	mutex, from, to        *relock.Mutex
	lease                  *relock.Lease
	slow                   *relock.Lease
	guard                  *relock.Guard
	w                      http.ResponseWriter
	r                      *http.Request
	key, profile           string
	build, download, publish func(context.Context) error
	next                   func(context.Context) (int, error)
	shards                 []string
	rebuild                func(context.Context, string) error
)
`

// compile compiles the files of one package of this module that is nowhere but
// in the compiler's view, and returns what is wrong with them.
func compile(t *testing.T, sources []string) string {
	t.Helper()
	root, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	dir, replace := t.TempDir(), map[string]string{}
	for i, source := range sources {
		name := fmt.Sprintf("s%d.go", i)
		replace[filepath.Join(root, "snippets", name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	said, err := exec.Command("go", "build", "-gcflags=-e", "-overlay", name, "./snippets").CombinedOutput()
	if err != nil && len(said) == 0 {
		t.Fatal(err)
	}
	return string(said)
}

func TestSnippetsCompileWherePasted(t *testing.T) {
	sources := []string{around}
	for _, file := range append(pageNames(t), "RELIABILITY.md", "CONTRIBUTING.md") {
		for _, s := range snippetsOf(t, file) {
			if !s.isProgram() && !ofOthers.MatchString(s.code) {
				sources = append(sources, s.source())
			}
		}
	}
	if said := compile(t, sources); said != "" {
		t.Error(said)
	}
}

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

// A told is a command of a document, and the folder it is told to be given in.
type told struct{ dir, command string }

// commands are those of a document: the lines of its blocks of sh, and what
// stands between backquotes.
func commands(text string) (all []told) {
	var lines []string
	for _, block := range regexp.MustCompile("(?ms)^ *```sh\n(.*?)^ *```$").FindAllStringSubmatch(text, -1) {
		lines = append(lines, strings.Split(block[1], "\n")...)
	}
	for _, span := range spanned.FindAllString(fenced.ReplaceAllString(text, ""), -1) {
		lines = append(lines, strings.Trim(span, "`"))
	}
	for _, line := range lines {
		line, _, _ = strings.Cut(strings.Trim(line, " ()"), " #")
		dir := "."
		for part := range strings.SplitSeq(line, " && ") {
			if where, ok := strings.CutPrefix(strings.TrimLeft(part, " ("), "cd "); ok {
				dir = where
				continue
			}
			all = append(all, told{dir, strings.TrimSpace(strings.Replace(part, "RELOCK_FULL=1 ", "", 1))})
		}
	}
	return all
}

// wrong is what keeps a command from doing what it is told for; empty for what
// cannot be run here, or is no command.
func (c told) wrong(t *testing.T) string {
	t.Helper()
	words := regexp.MustCompile(`'[^']*'|\S+`).FindAllString(c.command, -1)
	switch {
	case len(words) < 2 && !strings.HasPrefix(c.command, ".ci/"):
		return ""
	case words[0] == "make":
		if !regexp.MustCompile(`(?m)^` + words[1] + `:`).MatchString(readFile(t, "Makefile")) {
			return "no such target"
		}
	case strings.HasPrefix(words[0], ".ci/"):
		if _, err := os.Stat(words[0]); err != nil {
			return err.Error()
		}
	case words[0] == "go" && words[1] == "test":
		return c.wrongTest(t, words[2:])
	case words[0] == "go" && words[1] == "run" && len(words) > 2 && (c.dir != "." || words[2] != "."):
		if sources := sourcesText(t, filepath.Join(c.dir, words[2], "*.go")); !strings.Contains(sources, "\nfunc main()") && !strings.Contains(words[2], "@") {
			return "no program"
		}
	}
	return ""
}

// wrongTest looks for the packages and the tests that a go test names.
func (c told) wrongTest(t *testing.T, words []string) string {
	t.Helper()
	var tests string
	for _, word := range words {
		if dir, every := strings.CutSuffix(word, "/..."); strings.HasPrefix(word, ".") {
			if _, err := os.Stat(filepath.Join(c.dir, dir)); err != nil {
				return err.Error()
			}
			if !every {
				tests += sourcesText(t, filepath.Join(c.dir, dir, "*_test.go"))
			}
		}
	}
	for i, word := range words[:max(0, len(words)-1)] {
		if word != "-run" && word != "-fuzz" && word != "-bench" || tests == "" {
			continue
		}
		for name := range strings.SplitSeq(strings.Trim(words[i+1], "'"), "|") {
			if name != "^$" && !regexp.MustCompile(`\nfunc (Test|Fuzz|Benchmark|Example)?\w*`+name).MatchString(tests) {
				return "no test is called " + name
			}
		}
	}
	return ""
}

func sourcesText(t *testing.T, pattern string) (all string) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		all += readFile(t, name)
	}
	return all
}

func TestCommandsOfDocumentsAreThere(t *testing.T) {
	run := 0
	for _, document := range documents(t) {
		for _, c := range commands(readFile(t, document)) {
			if strings.HasPrefix(c.command, "go test") {
				run++
			}
			if why := c.wrong(t); why != "" {
				t.Errorf("%s: in %s, %s: %s", document, c.dir, c.command, why)
			}
		}
	}
	if run < 10 {
		t.Errorf("found %d commands with go test, want more: are they read at all?", run)
	}
}
