package fence

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/relock-go/relock"
)

// MinKey is the least length of a [Signer]'s keys in bytes: SHA-256's own.
const MinKey = 32

// signed stands between the text of a sequencer and its signature. Text has no
// semicolon: its owner and name are escaped.
const signed = ";hmac-sha256="

// A Signer signs the text of sequencers with HMAC-SHA-256, and verifies it. That
// keeps out whoever has no key. It does not make a holder honest, and does not
// hide the text: whoever reads it on its way can send it again, until a later
// holder has been there. A nil Signer signs nothing and takes plain text; a zero
// one, which has no key, refuses all. It is safe for concurrent use.
type Signer struct{ keys [][]byte }

// NewSigner returns a Signer. It signs with the first key and verifies with all,
// so that keys can be changed: add the new one last everywhere, then first, then
// drop the old one. It returns [relock.ErrInvalid] without a key, and for one of
// less than [MinKey] bytes.
func NewSigner(keys ...[]byte) (*Signer, error) {
	if len(keys) == 0 {
		return nil, invalid("a Signer without a key")
	}
	g := &Signer{}
	for _, key := range keys {
		if len(key) < MinKey {
			return nil, invalid("a Signer's key of %d bytes: at least %d", len(key), MinKey)
		}
		g.keys = append(g.keys, append([]byte(nil), key...))
	}
	return g, nil
}

// Sign returns the text of s, signed. It returns [relock.ErrInvalid] for a
// sequencer that [Check] refuses, with a nil Signer as well.
func (g *Signer) Sign(s relock.Sequencer) (string, error) {
	if err := Check(s); err != nil {
		return "", err
	}
	text, err := s.MarshalText()
	if err != nil || g == nil {
		return string(text), err
	}
	if len(g.keys) == 0 {
		return "", invalid("a Signer without a key")
	}
	return string(text) + signed + mac(g.keys[0], string(text)), nil
}

// Verify reads what Sign wrote. It returns [relock.ErrInvalid] for text that is
// none, that [Check] refuses, or that none of the keys has signed. A nil Signer
// looks at no signature.
func (g *Signer) Verify(text string) (relock.Sequencer, error) {
	text, signature, _ := strings.Cut(text, signed)
	if g != nil && !g.signedBy(text, signature) {
		return relock.Sequencer{}, invalid("a sequencer that is not signed with a key of ours")
	}
	s, err := relock.ParseSequencer(text)
	if err == nil {
		err = Check(s)
	}
	if err != nil {
		return relock.Sequencer{}, err
	}
	return s, nil
}

func (g *Signer) signedBy(text, signature string) bool {
	for _, key := range g.keys {
		if hmac.Equal([]byte(signature), []byte(mac(key, text))) {
			return true
		}
	}
	return false
}

func mac(key []byte, text string) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
