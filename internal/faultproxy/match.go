package faultproxy

import (
	"crypto/sha1" //nolint:gosec // Redis names scripts by their SHA-1
	"encoding/hex"
	"slices"
	"strings"
)

// Match chooses commands or pushes by their words, as they stood on the wire:
// {"set", "k", "v"} or {"message", "channel", "payload"}. It may be called
// from several goroutines at once and must not keep the slice.
type Match func(words []string) bool

// Any matches everything, the client's own HELLO and CLIENT SETINFO too.
func Any([]string) bool { return true }

// Command matches commands by name, in any letter case.
func Command(names ...string) Match {
	return func(words []string) bool {
		return len(words) > 0 && slices.ContainsFunc(names, func(name string) bool {
			return strings.EqualFold(name, words[0])
		})
	}
}

// Script matches the calls of a Lua script: EVALSHA of its SHA-1, EVAL of its
// source, and their _RO forms.
func Script(source string) Match {
	digest := sha1.Sum([]byte(source)) //nolint:gosec // not used as a signature
	sha := hex.EncodeToString(digest[:])
	byName, bySource := Command("evalsha", "evalsha_ro"), Command("eval", "eval_ro")
	return func(words []string) bool {
		if len(words) < 2 {
			return false
		}
		return byName(words) && words[1] == sha || bySource(words) && words[1] == source
	}
}

// Word matches what contains the word, in this letter case: a key, a channel.
func Word(word string) Match {
	return func(words []string) bool { return slices.Contains(words, word) }
}

// All matches what every one of ms matches.
func All(ms ...Match) Match {
	return func(words []string) bool {
		return !slices.ContainsFunc(ms, func(m Match) bool { return !m(words) })
	}
}
