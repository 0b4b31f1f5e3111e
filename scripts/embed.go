// Package scripts is the Lua that runs on the servers. It is exported since its
// place is fixed, and for this module alone: it is no part of what stays
// compatible.
package scripts

import (
	"embed"
	"maps"
	"strings"
)

//go:embed *.lua
var files embed.FS

// Source returns a file with what it includes in place, each once.
func Source(name string) string { return expand(name, map[string]bool{}) }

func expand(name string, before map[string]bool) string {
	seen := maps.Clone(before) // what a function includes is not seen outside of it
	seen[name] = true
	text, err := files.ReadFile(name)
	if err != nil {
		panic(err) // the file is part of the binary
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if included, ok := strings.CutPrefix(line, "-- include: "); ok {
			included = strings.TrimSpace(included)
			if seen[included] {
				continue
			}
			line = expand(included, seen)
			seen[included] = true
		}
		b.WriteString(line)
	}
	return b.String()
}
