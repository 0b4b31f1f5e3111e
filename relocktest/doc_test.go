package relocktest_test

import (
	"os"
	"strings"
	"testing"
)

// The test that the package comment shows is one that is compiled and run.
func TestThePackageCommentShowsARealTest(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_shop_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(doc), "//\ttype Shop")
	shown, _, _ = strings.Cut("//\ttype Shop"+shown, "// A lease in hand")
	var code strings.Builder
	for line := range strings.Lines(shown) {
		code.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "//"), "\t"))
	}
	if got := strings.TrimSpace(code.String()); got == "" || !strings.Contains(string(example), got) {
		t.Errorf("not in example_shop_test.go:\n%s", got)
	}
}
