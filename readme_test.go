package relock_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/relock-go/relock"
)

func readFile(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pageNames are README.md and what stands in docs.
func pageNames(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(names, "README.md")
}

// pages is the text of all of them.
func pages(t testing.TB) (all string) {
	t.Helper()
	for _, name := range pageNames(t) {
		all += readFile(t, name) + "\n"
	}
	return all
}

// unindented is text without what stands before and after each line.
func unindented(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

func TestReadmeSnippetsAreOfExamples(t *testing.T) {
	files, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	others, err := filepath.Glob("*/example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	nested, err := filepath.Glob("fence/sqlfence/test/example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var examples strings.Builder
	for _, name := range slices.Concat(files, others, nested) {
		examples.WriteString("\n" + unindented(readFile(t, name)))
	}
	var snippets []snippet
	for _, page := range pageNames(t) {
		snippets = append(snippets, snippetsOf(t, page)...)
	}
	if len(snippets) < 10 {
		t.Fatalf("got %d snippets of Go", len(snippets))
	}
	for _, s := range snippets {
		if !s.isProgram() && !strings.Contains(examples.String(), "\n"+unindented(s.code)) {
			t.Errorf("in no example:\n%s", s.code)
		}
	}
}

// sourcesOf are the files of that pattern that are no tests.
func sourcesOf(t testing.TB, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

// exported are the names that package relock declares.
func exported(t testing.TB) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, name := range sourcesOf(t, "*.go") {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			for _, id := range declared(decl) {
				names[id.Name] = true
			}
		}
	}
	return names
}

func declared(decl ast.Decl) (names []*ast.Ident) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Recv == nil {
			names = append(names, d.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				names = append(names, s.Name)
			case *ast.ValueSpec:
				names = append(names, s.Names...)
			}
		}
	}
	return names
}

func TestReadmeNamesWhatExists(t *testing.T) {
	names := exported(t)
	for _, named := range regexp.MustCompile(`\brelock\.([A-Z]\w*)`).FindAllStringSubmatch(pages(t), -1) {
		if !names[named[1]] {
			t.Errorf("README.md or docs speak of %s", named[0])
		}
	}
}

// documents are all that a reader of the repository meets first.
func documents(t testing.TB) []string {
	t.Helper()
	names, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	return append(pageNames(t), slices.DeleteFunc(names, func(name string) bool { return name == "README.md" })...)
}

var (
	fenced  = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	spanned = regexp.MustCompile("`[^`\n]*`")
	notSlug = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors are the fragments that a page of that text has.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		found[strings.ReplaceAll(notSlug.ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-")] = true
	}
	return found
}

// brokenLinks are those of a document that lead nowhere within the repository.
func brokenLinks(t *testing.T, document string) (broken []string) {
	t.Helper()
	prose := spanned.ReplaceAllString(fenced.ReplaceAllString(readFile(t, document), ""), "")
	for _, link := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(prose, -1) {
		path, fragment, _ := strings.Cut(link[1], "#")
		if strings.Contains(path, "://") {
			continue
		}
		target := filepath.Join(filepath.Dir(document), path)
		if path == "" {
			target = document
		}
		_, err := os.Stat(target)
		if err != nil || fragment != "" && !anchors(readFile(t, target))[fragment] {
			broken = append(broken, link[1])
		}
	}
	return broken
}

func TestLinksOfDocumentsLeadSomewhere(t *testing.T) {
	for _, document := range documents(t) {
		for _, link := range brokenLinks(t, document) {
			t.Errorf("%s links to %s, which is not there", document, link)
		}
	}
}

// A line of prose fits on a screen; a table's, a picture's and what a program
// printed are as long as they are.
func TestLinesOfDocumentsAreShort(t *testing.T) {
	const most = 142
	for _, document := range append(pageNames(t), "CONTRIBUTING.md", "RELEASING.md", "RELIABILITY.md", "SECURITY.md") {
		prose := fenced.ReplaceAllString(readFile(t, document), "")
		for line := range strings.Lines(prose) {
			if n := utf8.RuneCountInString(line); n > most && line[0] != '|' && line[0] != '!' {
				t.Errorf("%s has a line of %d characters: %.60s...", document, n, line)
			}
		}
	}
	if n := strings.Count(readFile(t, "README.md"), "\n"); n > 230 {
		t.Errorf("README.md has %d lines: what is for some readers belongs into docs", n)
	}
}

func TestSettingsHasEveryOption(t *testing.T) {
	settings := readFile(t, "docs/settings.md")
	for prefix, pattern := range map[string]string{"": "*.go", "redlock.": "redlock/*.go"} {
		for _, name := range sourcesOf(t, pattern) {
			for _, option := range regexp.MustCompile(`(?m)^func (With\w+)\(`).FindAllStringSubmatch(readFile(t, name), -1) {
				if !strings.Contains(settings, "\n| `"+prefix+option[1]+"`") && option[1] != "WithOwner" {
					t.Errorf("docs/settings.md has no row for %s%s", prefix, option[1])
				}
			}
		}
	}
}

func TestSettingsTellsTheDefaults(t *testing.T) {
	settings := readFile(t, "docs/settings.md")
	for name, want := range map[string]any{
		"DefaultPrefix":         relock.DefaultPrefix,
		"DefaultTTL":            relock.DefaultTTL,
		"DefaultCheckInterval":  relock.DefaultCheckInterval,
		"DefaultCallTimeout":    relock.DefaultCallTimeout,
		"DefaultFenceRetention": relock.DefaultFenceRetention,
		"DefaultGuardRetention": relock.DefaultGuardRetention,
		"DefaultLeadPause":      relock.DefaultLeadPause,
		"MinTTL":                relock.MinTTL,
		"MaxTTL":                relock.MaxTTL,
		"MaxName":               fmt.Sprintf("%d bytes", relock.MaxName),
		"MaxOwner":              fmt.Sprintf("%d bytes", relock.MaxOwner),
	} {
		row := regexp.MustCompile(`\| ([^|]*) \| ` + "`" + name + "`").FindStringSubmatch(settings)
		if row == nil {
			t.Errorf("docs/settings.md has no row for %s", name)
			continue
		}
		var got any = row[1]
		if _, ok := want.(time.Duration); ok {
			d, err := time.ParseDuration(strings.ReplaceAll(row[1], " ", ""))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got = d
		}
		if got != want {
			t.Errorf("docs/settings.md says that %s is %v, and it is %v", name, got, want)
		}
	}
}

// The short names of imports in CONTRIBUTING.md's map.
var shortImports = strings.NewReplacer("github.com/relock-go/relock/", "", "github.com/relock-go/relock", ".",
	"github.com/redis/go-redis/v9", "go-redis", "github.com/alicebob/miniredis/v2", "miniredis",
	"go.opentelemetry.io/otel", "OpenTelemetry", "golang.org/x/", "x/", "$gostd", "", "$", "")

// mapOfPackages is what CONTRIBUTING.md says of each package that it may import.
func mapOfPackages(t *testing.T) map[string][]string {
	t.Helper()
	rows := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| [^|]+ \\| ([^|]+) \\|$").FindAllStringSubmatch(readFile(t, "CONTRIBUTING.md"), -1)
	imports := map[string][]string{}
	for _, row := range rows {
		text := strings.NewReplacer("`", "", "nothing", "", " and ", ", ", " alone", "", "; of the standard library ", ", ").Replace(row[2])
		imports[row[1]] = strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' })
	}
	return imports
}

// walls are the packages that the linter holds to a list of imports.
func walls(t *testing.T) map[string][]string {
	t.Helper()
	rule := regexp.MustCompile(`list-mode: strict\n +files:\n +- ([^\n]*)\n(?: +- "!.*\n)*(?: +- .*\n)*? +allow:\n((?: +- .*\n)+)`)
	item := regexp.MustCompile(`- (.*)`)
	imports := map[string][]string{}
	for _, found := range rule.FindAllStringSubmatch(readFile(t, ".golangci.yml"), -1) {
		name := strings.NewReplacer(`"`, "", "**/", "", "/**", "", "/*.go", "", "$all", ".").Replace(found[1])
		imports[name] = nil
		for _, allowed := range item.FindAllStringSubmatch(found[2], -1) {
			if short := shortImports.Replace(allowed[1]); short != "" {
				imports[name] = append(imports[name], short)
			}
		}
	}
	return imports
}

func TestTheMapIsWhatTheLinterEnforces(t *testing.T) {
	told, held := mapOfPackages(t), walls(t)
	if len(held) < 8 {
		t.Fatalf("got %d lists of imports from the linter's settings: %v", len(held), held)
	}
	for name, want := range held {
		got := told[name]
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("CONTRIBUTING.md says that %s may import %q, and the linter %q", name, got, want)
		}
	}
}

// packageDirs are the folders of the library's packages.
func packageDirs(t *testing.T) (dirs []string) {
	t.Helper()
	for _, pattern := range []string{"*.go", "*/*.go", "cmd/*/*.go", "internal/*/*.go", "internal/*/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if dir := filepath.ToSlash(filepath.Dir(file)); !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}

func TestTheMapHasEveryPackageAndItsImports(t *testing.T) {
	told := mapOfPackages(t)
	for _, dir := range packageDirs(t) {
		may, ok := told[dir]
		if !ok {
			t.Errorf("CONTRIBUTING.md has no row for %s", dir)
		}
		if slices.Contains(may, "anything") {
			continue
		}
		for _, path := range importsOf(t, dir) {
			short := shortImports.Replace(path)
			known := slices.ContainsFunc(may, func(m string) bool { return short == m || m != "." && strings.HasPrefix(short, m+"/") })
			if !known && strings.Contains(path, ".") {
				t.Errorf("%s imports %s, which CONTRIBUTING.md does not say", dir, path)
			}
		}
	}
}

// importsOf are the imports of the package in dir, its tests' left out.
func importsOf(t *testing.T, dir string) (paths []string) {
	t.Helper()
	for _, name := range sourcesOf(t, filepath.Join(dir, "*.go")) {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			paths = append(paths, strings.Trim(spec.Path.Value, `"`))
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}
