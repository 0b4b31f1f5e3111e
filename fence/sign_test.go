package fence_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
)

func key(b byte) []byte { return bytes.Repeat([]byte{b}, fence.MinKey) }

func signer(t *testing.T, keys ...[]byte) *fence.Signer {
	t.Helper()
	g, err := fence.NewSigner(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func signed(t *testing.T, g *fence.Signer, s relock.Sequencer) string {
	t.Helper()
	text, err := g.Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestASignerTakesWhatAKeyOfItsHasSigned(t *testing.T) {
	s := holder(0)
	s.Name, s.Owner = "a:b;hmac-sha256=c \x00\xff", "o;%:\n"
	a, b, both := signer(t, key('a')), signer(t, key('b')), signer(t, key('b'), key('a'))
	var none *fence.Signer
	for _, tc := range []struct {
		name            string
		signs, verifies *fence.Signer
		ok              bool
	}{
		{"the same key", a, a, true},
		{"another key", a, b, false},
		{"an older key beside the new one", a, both, true},
		{"the first of two keys", both, b, true},
		{"the second of two keys", both, a, false},
		{"no signature where one is wanted", none, a, false},
		{"a signature where none is wanted", a, none, true},
		{"plain text", none, none, true},
	} {
		got, err := tc.verifies.Verify(signed(t, tc.signs, s))
		if tc.ok && (err != nil || got != s) || !tc.ok && !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("%s: got %v, %v", tc.name, got, err)
		}
		if !tc.ok && got != (relock.Sequencer{}) {
			t.Errorf("%s: it is told nevertheless: %v", tc.name, got)
		}
	}
}

func TestWhatWasSignedCannotBeChanged(t *testing.T) {
	g, s := signer(t, key('a')), holder(0)
	text := signed(t, g, s)
	for i := range text {
		for _, c := range []byte("0A:;=") {
			if text[i] == c {
				continue
			}
			changed := text[:i] + string(c) + text[i+1:]
			if got, err := g.Verify(changed); !errors.Is(err, relock.ErrInvalid) {
				t.Errorf("%q is taken for %v", changed, got)
			}
		}
	}
	later := s
	later.Token++
	plain, signature, _ := strings.Cut(text, ";")
	if _, err := g.Verify(strings.Replace(plain, s.Token.String(), later.Token.String(), 1) + ";" + signature); err == nil {
		t.Error("a greater token passes under the signature of a smaller one")
	}
	for _, text := range []string{"", ";", plain, plain + ";", plain + ";hmac-sha256=", text + ";", text + text, "x" + text} {
		if got, err := g.Verify(text); !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("%q: got %v, %v", text, got, err)
		}
	}
}

func TestWhatNoLockIssuesIsNeitherSignedNorTaken(t *testing.T) {
	g := signer(t, key('a'))
	for name, s := range refused() {
		if text, err := g.Sign(s); !errors.Is(err, relock.ErrInvalid) || text != "" {
			t.Errorf("a sequencer %s is signed: %q, %v", name, text, err)
		}
		plain, err := s.MarshalText()
		if err != nil {
			continue
		}
		var none *fence.Signer
		if _, err := none.Verify(string(plain)); !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("a sequencer %s is taken: %v", name, err)
		}
	}
}

func TestAWeakKeyIsRefused(t *testing.T) {
	for name, keys := range map[string][][]byte{
		"no key": nil, "an empty one": {{}}, "a short one": {key('a')[1:]}, "a short one beside a good one": {key('a'), []byte("secret")},
	} {
		if g, err := fence.NewSigner(keys...); !errors.Is(err, relock.ErrInvalid) || g != nil {
			t.Errorf("%s: got %v, %v; want ErrInvalid", name, g, err)
		}
	}
	var zero fence.Signer
	if text, err := zero.Sign(holder(0)); !errors.Is(err, relock.ErrInvalid) || text != "" {
		t.Errorf("a Signer of no key signs %q, %v", text, err)
	}
	for _, by := range []*fence.Signer{nil, signer(t, key('a'))} {
		if got, err := zero.Verify(signed(t, by, holder(0))); !errors.Is(err, relock.ErrInvalid) {
			t.Errorf("a Signer of no key takes %v, %v", got, err)
		}
	}
	k := key('a')
	g := signer(t, k)
	text := signed(t, g, holder(0))
	k[0] = 'z' // the caller's own
	if _, err := g.Verify(text); err != nil {
		t.Errorf("a Signer changes with the slice that it was given: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	g, err := fence.NewSigner(key('a'))
	if err != nil {
		f.Fatal(err)
	}
	text, _ := g.Sign(relock.Sequencer{Name: "a", Token: 7, Owner: "b"})
	f.Add(text)
	f.Add("relock1:7:b:a")
	f.Fuzz(func(t *testing.T, text string) {
		var none *fence.Signer
		s, err := none.Verify(text)
		if err != nil {
			return
		}
		if got, err := g.Verify(signed(t, g, s)); err != nil || got != s {
			t.Errorf("%q is %v, and once more %v, %v", text, s, got, err)
		}
	})
}
