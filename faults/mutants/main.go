// Command mutants breaks relock on purpose, in one way after the other, and
// shows that a test notices each. A test that cannot fail proves nothing; this
// is the proof that ours can.
//
//	go run ./mutants                  all of them: a table, in Markdown
//	go run ./mutants -only tomb       those whose name or file matches
//	go run ./mutants -list            their names
//
// It works on a copy of the module, in a temporary folder. It ends with 1 if a
// mutant survives, if one does not compile (that is no kill), if its text is no
// longer in the code, or if a test fails on the code as it is.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	only := flag.String("only", "", "a regular `expression`: only mutants whose name or file matches")
	list := flag.Bool("list", false, "print the names and end")
	module := flag.String("module", "..", "the module to break: its `folder`")
	timeout := flag.Duration("timeout", 90*time.Second, "how long a mutant's test may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, *module, *only, *list, *timeout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, module, only string, list bool, timeout time.Duration) error {
	chosen, err := choose(only)
	if err != nil {
		return err
	}
	if list {
		for _, m := range chosen {
			fmt.Fprintln(out, m.name)
		}
		return nil
	}
	l, err := newLab(module, timeout, chosen)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.baseline(ctx, chosen); err != nil {
		return err
	}
	return l.kill(ctx, out, chosen)
}

func choose(only string) (chosen []mutant, err error) {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return nil, err
	}
	for _, m := range mutants() {
		if pattern.MatchString(m.name + " " + m.file) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no mutant matches %q", only)
	}
	return chosen, nil
}

// kill tries each mutant and prints what became of it, a row at a time.
func (l *lab) kill(ctx context.Context, out io.Writer, chosen []mutant) error {
	start, alive := time.Now(), 0
	fmt.Fprintf(out, "| mutant | in | killed by | s |\n|---|---|---|---:|\n")
	for _, m := range chosen {
		began := time.Now()
		by, err := l.try(ctx, m)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			by = "**" + err.Error() + "**"
			alive++
		}
		fmt.Fprintf(out, "| %s | %s | %s | %.1f |\n", m.name, m.file, by, time.Since(began).Seconds())
	}
	fmt.Fprintf(out, "\n%d mutants, %d killed, in %.0f s\n", len(chosen), len(chosen)-alive, time.Since(start).Seconds())
	if alive > 0 {
		return fmt.Errorf("%d of %d mutants were not killed", alive, len(chosen))
	}
	return nil
}
