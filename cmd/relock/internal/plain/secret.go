package plain

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// hidden are the secrets that this process was given, the longest first.
var hidden struct {
	mu  sync.Mutex
	all []string
}

// leastSecret is how many characters a secret has at least to be hidden: shorter
// ones are everywhere. It is a second line only: what is said of a URL is made of
// its host and port.
const leastSecret = 3

// public are users that everybody knows, and our own words.
var public = []string{"default", "redis", "relock"}

// Hide has [Error] leave the user information of URLs out. Each of texts may be
// any text that may have a URL in it.
func Hide(texts ...string) {
	hidden.mu.Lock()
	defer hidden.mu.Unlock()
	for _, text := range texts {
		for _, secret := range secretsIn(text) {
			if utf8.RuneCountInString(secret) >= leastSecret && !slices.Contains(public, secret) && !slices.Contains(hidden.all, secret) {
				hidden.all = append(hidden.all, secret)
			}
		}
	}
	slices.SortFunc(hidden.all, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}

// secretsIn returns what stands before the last @ of anything that may be a URL:
// as a whole, and each part of it, as written and as meant. It does not ask
// a parser, which takes an unescaped password for something else.
func secretsIn(text string) (all []string) {
	add := func(s string) {
		quoted := strconv.Quote(s) // as errors have it
		all = append(all, s, quoted[1:len(quoted)-1])
		if meant, err := url.PathUnescape(s); err == nil && meant != s {
			all = append(all, meant)
		}
	}
	_, rest, isURL := strings.Cut(text, "://")
	if !isURL {
		return nil
	}
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		add(rest[:at])
		for _, part := range strings.FieldsFunc(rest[:at], func(r rune) bool { return strings.ContainsRune(":/#?@", r) || unicode.IsSpace(r) }) {
			add(part)
		}
	}
	for _, option := range []string{"password=", "username="} { // sentinel_password, too
		for _, after := range strings.Split(rest, option)[1:] {
			value, _, _ := strings.Cut(after, "&")
			add(value)
		}
	}
	return all
}

const redacted = "***"

// redact replaces the hidden words of s: a secret that is a part of another word
// is not told by it.
func redact(s string) string {
	hidden.mu.Lock()
	defer hidden.mu.Unlock()
	for _, secret := range hidden.all {
		s = replaceWord(s, secret)
	}
	return s
}

func replaceWord(s, word string) string {
	var b strings.Builder
	for {
		i := strings.Index(s, word)
		if i < 0 {
			return b.String() + s
		}
		before, _ := utf8.DecodeLastRuneInString(s[:i])
		after, _ := utf8.DecodeRuneInString(s[i+len(word):])
		b.WriteString(s[:i])
		if inWord(before) || inWord(after) {
			b.WriteString(word)
		} else {
			b.WriteString(redacted)
		}
		s = s[i+len(word):]
	}
}

func inWord(r rune) bool { return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r)) }
