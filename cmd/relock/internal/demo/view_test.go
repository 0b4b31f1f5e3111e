package demo

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/relock-go/relock"
)

func frameAt(at time.Duration, workers int) frame {
	return frame{
		elapsed: at, sections: make([]int, workers), worker: 1, goroutine: 2, stopped: 2, stoppedFor: time.Second,
		status: relock.Status{Held: true, Token: 42, Waiters: 3},
	}
}

func TestATerminalIsDrawnOver(t *testing.T) {
	for _, workers := range []int{3, 40} {
		var out bytes.Buffer
		v := NewView(&out, true)
		v.show(frameAt(time.Second, workers))
		first := out.String()
		out.Reset()
		v.show(frameAt(2*time.Second, workers))
		if want := fmt.Sprintf("\x1b[%dA\x1b[J", strings.Count(first, "\n")); !strings.HasPrefix(out.String(), want) {
			t.Errorf("%d workers: the second frame begins with %.20q, want %q", workers, out.String(), want)
		}
		for _, want := range []string{"held by worker 1, goroutine 2, token 42; 3 in the queue", "STOPPED inside its section for 1.0 s"} {
			if !strings.Contains(first, want) {
				t.Errorf("no %q in\n%s", want, first)
			}
		}
	}
}

func TestElsewhereALineASecond(t *testing.T) {
	var out bytes.Buffer
	v := NewView(&out, false)
	for at := time.Duration(0); at < 3*time.Second; at += frameEvery {
		v.show(frameAt(at, 3))
	}
	v.say(3*time.Second, "something happened")
	if got := strings.Count(out.String(), "\n"); got != 4 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("%d lines in 3 s and one event, want 4 without escapes:\n%s", got, out.String())
	}
}
