package faultproxy

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadReplyFramesEveryType(t *testing.T) {
	for in, want := range map[string][]string{
		"+OK\r\n":                              {"OK"},
		"-ERR no\r\n":                          {"ERR no"},
		":-1\r\n":                              {"-1"},
		"$5\r\na\r\nb\n\r\n":                   {"a\r\nb\n"},
		"$0\r\n\r\n":                           {""},
		"$-1\r\n":                              {""},
		"*-1\r\n":                              {""},
		"*0\r\n":                               nil,
		"_\r\n":                                {""},
		"#t\r\n":                               {"t"},
		",inf\r\n":                             {"inf"},
		"(3492890328409238509324850943\r\n":    {"3492890328409238509324850943"},
		"!5\r\nERR x\r\n":                      {"ERR x"},
		"=7\r\ntxt:abc\r\n":                    {"txt:abc"},
		"~2\r\n:1\r\n+a\r\n":                   {"1", "a"},
		"%1\r\n+k\r\n*2\r\n:1\r\n:2\r\n":       {"k", "1", "2"},
		"*2\r\n*1\r\n*1\r\n:1\r\n$1\r\nx\r\n":  {"1", "x"},
		">2\r\n+invalidate\r\n_\r\n":           {"invalidate", ""},
		"|1\r\n+ttl\r\n:9\r\n*1\r\n+v\r\n":     {"v"},
		"*2\r\n+a\r\n|1\r\n+k\r\n+v\r\n+b\r\n": {"a", "b"},
	} {
		r := bufio.NewReader(iotest.OneByteReader(strings.NewReader(in + "+next\r\n")))
		f, err := readReply(r)
		if err != nil || string(f.raw) != in || !slices.Equal(f.words, want) {
			t.Errorf("%q: raw %q, words %q, %v; want words %q", in, f.raw, f.words, err, want)
		}
		if next, err := readReply(r); err != nil || string(next.raw) != "+next\r\n" {
			t.Errorf("after %q: %q, %v", in, next.raw, err)
		}
	}
}

func TestAttributeDoesNotHideThePush(t *testing.T) {
	f, err := readReply(bufio.NewReader(strings.NewReader("|1\r\n+k\r\n+v\r\n>1\r\n+x\r\n")))
	if err != nil || f.kind != '>' {
		t.Errorf("kind = %q, %v; want a push", f.kind, err)
	}
}

func TestReadReplyRefusesNoise(t *testing.T) {
	for in, want := range map[string]error{
		"?\r\n":           errProtocol,
		"+\n":             errProtocol,
		"\r\n":            errProtocol,
		"$x\r\n":          errProtocol,
		"$-2\r\n":         errProtocol,
		"*999999999999\r": io.EOF,
		"$5\r\nab":        io.ErrUnexpectedEOF,
		"*2\r\n:1\r\n":    io.EOF,
	} {
		if _, err := readReply(bufio.NewReader(strings.NewReader(in))); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", in, err, want)
		}
	}
}

func TestReadRequestTakesInlineCommands(t *testing.T) {
	r := bufio.NewReader(strings.NewReader("set  k v\n\r\n*1\r\n$4\r\nPING\r\n"))
	for _, want := range [][]string{{"set", "k", "v"}, {}, {"PING"}} {
		f, err := readRequest(r)
		if err != nil || !slices.Equal(f.words, want) {
			t.Errorf("words = %q, %v; want %q", f.words, err, want)
		}
	}
}
