package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/relock-go/relock/cmd/relock/internal/dial"
	"github.com/relock-go/relock/cmd/relock/internal/plain"
)

func TestWhatAWorkerSaysIsPlainAndHasNoSecret(t *testing.T) {
	plain.Hide("redis://zaphod:b33bl3@127.0.0.1:1")
	r := &run{scene: &scene{}}
	if err := r.take(event{Kind: failed, Worker: 1, Goroutine: 2, Text: "no zaphod with b33bl3\nor \x1b[2J"}); err != nil {
		t.Fatal(err)
	}
	if want := `worker 1, goroutine 2: no *** with ***; or \u001b[2J`; len(r.failures) != 1 || r.failures[0] != want {
		t.Errorf("got %q, want %q", r.failures, want)
	}
}

func TestHandoffsCountWhoWasWaiting(t *testing.T) {
	within, across := handoffs([]grant{
		{token: 1, worker: 1, arrived: 0, acquired: 10, unlocked: 100},
		{token: 2, worker: 1, arrived: 50, acquired: 103, unlocked: 200},  // 3 within
		{token: 3, worker: 2, arrived: 60, acquired: 205},                 // 5 across; never unlocked
		{token: 4, worker: 1, arrived: 70, acquired: 900, unlocked: 1000}, // after a lost lease: no hand-off
		{token: 5, worker: 2, arrived: 1001, acquired: 1002},              // came to a free lock
	})
	if len(within) != 1 || within[0] != 3 || len(across) != 1 || across[0] != 5 {
		t.Errorf("handoffs = %v within, %v across, want [3ns] and [5ns]", within, across)
	}
}

func TestFairnessLeavesTheStopApart(t *testing.T) {
	calm := undisturbed([]grant{
		{token: 1, worker: 1, goroutine: 1, arrived: 0, acquired: 10},
		{token: 2, worker: 2, goroutine: 1, arrived: 5, acquired: 500},   // waited through the stop
		{token: 3, worker: 1, goroutine: 1, arrived: 150, acquired: 160}, // in the middle of it
		{token: 4, worker: 2, goroutine: 1, arrived: 501, acquired: 531},
	}, 100, 400)
	got := fairnessOf(calm, 2, 1)
	want := fairness{jain: 1, longest: 30, mean: 20}
	if got != want {
		t.Errorf("fairnessOf = %+v, want %+v", got, want)
	}
}

// What is counted on its way out is the server's own count, but for what was not
// answered: that may not have reached it.
func TestTheServerAndTheCounterAgree(t *testing.T) {
	for name, tt := range map[string]struct {
		unsure, server int64
		agree          bool
	}{
		"as many":                          {0, 20, true},
		"fewer than were counted":          {0, 19, false},
		"more than were counted":           {0, 21, false},
		"fewer, as two were not answered":  {2, 18, true},
		"fewer than were answered":         {2, 17, false},
		"more, though two were unanswered": {2, 21, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Summary{OK: true}
			s.compare(counts{Lock: 12, Guard: 8, Read: 5, Unsure: tt.unsure}, tt.server)
			if s.OK != tt.agree || tt.agree != (len(s.Problems) == 0) {
				t.Errorf("OK is %v with the problems %q, want %v", s.OK, s.Problems, tt.agree)
			}
			for _, line := range s.Problems {
				if strings.Contains(line, "\n") || !strings.Contains(line, fmt.Sprintf("was sent %d scripts, and 20 ", tt.server)) {
					t.Errorf("the problem is %q", line)
				}
			}
		})
	}
}

// deposits returns a history that is in order, its account, and what the writers
// were told.
func deposits(tokens ...int64) (account, []entry, claims) {
	var a account
	var history []entry
	c := newClaims()
	for i, token := range tokens {
		e := a.deposit(token, 1+i%2, 1, int64(10*(i+1)))
		history, a = append(history, e), e.After
		c.acked[token] = e.Amount
	}
	return a, history, c
}

func TestJudge(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil  func(a *account, h *[]entry, c *claims)
		rising bool
		lost   int
		says   string // a part of the first problem; "" for none
	}{
		"a history in order has no problem": {
			func(*account, *[]entry, *claims) {}, true, 0, "",
		},
		"a write that was sent and not answered may have happened": {
			func(_ *account, _ *[]entry, c *claims) { delete(c.acked, 9); c.unsure[9] = true }, true, 0, "",
		},
		"a write that was sent and not answered may not have happened": {
			func(_ *account, _ *[]entry, c *claims) { c.unsure[11] = true }, true, 0, "",
		},
		"a refused write that is not there is as it should be": {
			func(_ *account, _ *[]entry, c *claims) { c.refused[6] = true }, true, 0, "",
		},
		"a write over one that its writer had not read is lost": {
			func(a *account, h *[]entry, c *claims) {
				late := (*h)[0].After.deposit(10, 2, 1, 5)
				*h, *a, c.acked[10] = append(*h, late), late.After, 5
			}, true, 1, "overwrote",
		},
		"an older token after a newer one does not rise": {
			func(a *account, h *[]entry, c *claims) {
				late := a.deposit(4, 2, 1, 5)
				*h, *a, c.acked[4] = append(*h, late), late.After, 5
			}, false, 0, "after token 9",
		},
		"one token that wrote twice does not rise": {
			func(a *account, h *[]entry, _ *claims) {
				again := a.deposit(9, 2, 1, 40)
				*h, *a = append(*h, again), again.After
			}, false, 0, "after token 9",
		},
		"an acknowledged write that is missing is lost": {
			func(_ *account, _ *[]entry, c *claims) { c.acked[8] = 1 }, true, 1, "is not in the history",
		},
		"an account that the history does not lead to is lost": {
			func(a *account, _ *[]entry, _ *claims) { a.Balance-- }, true, 1, "the account holds",
		},
		"an amount that its writer was not told is lost": {
			func(_ *account, _ *[]entry, c *claims) { c.acked[7] = 21 }, true, 1, "was told 21",
		},
		"a sum that does not follow is a problem": {
			func(_ *account, h *[]entry, _ *claims) {
				(*h)[1].Amount = 20
				(*h)[1].Worker = 1
				(*h)[1].After.Deposits = 7
			},
			true, 0, "does not follow",
		},
		"a refused write that is there is a problem": {
			func(_ *account, _ *[]entry, c *claims) { delete(c.acked, 9); c.refused[9] = true }, true, 0, "was refused",
		},
		"a write that nobody made is a problem": {
			func(_ *account, _ *[]entry, c *claims) { delete(c.acked, 7) }, true, 0, "nobody made it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, history, c := deposits(5, 7, 9)
			tt.spoil(&a, &history, &c)
			got := judge(a, history, c)
			if got.rising != tt.rising || got.lost != tt.lost {
				t.Errorf("judge: rising %v, lost %d, want %v and %d (%q)", got.rising, got.lost, tt.rising, tt.lost, got.problems)
			}
			switch {
			case tt.says == "" && len(got.problems) > 0:
				t.Errorf("judge found %q, want nothing", got.problems)
			case tt.says != "" && (len(got.problems) == 0 || !strings.Contains(got.problems[0], tt.says)):
				t.Errorf("judge found %q, want %q first", got.problems, tt.says)
			}
		})
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -123456: "-123,456", 1234567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestAWorkerEndsWithItsInput(t *testing.T) {
	s, err := openServer(context.Background(), "", dial.TLS{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	in := strings.NewReader(`{"worker":1,"redis":"` + s.at.URL + `","run":"x","goroutines":2,"ttl_ms":1000}` + "\nbegin\n")
	var out bytes.Buffer
	if err := Work(context.Background(), in, &out); !errors.Is(err, errOrphan) {
		t.Errorf("Work without a parent returned %v, want errOrphan", err)
	}
	if !strings.Contains(out.String(), `"ready"`) {
		t.Errorf("the worker told %q, and not that it was ready", out.String())
	}
}

func TestTheURLIsNotRepeatedInErrors(t *testing.T) {
	for _, u := range []string{"redis://user:secret@host:port", "http://user:secret@host", "redis://user:secret@host/x/y/z", "\x7f://secret"} {
		_, err := openServer(context.Background(), u, dial.TLS{})
		if !errors.Is(err, dial.ErrBadURL) || strings.Contains(err.Error(), "secret") {
			t.Errorf("openServer(%q) = %v, want ErrBadURL without the password", u, err)
		}
	}
}
