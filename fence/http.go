package fence

import (
	"errors"
	"net/http"

	"github.com/relock-go/relock"
)

// Header is the header in which a sequencer travels with a request.
const Header = "Lock-Sequencer"

// A Transport is a round tripper that sends the holder of [WithSequencer] along
// with the requests made under its context, in [Header]. A request whose context
// names none goes out as it is. Redirected to another host, or from https to http,
// a request loses the header, and does not get it back by a further redirect: the
// signature is for the service that was asked. It is safe for concurrent use, and
// its zero value can be used.
type Transport struct {
	Base   http.RoundTripper // nil: [http.DefaultTransport]
	Signer *Signer           // nil: plain text
}

// RoundTrip returns what Base does, or [relock.ErrInvalid] for a sequencer that
// [Check] refuses; then nothing was sent.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	s, ok := SequencerFrom(r.Context())
	if !ok {
		return base.RoundTrip(r)
	}
	sent := r.Clone(r.Context())
	sent.Header.Del(Header)
	if !strayed(r) {
		text, err := t.Signer.Sign(s)
		if err != nil {
			if r.Body != nil {
				_ = r.Body.Close() // a RoundTripper closes it, also on errors
			}
			return nil, err
		}
		sent.Header.Set(Header, text)
	}
	return base.RoundTrip(sent)
}

// strayed tells whether one of the redirects that led to r left the host, or TLS,
// or does not say whence it came.
func strayed(r *http.Request) bool {
	for ; r.Response != nil; r = r.Response.Request {
		from := r.Response.Request
		if from == nil || from.URL.Host != r.URL.Host || from.URL.Scheme == "https" && r.URL.Scheme != "https" {
			return true
		}
	}
	return false
}

// A Middleware lets a request through to a handler with the holder that it comes
// from, and answers the others itself:
//
//	400 Bad Request   no sequencer, several, one that cannot be read or that no key
//	                  of Signer has signed, of another lock, or of a token that
//	                  [Check] refuses
//	409 Conflict      a later holder has been at the resource
//	503               the resource could not be claimed
//	500               the Middleware itself cannot be used (no lock)
//
// The handler finds the holder by [SequencerFrom]. It still has its storage check
// each write: a request can be overtaken while it is handled.
type Middleware struct {
	// Lock is the name of the lock that guards what the handler writes; LockOf
	// names it by the request instead, where it is not nil. A request for which
	// that is empty is answered 400.
	Lock   string
	LockOf func(*http.Request) string

	// Signer is what requests must be signed with; nil: plain text, from whoever
	// can reach the service.
	Signer *Signer

	// Claims, if not nil, is where the holder claims what ResourceOf names, before
	// the handler runs: earlier holders are refused from there on.
	Claims     Claimer
	ResourceOf func(*http.Request) string // nil: the lock's name
}

// Wrap returns next behind the middleware.
func (m Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m.Lock == "" && m.LockOf == nil || next == nil {
			http.Error(w, "fence: a Middleware without a lock or a handler", http.StatusInternalServerError)
			return
		}
		s, err := m.admit(r)
		if err != nil {
			Error(w, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(WithSequencer(r.Context(), s)))
	})
}

func (m Middleware) admit(r *http.Request) (relock.Sequencer, error) {
	texts := r.Header.Values(Header)
	if len(texts) != 1 {
		return relock.Sequencer{}, invalid("%d headers %s: one", len(texts), Header)
	}
	s, err := m.Signer.Verify(texts[0])
	if err != nil {
		return s, err
	}
	lock := m.Lock
	if m.LockOf != nil {
		lock = m.LockOf(r)
	}
	if s.Name != lock {
		return s, invalid("a sequencer of lock %q, not of %q", s.Name, lock)
	}
	if m.Claims == nil {
		return s, nil
	}
	resource := lock
	if m.ResourceOf != nil {
		resource = m.ResourceOf(r)
	}
	return s, m.Claims.Claim(r.Context(), resource, s)
}

// Status is the status that answers err, of a fenced storage or of [Check]: 400
// for [relock.ErrInvalid], 409 for [relock.ErrStaleToken], 503 for any other.
func Status(err error) int {
	switch {
	case errors.Is(err, relock.ErrInvalid):
		return http.StatusBadRequest
	case errors.Is(err, relock.ErrStaleToken):
		return http.StatusConflict
	}
	return http.StatusServiceUnavailable
}

// Error answers a request with [Status] and a line that tells a stranger nothing:
// err may name other holders.
func Error(w http.ResponseWriter, err error) {
	status := Status(err)
	http.Error(w, map[int]string{
		http.StatusBadRequest:         "no valid " + Header,
		http.StatusConflict:           "a later holder of the lock has been here",
		http.StatusServiceUnavailable: "the claim could not be made: try again",
	}[status], status)
}
