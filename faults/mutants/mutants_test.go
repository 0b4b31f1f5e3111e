package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	luaparse "github.com/yuin/gopher-lua/parse"
)

const module = "../.."

func TestEveryMutantIsUpToDate(t *testing.T) {
	names := map[string]bool{}
	for _, m := range mutants() {
		if names[m.name] {
			t.Errorf("two mutants are named %q", m.name)
		}
		names[m.name] = true
		for _, e := range m.edits() {
			broken, err := e.apply(module)
			if err != nil {
				t.Errorf("%s: %v", m.name, err)
				continue
			}
			if e.old == e.new {
				t.Errorf("%s changes nothing", m.name)
			}
			if err := parses(e.file, broken); err != nil {
				t.Errorf("%s: %v", m.name, err)
			}
		}
	}
	if len(names) < 25 {
		t.Errorf("%d mutants", len(names))
	}
}

// parses tells whether a broken file is still a program: one that is none is
// killed by anything.
func parses(file, text string) (err error) {
	switch filepath.Ext(file) {
	case ".go":
		_, err = parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution)
	case ".lua":
		_, err = luaparse.Parse(strings.NewReader(text), file)
	default:
		err = errors.New("neither Go nor Lua: " + file)
	}
	return err
}

func TestEveryKillerExists(t *testing.T) {
	tests := map[string]map[string]bool{}
	for _, m := range mutants() {
		k := m.killer
		if tests[k.pkg] == nil {
			tests[k.pkg] = testsOf(t, filepath.Join(module, k.pkg))
		}
		name, _, _ := strings.Cut(k.name, "/")
		if !tests[k.pkg][name] {
			t.Errorf("%s: there is no %s in %s", m.name, name, k.pkg)
		}
	}
}

// testsOf returns the names of the tests in a folder.
func testsOf(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Test") {
				names[f.Name.Name] = true
			}
		}
	}
	return names
}

// What the document says was killed is what there is to kill.
func TestTheTableIsOfEveryMutant(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{"mutant": true, "---": true}
	for _, m := range mutants() {
		names[m.name] = true
		if !strings.Contains(string(text), "\n| "+m.name+" |") {
			t.Errorf("README.md has no row for %q: go run ./mutants", m.name)
		}
	}
	for line := range strings.Lines(string(text)) {
		row, ok := strings.CutPrefix(line, "|")
		if name, _, _ := strings.Cut(row, "|"); ok && !names[strings.TrimSpace(name)] {
			t.Errorf("README.md has a row that is of no mutant: %s", line)
		}
		if strings.HasPrefix(line, "| ") && strings.Contains(line, "**") {
			t.Errorf("README.md shows a mutant that was not killed: %s", line)
		}
	}
}

func TestAnOldTextThatIsNotThereOnceIsRefused(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f.go"), []byte("a b b"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{"b", "c"} {
		if got, err := (edit{"f.go", old, "x"}).apply(dir); err == nil {
			t.Errorf("%q was replaced: %q", old, got)
		}
	}
	if got, err := (edit{"f.go", "a b", "x"}).apply(dir); got != "x b" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestAPatternSelectsOneTest(t *testing.T) {
	got := root("TestX/embedded/a (b) c").pattern()
	if want := `^TestX$/^embedded$/^a_\(b\)_c$`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
