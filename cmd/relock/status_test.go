package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestExitStatusesAreTheSameInTheReadmeAndInHelp(t *testing.T) {
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	readme := strings.NewReplacer("`", "", "*", "").Replace(string(text))
	for _, m := range meanings {
		if row := fmt.Sprintf("| %s | %s |", m.status, m.means); !strings.Contains(readme, row) {
			t.Errorf("the README lacks %q", row)
		}
	}
	for _, c := range commands() {
		status, out, errs := run(t, "help", c.name)
		if status != exitOK || errs != "" || !strings.Contains(out, statusTable()) || !strings.Contains(out, "Usage: relock "+c.name) {
			t.Errorf("relock help %s: status %d, %q, %q", c.name, status, out, errs)
		}
	}
}
