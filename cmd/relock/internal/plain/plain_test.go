package plain

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestNamesAreShownAsTheyAreOrQuoted(t *testing.T) {
	for name, want := range map[string]string{
		"job/1":           "job/1",
		"日本 naïve ❤":      "日本 naïve ❤",
		"":                `""`,
		"(free)":          `"(free)"`,
		" job":            `" job"`,
		`"job"`:           `"\"job\""`,
		"esc\x1b[2J":      `"esc\x1b[2J"`,
		"a\u202eb":        `"a\u202eb"`,
		"a\u200bb":        `"a\u200bb"`,
		"a\u3164b":        `"a\u3164b"`, // a letter that is drawn as nothing
		"a\u034fb":        `"a\u034fb"`, // a mark that is
		"a\u00a0b":        `"a\u00a0b"`,
		"a\U000e0041b":    `"a\U000e0041b"`,
		"\xff日":           `"\xff日"`,
		"\ufffd":          "\ufffd",
		"\u009b2J and \a": `"\u009b2J and \a"`,
	} {
		if got := Name(name); got != want {
			t.Errorf("Name(%+q) = %s, want %s", name, got, want)
		}
	}
}

func TestTextOfJSONKeepsItsMeaning(t *testing.T) {
	name := "a\u202eb\u007f\u009b\U000e0041日\n"
	text, err := json.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	escaped := Text(string(text))
	var got string
	if err := json.Unmarshal([]byte(escaped), &got); err != nil || got != name {
		t.Errorf("got %+q and %v from %s, want %+q", got, err, escaped, name)
	}
	if !IsPlain(escaped) {
		t.Errorf("%+q is not plain", escaped)
	}
}

func TestErrorsAreOneLineWithoutSecrets(t *testing.T) {
	Hide("--redis=redis://zaphod:b33%23bl3@host:1/0", "redis://h?master_name=m&sentinel_password=tr1ll1an&db=1", "redis://default:relock@h", "no URL: arthur@h")
	for text, want := range map[string]string{
		"NOPERM User zaphod has no permissions":  "NOPERM User *** has no permissions",
		`parse "redis://zaphod:b33%23bl3@host:1`: `parse "redis://***@host:1`,
		`invalid port ":b33#bl3"`:                `invalid port ":***"`,
		"tr1ll1an, zaphods, Zaphod":              "***, zaphods, Zaphod",
		"relock: default user arthur":            "relock: default user arthur",
		"one\ntwo\x1b[2J":                        `one; two\u001b[2J`,
	} {
		if got := Error(errors.New(text)); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}

func TestAWriterTellsOfErrors(t *testing.T) {
	var b strings.Builder
	if n, err := (Writer{&b}).Write([]byte("a\x1b\xff\t\n")); n != 5 || err != nil || b.String() != "a\\u001b\ufffd\t\n" {
		t.Errorf("got %d, %v and %q", n, err, b.String())
	}
}
