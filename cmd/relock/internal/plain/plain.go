// Package plain makes text that others have written safe to be shown: names and
// owners of locks, what a server or a parser says. It must not steer a terminal,
// not look like what it is not, and not tell a secret that we were given.
package plain

import (
	"encoding/base64"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// shows tells whether r is seen as itself. Control characters and those that
// change the direction or have no width are not; neither are letters and marks
// that are drawn as nothing.
func shows(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// IsPlain reports whether s is shown as it is.
func IsPlain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !shows(r) })
}

// Name returns s, in quotes where it could be taken for something else: what stands
// in parentheses tells of a lock, as (free).
func Name(s string) string {
	if s == "" || !IsPlain(s) || strings.ContainsRune(`"(`, rune(s[0])) || s != strings.TrimSpace(s) {
		return Quote(s)
	}
	return s
}

// Quote returns s in quotes, as a Go string. Bytes that are no UTF-8 are seen.
func Quote(s string) string {
	b := []byte{'"'}
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			b = fmt.Appendf(b, `\x%02x`, s[0])
		case shows(r) && r != '"' && r != '\\':
			b = append(b, s[:n]...)
		default:
			quoted := strconv.QuoteToASCII(s[:n])
			b = append(b, quoted[1:len(quoted)-1]...)
		}
		s = s[n:]
	}
	return string(append(b, '"'))
}

// Base64 returns s where it is no UTF-8, which JSON cannot tell apart; else
// nothing.
func Base64(s string) string {
	if utf8.ValidString(s) {
		return ""
	}
	return base64.StdEncoding.EncodeToString([]byte(s))
}

// Text escapes what would not be seen as itself, but for newlines and tabs. The
// escapes are those of JSON: text in JSON keeps its meaning.
func Text(s string) string {
	if IsPlain(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t' || shows(r):
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// Line is Text in one line.
func Line(s string) string {
	return Text(strings.NewReplacer("\r\n", "; ", "\n", "; ", "\t", " ").Replace(strings.TrimSpace(s)))
}

// Error is what err says, in one line and without the secrets that are hidden.
func Error(err error) string { return Line(redact(err.Error())) }

// Writer passes on the Text of what is written to it.
type Writer struct{ W io.Writer }

func (w Writer) Write(p []byte) (int, error) {
	if _, err := io.WriteString(w.W, Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
