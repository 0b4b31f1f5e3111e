package test

import (
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The demo on each database: a holder that is stopped past its lease is refused,
// and nothing is lost.
func TestTheDemoLosesNothing(t *testing.T) {
	demo := filepath.Join(t.TempDir(), "demo")
	if said, err := exec.Command("go", "build", "-o", demo, "./demo").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	onEach(t, func(t *testing.T, b *base) {
		args := []string{"-duration", "1500ms", "-ttl", "500ms"}
		switch b.name {
		case "postgresql":
			words := strings.Fields(strings.NewReplacer("host=", "", "dbname=", "", "user=", "").Replace(b.dsn))
			args = append(args, "-db", "postgres:///"+words[2]+"?user="+words[1]+"&host="+url.QueryEscape(words[0]))
		case "mariadb":
			at, database, _ := strings.Cut(strings.TrimPrefix(b.dsn, "root@unix("), ")/")
			args = append(args, "-db", "mysql://root@localhost/"+database+"?socket="+url.QueryEscape(at))
		}
		said, err := exec.CommandContext(within(t), demo, args...).CombinedOutput()
		for _, want := range []string{"is refused: a later holder has been there", "updates lost               0", "OK: nothing was lost."} {
			if err != nil || !strings.Contains(string(said), want) {
				t.Fatalf("%v, and no %q:\n%s", err, want, said)
			}
		}
	})
}
