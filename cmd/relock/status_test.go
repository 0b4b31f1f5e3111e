package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// page is the command's page in the documents.
func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExitStatusesAreTheSameOnThePageAndInHelp(t *testing.T) {
	text := strings.NewReplacer("`", "", "*", "").Replace(page(t))
	for _, m := range meanings {
		if row := fmt.Sprintf("| %s | %s |", m.status, m.means); !strings.Contains(text, row) {
			t.Errorf("docs/cli.md lacks %q", row)
		}
	}
	for _, c := range commands() {
		status, out, errs := run(t, "help", c.name)
		if status != exitOK || errs != "" || !strings.Contains(out, statusTable()) || !strings.Contains(out, "Usage: relock "+c.name) {
			t.Errorf("relock help %s: status %d, %q, %q", c.name, status, out, errs)
		}
	}
}

// given matches a command of the page as it is given.
var given = regexp.MustCompile(`(?m)^[>$ ]*relock ([a-z]+)(?: (.*))?$`)

func TestCommandsOfThePageAreThereWithTheirFlags(t *testing.T) {
	seen := map[string]bool{}
	for _, found := range given.FindAllStringSubmatch(page(t), -1) {
		verb := found[1]
		if !slices.ContainsFunc(commands(), func(c command) bool { return c.name == verb }) {
			t.Errorf("docs/cli.md shows relock %s, which is no command", verb)
			continue
		}
		seen[verb] = true
		_, help, _ := run(t, "help", verb)
		args, _, _ := strings.Cut(found[2], " -- ") // what is behind it is the other command's
		args, _, _ = strings.Cut(args, "#")
		for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(args, -1) {
			if !regexp.MustCompile(`(?m)^ +-` + flag[1] + `\b`).MatchString(help) {
				t.Errorf("docs/cli.md shows relock %s --%s, which is no flag of it", verb, flag[1])
			}
		}
	}
	if len(seen) < 6 {
		t.Errorf("got %v of the page, want most commands", seen)
	}
}
