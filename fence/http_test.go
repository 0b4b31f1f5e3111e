package fence_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
	"github.com/relock-go/relock/internal/redistest"
)

// service starts a server that answers with the token it was asked under.
func service(t *testing.T, m fence.Middleware) string {
	t.Helper()
	s := httptest.NewServer(m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s, ok := fence.SequencerFrom(r.Context())
		if !ok {
			t.Error("the handler finds no holder")
		}
		_, _ = io.WriteString(w, s.Token.String())
	})))
	t.Cleanup(s.Close)
	return s.URL
}

// ask asks url on behalf of s, and returns the status and what was said.
func ask(t *testing.T, tr *fence.Transport, url string, s relock.Sequencer) (int, string) {
	t.Helper()
	ctx := t.Context()
	if s.Token != 0 {
		ctx = fence.WithSequencer(ctx, s)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: tr}
	defer client.CloseIdleConnections()
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(said))
}

// transport is one whose connections end with the test.
func transport(t *testing.T, g *fence.Signer) *fence.Transport {
	base := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(base.CloseIdleConnections)
	return &fence.Transport{Base: base, Signer: g}
}

func TestARequestBringsItsHolder(t *testing.T) {
	g := signer(t, key('a'))
	for name, by := range map[string]*fence.Signer{"signed": g, "plain": nil} {
		url, s := service(t, fence.Middleware{Lock: "profiles", Signer: by}), holder(0)
		if status, said := ask(t, transport(t, by), url, s); status != http.StatusOK || said != s.Token.String() {
			t.Errorf("%s: got %d, %q", name, status, said)
		}
	}
}

func TestARequestWithoutAUsableHolderIsABadOne(t *testing.T) {
	url := service(t, fence.Middleware{Lock: "profiles", Signer: signer(t, key('a'))})
	other := holder(0)
	other.Name = "stock"
	for name, tc := range map[string]struct {
		g *fence.Signer
		s relock.Sequencer
	}{
		"none":                    {signer(t, key('a')), relock.Sequencer{}},
		"one of another lock":     {signer(t, key('a')), other},
		"an unsigned one":         {nil, holder(0)},
		"one with another's sign": {signer(t, key('b')), holder(0)},
	} {
		if status, said := ask(t, transport(t, tc.g), url, tc.s); status != http.StatusBadRequest || said != "no valid Lock-Sequencer" {
			t.Errorf("%s: got %d, %q; want 400", name, status, said)
		}
	}
}

func TestWhatIsNoSingleSequencerIsABadRequest(t *testing.T) {
	good, err := holder(0).MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	h := fence.Middleware{Lock: "profiles"}.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the handler runs")
	}))
	for _, headers := range [][]string{nil, {""}, {"7"}, {string(good), string(good)}, {"relock1:0:o:profiles"}, {"relock1:9223372036854775807:o:profiles"}} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/", nil)
		r.Header[http.CanonicalHeaderKey(fence.Header)] = headers
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusBadRequest {
			t.Errorf("%q: got %d, want 400", headers, w.Code)
		}
	}
}

// claims is a Claimer that remembers nothing.
type claims struct {
	err      error
	resource string
}

func (c *claims) Claim(_ context.Context, resource string, _ relock.Sequencer) error {
	c.resource = resource
	return c.err
}

func TestAMiddlewareClaimsBeforeTheHandlerRuns(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	guard := relock.NewGuard(rdb)
	url := service(t, fence.Middleware{
		LockOf: func(r *http.Request) string { return strings.Trim(r.URL.Path, "/") }, Claims: guard,
		ResourceOf: func(r *http.Request) string { return "data:" + r.URL.Path },
	}) + "/profiles"
	slow, next := holder(0), holder(1000)
	for _, s := range []relock.Sequencer{slow, next, next} {
		if status, _ := ask(t, transport(t, nil), url, s); status != http.StatusOK {
			t.Errorf("token %d: got %d", s.Token, status)
		}
	}
	status, said := ask(t, transport(t, nil), url, slow)
	if status != http.StatusConflict || strings.Contains(said, string(next.Owner)) {
		t.Errorf("an overtaken holder: got %d, %q; want 409, and no names", status, said)
	}
	if err := guard.Claim(t.Context(), "data:/profiles", slow); !errors.Is(err, relock.ErrStaleToken) {
		t.Errorf("what was claimed is another resource: %v", err)
	}
}

func TestWhatAClaimSaysIsAnswered(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{{nil, 200}, {relock.ErrStaleToken, 409}, {relock.ErrInvalid, 400}, {errors.New("secret"), 503}} {
		c := &claims{err: tc.err}
		status, said := ask(t, transport(t, nil), service(t, fence.Middleware{Lock: "profiles", Claims: c}), holder(0))
		if status != tc.want || strings.Contains(said, "secret") || c.resource != "profiles" {
			t.Errorf("a claim of %q that says %v: got %d, %q; want %d", c.resource, tc.err, status, said, tc.want)
		}
	}
}

func TestAMiddlewareWithoutALockLetsNobodyIn(t *testing.T) {
	if status, _ := ask(t, transport(t, nil), service(t, fence.Middleware{}), holder(0)); status != http.StatusInternalServerError {
		t.Errorf("got %d, want 500", status)
	}
}

// A redirect must not hand the signature to a stranger.
func TestAnotherHostIsToldNoHolder(t *testing.T) {
	heard := make(chan []string, 2)
	stranger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		heard <- r.Header.Values(fence.Header)
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/of-the-same-host", http.StatusTemporaryRedirect)
		}
	}))
	defer stranger.Close()
	const direct, around = "/direct", "/around"
	var self *httptest.Server
	self = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case len(r.Header.Values(fence.Header)) != 1:
			t.Errorf("%s is told no holder", r.URL)
		case r.URL.Path == around:
			http.Redirect(w, r, self.URL+direct, http.StatusTemporaryRedirect)
		case r.URL.Path == direct:
			http.Redirect(w, r, stranger.URL+"/", http.StatusTemporaryRedirect)
		}
	}))
	defer self.Close()
	for _, path := range []string{direct, around} {
		ask(t, transport(t, signer(t, key('a'))), self.URL+path, holder(0))
		for range cap(heard) {
			if got := <-heard; len(got) > 0 {
				t.Errorf("%s: the stranger is told %q", path, got)
			}
		}
	}
}

// A stranger must not send the holder back to where it wants, and nobody may have
// the signature sent in the clear.
func TestAHolderThatWasLeftOutStaysOut(t *testing.T) {
	for name, tc := range map[string]struct {
		hops []string
		told bool
	}{
		"the same host":        {[]string{"https://a/", "https://a/x"}, true},
		"from plain to TLS":    {[]string{"http://a/", "https://a/x"}, true},
		"another host":         {[]string{"https://a/", "https://b/x"}, false},
		"back from a stranger": {[]string{"https://a/", "https://b/x", "https://a/y"}, false},
		"another host, by a base that does not say whose response it is": {[]string{"https://a/", "https://b/untold"}, false},
		"from TLS to plain": {[]string{"https://a/", "http://a/x"}, false},
	} {
		var told bool
		tr := &fence.Transport{Base: base(func(r *http.Request) (*http.Response, error) {
			told = len(r.Header.Values(fence.Header)) == 1
			w := httptest.NewRecorder()
			if tc.hops = tc.hops[1:]; len(tc.hops) > 0 {
				http.Redirect(w, r, tc.hops[0], http.StatusTemporaryRedirect)
			}
			resp := w.Result()
			if !strings.HasSuffix(resp.Header.Get("Location"), "untold") {
				resp.Request = r
			}
			return resp, nil
		})}
		if ask(t, tr, tc.hops[0], holder(0)); told != tc.told {
			t.Errorf("%s: the last one is told the holder: %v, want %v", name, told, tc.told)
		}
	}
}

type base func(*http.Request) (*http.Response, error)

func (b base) RoundTrip(r *http.Request) (*http.Response, error) { return b(r) }

func TestARequestOfNoUsableHolderIsNotSent(t *testing.T) {
	tr := &fence.Transport{Base: http.NewFileTransport(http.Dir(t.TempDir()))}
	body := &closing{Reader: strings.NewReader("x")}
	for name, s := range refused() {
		r, err := http.NewRequestWithContext(fence.WithSequencer(t.Context(), s), http.MethodPut, "http://example.com/", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := tr.RoundTrip(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		if !errors.Is(err, relock.ErrInvalid) || !body.closed || r.Header.Get(fence.Header) != "" {
			t.Errorf("a holder %s: %v; its body is closed: %v", name, err, body.closed)
		}
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error {
	c.closed = true
	return nil
}
