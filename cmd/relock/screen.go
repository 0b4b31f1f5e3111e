package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

// tableScreen is a table that is drawn over, with the last events below.
type tableScreen struct {
	out   io.Writer
	where string
	last  []watchEvent
	lines int // of the last frame
}

func (s *tableScreen) draw(locks []shownLock, events []watchEvent, trouble error) error {
	s.last = append(s.last, events...)
	s.last = s.last[max(0, len(s.last)-shownEvents):]
	width, height := sizeOf(s.out)
	frame := s.frame(locks, trouble, max(height-shownEvents-6, 3))
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", s.lines)
	}
	for _, line := range frame {
		b.WriteString(cut(plain.Text(line), width))
		b.WriteByte('\n')
	}
	s.lines = len(frame)
	_, err := io.WriteString(s.out, b.String())
	return err
}

// frame is what is to be seen, line by line. Locks beyond most are only counted:
// what is higher than the terminal cannot be drawn over.
func (s *tableScreen) frame(locks []shownLock, trouble error, most int) []string {
	var rows [][]string
	held, waiting := 0, 0
	for _, l := range locks {
		if l.Held {
			held++
		}
		waiting += l.Waiters
		if len(rows) < most {
			rows = append(rows, l.columns())
		}
	}
	lines := []string{fmt.Sprintf("relock watch  %s  %s  %d held, %d waiting  (Ctrl-C ends)",
		s.where, time.Now().Format(time.TimeOnly), held, waiting), ""}
	if trouble != nil {
		lines = append(lines, explain(trouble))
	} else {
		lines = append(lines, strings.Split(strings.TrimRight(table(lockTitles, rows), "\n"), "\n")...)
	}
	if more := len(locks) - len(rows); more > 0 && trouble == nil {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	lines = append(lines, "")
	for _, e := range s.last {
		lines = append(lines, e.String())
	}
	return lines
}

// cut keeps a line from wrapping.
func cut(line string, width int) string {
	if r := []rune(line); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return line
}
