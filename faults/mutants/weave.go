package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Compiling relock and its tests once for each mutant takes most of an hour on a
// small machine. So the copy is compiled once, with all of them in it: beside
// each function that a mutant changes stands the changed one, under a name of its
// own, and the function begins by calling that where the mutant is at work.
//
//	func (o *hold) err() error {
//		if mutantAtWork == "Err does not read the clock" { return o.err__mutant32() }
//		...

// switchEnv names the environment variable that has the mutant's name.
const switchEnv = "RELOCK_MUTANT"

// weave puts every mutant of Go code into the copy.
func (l *lab) weave(chosen []mutant) error {
	files := map[string]*loom{}
	for i, m := range chosen {
		for _, file := range m.goFiles() {
			if files[file] == nil {
				f, err := newLoom(filepath.Join(l.dir, file))
				if err != nil {
					return err
				}
				files[file] = f
			}
			if err := files[file].add(m, file, fmt.Sprintf("__mutant%d", i)); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
		}
	}
	for file, f := range files {
		if err := f.write(); err != nil {
			return err
		}
		if err := l.addSwitch(filepath.Dir(file), f.pkg); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) addSwitch(dir, pkg string) error {
	text := fmt.Sprintf("package %s\n\nimport \"os\"\n\nvar mutantAtWork = os.Getenv(%q)\n", pkg, switchEnv)
	return os.WriteFile(filepath.Join(l.dir, dir, "mutant_at_work.go"), []byte(text), 0o644)
}

func (m mutant) goFiles() (files []string) {
	for _, e := range m.edits() {
		if e.isGo() && !slices.Contains(files, e.file) {
			files = append(files, e.file)
		}
	}
	return files
}

// A loom is one Go file of the copy, and what is to be woven into it.
type loom struct {
	path, pkg, text string
	funcs           []*ast.FuncDecl
	insertions      []insertion
	copies          strings.Builder
	named           map[*ast.FuncDecl]bool
}

// insertion puts text in the place of the bytes from at to until.
type insertion struct {
	at, until int
	text      string
}

func newLoom(path string) (*loom, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := &loom{path: path, text: string(text), named: map[*ast.FuncDecl]bool{}}
	f.pkg, f.funcs, err = functions(f.text)
	return f, err
}

// functions parses a file. Positions count from 1: of the first byte.
func functions(text string) (pkg string, funcs []*ast.FuncDecl, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, err
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
			funcs = append(funcs, f)
		}
	}
	return file.Name.Name, funcs, nil
}

// add weaves in what m changes of the file.
func (f *loom) add(m mutant, file, suffix string) error {
	broken, changed := f.text, []int(nil)
	for _, e := range m.edits() {
		if e.file != file {
			continue
		}
		if n := strings.Count(f.text, e.old); n != 1 {
			return fmt.Errorf("out of date: %s has %q %d times, not once", file, e.old, n)
		}
		at := strings.Index(f.text, e.old)
		i := slices.IndexFunc(f.funcs, func(d *ast.FuncDecl) bool {
			return int(d.Pos()) <= at+1 && at+len(e.old) < int(d.End())
		})
		if i < 0 {
			return fmt.Errorf("%q is not inside one function of %s", e.old, file)
		}
		if !slices.Contains(changed, i) {
			changed = append(changed, i)
		}
		broken = strings.Replace(broken, e.old, e.new, 1)
	}
	_, mutated, err := functions(broken)
	if err != nil || len(mutated) != len(f.funcs) {
		return fmt.Errorf("does not compile: %w", err)
	}
	for _, i := range changed {
		f.divert(f.funcs[i], m.name, suffix)
		d := mutated[i]
		fmt.Fprintf(&f.copies, "\n%s%s%s\n", broken[d.Pos()-1:d.Name.End()-1], suffix, broken[d.Name.End()-1:d.End()-1])
	}
	return nil
}

// divert has d call its mutant where that is at work.
func (f *loom) divert(d *ast.FuncDecl, mutant, suffix string) {
	call := d.Name.Name + suffix
	if d.Recv != nil {
		call = f.nameOf(d, d.Recv.List[0], 0, "self") + "." + call
	}
	var args []string
	for i, field := range d.Type.Params.List {
		for j := range max(1, len(field.Names)) {
			arg := f.nameOf(d, field, j, "arg"+strconv.Itoa(i))
			if _, variadic := field.Type.(*ast.Ellipsis); variadic {
				arg += "..."
			}
			args = append(args, arg)
		}
	}
	f.named[d] = true
	call += "(" + strings.Join(args, ", ") + ")"
	if d.Type.Results.NumFields() > 0 {
		call = "return " + call
	} else {
		call += "; return"
	}
	f.insert(int(d.Body.Lbrace), int(d.Body.Lbrace), fmt.Sprintf(" if mutantAtWork == %q { %s }\n", mutant, call))
}

// nameOf returns the name of a parameter, and gives it one if it has none.
func (f *loom) nameOf(d *ast.FuncDecl, field *ast.Field, j int, otherwise string) string {
	otherwise += "__"
	switch {
	case len(field.Names) == 0:
		if !f.named[d] {
			at := int(field.Type.Pos()) - 1
			f.insert(at, at, otherwise+" ")
		}
		return otherwise
	case field.Names[j].Name == "_":
		if !f.named[d] {
			at := int(field.Names[j].Pos()) - 1
			f.insert(at, at+1, otherwise)
		}
		return otherwise
	}
	return field.Names[j].Name
}

func (f *loom) insert(at, until int, text string) {
	f.insertions = append(f.insertions, insertion{at, until, text})
}

func (f *loom) write() error {
	slices.SortStableFunc(f.insertions, func(a, b insertion) int { return cmp.Compare(a.at, b.at) })
	var woven strings.Builder
	last := 0
	for _, in := range f.insertions {
		woven.WriteString(f.text[last:in.at] + in.text)
		last = in.until
	}
	woven.WriteString(f.text[last:] + f.copies.String())
	return os.WriteFile(f.path, []byte(woven.String()), 0o644)
}
