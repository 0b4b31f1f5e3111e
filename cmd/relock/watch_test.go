package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTracker(t *testing.T) {
	held := func(owner string, token, ttl int64, waiters int) shownLock {
		return shownLock{Name: "job", Held: true, Owner: owner, Token: token, TTLMS: ttl, Waiters: waiters}
	}
	free := shownLock{Name: "job"}
	for name, tt := range map[string]struct {
		looks [][]shownLock // 250 ms apart
		want  []string
	}{
		"what is there at first is granted":     {[][]shownLock{{held("a", 1, 900, 0)}}, []string{"granted a"}},
		"nothing happens":                       {[][]shownLock{{held("a", 1, 900, 0)}, {held("a", 1, 650, 0)}}, []string{"granted a"}},
		"given back":                            {[][]shownLock{{held("a", 1, 900, 0)}, {free}}, []string{"granted a", "freed a"}},
		"given back, and its keys are gone":     {[][]shownLock{{held("a", 1, 900, 0)}, {}}, []string{"granted a", "freed a"}},
		"run out":                               {[][]shownLock{{held("a", 1, 200, 0)}, {free}}, []string{"granted a", "expired a"}},
		"handed on":                             {[][]shownLock{{held("a", 1, 900, 1)}, {held("b", 2, 900, 0)}}, []string{"granted a", "freed a", "granted b"}},
		"taken again by the same owner":         {[][]shownLock{{held("a", 1, 900, 0)}, {held("a", 2, 900, 0)}}, []string{"granted a", "freed a", "granted a"}},
		"a queue grows and shrinks by itself":   {[][]shownLock{{held("a", 1, 900, 0)}, {held("a", 1, 900, 3)}, {held("a", 1, 900, 2)}}, []string{"granted a", "queue 3", "queue 2"}},
		"one that never was there is no change": {[][]shownLock{{free}, {free}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var tr tracker
			var got []string
			now := time.Now()
			for i, look := range tt.looks {
				for _, e := range tr.see(now.Add(time.Duration(i)*250*time.Millisecond), look) {
					text := e.Event + " " + e.Owner
					if e.Event == "queue" {
						text = fmt.Sprint("queue ", e.Waiters)
					}
					got = append(got, text)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestTableScreenDrawsOverItself(t *testing.T) {
	var out strings.Builder
	s := &tableScreen{out: &out, where: "here"}
	locks := []shownLock{{Name: "job", Held: true, Owner: strings.Repeat("o", 200), Token: 7, Waiters: 2}, {Name: "esc\x1b[2J"}}
	var tr tracker
	if err := s.draw(locks, tr.see(time.Now(), locks), nil); err != nil {
		t.Fatal(err)
	}
	first := out.String()
	for line := range strings.Lines(first) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 80 {
			t.Errorf("a line of %d runes wraps: %q", n, line)
		}
	}
	if strings.Contains(first, "\x1b[2J") || !strings.Contains(first, `"esc\x1b[2J"`) {
		t.Errorf("a name steers the terminal: %q", first)
	}
	if !strings.Contains(first, "1 held, 2 waiting") || !strings.Contains(first, "granted") {
		t.Errorf("no totals or no event in %q", first)
	}
	out.Reset()
	if err := s.draw(nil, nil, errors.New("gone")); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("\x1b[%dA\x1b[J", strings.Count(first, "\n")); !strings.HasPrefix(out.String(), want) {
		t.Errorf("got %q, want it to begin with %q", out.String(), want)
	}
	if !strings.Contains(out.String(), "gone") {
		t.Errorf("the trouble is not told: %q", out.String())
	}
}
