package faultproxy

import (
	"bufio"
	"io"
	"slices"
	"strings"
	"testing"
)

// What each reply on a connection answers; "push" for what is out of band, ""
// for what nothing asked for.
func TestLedgerMatchesRepliesToRequests(t *testing.T) {
	const (
		subA, subB, subC        = "*3\r\n+subscribe\r\n+a\r\n:1\r\n", "*3\r\n+subscribe\r\n+b\r\n:2\r\n", "*3\r\n+subscribe\r\n+c\r\n:3\r\n"
		unsubA, unsubB          = "*3\r\n+unsubscribe\r\n+a\r\n:1\r\n", "*3\r\n+unsubscribe\r\n+b\r\n:0\r\n"
		unsubNone               = "*3\r\n+unsubscribe\r\n$-1\r\n:0\r\n"
		message, denied         = "*3\r\n+message\r\n+a\r\n+x\r\n", "-NOPERM\r\n"
		movedAway, hello3, pong = ">3\r\n+sunsubscribe\r\n+s\r\n:0\r\n", "%1\r\n+proto\r\n:3\r\n", "+PONG\r\n"
	)
	for name, tc := range map[string]struct {
		requests, replies, want []string
	}{
		"in order": {
			[]string{"GET 1", "GET 2"},
			[]string{"$1\r\nx\r\n", "$-1\r\n"},
			[]string{"GET 1", "GET 2"},
		},
		"one confirmation a channel": {
			[]string{"SUBSCRIBE a b", "SUBSCRIBE c", "PING"},
			[]string{subA, subB, subC, pong},
			[]string{"SUBSCRIBE a b", "SUBSCRIBE a b", "SUBSCRIBE c", "PING"},
		},
		"UNSUBSCRIBE without channels confirms those there are, one at least": {
			[]string{"SUBSCRIBE a b", "UNSUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE a", "PING"},
			[]string{subA, subB, unsubA, unsubB, unsubNone, unsubA, pong},
			[]string{"SUBSCRIBE a b", "SUBSCRIBE a b", "UNSUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE", "UNSUBSCRIBE a", "PING"},
		},
		"a refused subscription is one reply": {
			[]string{"SUBSCRIBE a b", "SUBSCRIBE c"},
			[]string{denied, subC},
			[]string{"SUBSCRIBE a b", "SUBSCRIBE c"},
		},
		"messages come in between": {
			[]string{"SUBSCRIBE a", "SUBSCRIBE b"},
			[]string{subA, message, subB},
			[]string{"SUBSCRIBE a", "push", "SUBSCRIBE b"},
		},
		"an array like a message is a reply while nothing is subscribed": {
			[]string{"LRANGE", "SUBSCRIBE a", "UNSUBSCRIBE a", "LRANGE"},
			[]string{message, subA, unsubA, message},
			[]string{"LRANGE", "SUBSCRIBE a", "UNSUBSCRIBE a", "LRANGE"},
		},
		"RESP3 tells them apart by type": {
			[]string{"HELLO 3", "SUBSCRIBE a", "LRANGE", "LRANGE"},
			[]string{hello3, ">" + subA[1:], message, ">" + message[1:], subA},
			[]string{"HELLO 3", "SUBSCRIBE a", "LRANGE", "push", "LRANGE"},
		},
		"RESET ends subscriptions and RESP3": {
			[]string{"HELLO 3", "SUBSCRIBE a", "RESET", "LRANGE", "SUBSCRIBE a", "PING"},
			[]string{hello3, ">" + subA[1:], "+RESET\r\n", message, subA, message},
			[]string{"HELLO 3", "SUBSCRIBE a", "RESET", "LRANGE", "SUBSCRIBE a", "push"},
		},
		"the server may end a subscription by itself": {
			[]string{"GET 1"},
			[]string{movedAway, pong, pong},
			[]string{"", "GET 1", ""},
		},
	} {
		l := newLedger()
		for _, s := range tc.requests {
			l.expect(&request{words: strings.Fields(s)})
		}
		if got := settled(t, l, tc.replies); !slices.Equal(got, tc.want) {
			t.Errorf("%s:\n got %q\nwant %q", name, got, tc.want)
		}
	}
}

// settled feeds replies to a ledger and says what each was taken for.
func settled(t *testing.T, l *ledger, replies []string) []string {
	t.Helper()
	r := bufio.NewReader(strings.NewReader(strings.Join(replies, "")))
	var got []string
	for {
		f, err := readReply(r)
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		l.settle(&f)
		switch {
		case f.push:
			got = append(got, "push")
		case f.req == nil:
			got = append(got, "")
		default:
			got = append(got, strings.Join(f.req.words, " "))
		}
	}
}
