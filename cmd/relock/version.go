package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

var versionCommand = command{name: "version", help: "which relock this is", run: interruptible(runVersion)}

// build is what --json tells.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Redis    string `json:"go_redis,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func runVersion(_ context.Context, args []string, std stdio) int {
	fs := newFlags("version")
	asJSON := fs.Bool("json", false, "print JSON")
	if status, ok := parse(fs, args, std, "Prints the version of this command.\n\nExamples:\n  relock version\n  relock version --json"); !ok {
		return status
	}
	b := thisBuild()
	if *asJSON {
		_ = printJSON(std.out, b)
		return exitOK
	}
	fmt.Fprintf(std.out, "relock %s (%s, %s, go-redis %s)\n", b.Version, b.Go, b.Platform, b.Redis)
	return exitOK
}

func thisBuild() build {
	b := build{Version: "(unknown)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version = info.Main.Version
	for _, dep := range info.Deps {
		if dep.Path == "github.com/redis/go-redis/v9" {
			b.Redis = dep.Version
		}
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}
