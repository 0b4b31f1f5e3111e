package fence_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
)

// object is a version of an object in a store like S3, with who wrote it.
type object struct {
	body  []byte
	etag  string // empty: there is none
	fence relock.Sequencer
}

func getObject(ctx context.Context, c *http.Client, url string) (object, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return object{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return object{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return object{}, nil
	}
	all, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return object{}, fmt.Errorf("%s, %w", resp.Status, err)
	}
	first, body, _ := bytes.Cut(all, []byte("\n"))
	o := object{body: body, etag: resp.Header.Get("ETag")}
	return o, o.fence.UnmarshalText(first)
}

var errChanged = errors.New("the object is not what it was")

// putObject writes o over the version of its ETag, and over no other. The first
// line says who has written it: an ETag is a hash of what the object holds, and of
// metadata it says nothing.
func putObject(ctx context.Context, c *http.Client, url string, o object) error {
	first, err := o.fence.MarshalText()
	if err != nil {
		return err
	}
	body := append(append(first, '\n'), o.body...)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if o.etag == "" {
		req.Header.Set("If-None-Match", "*")
	} else {
		req.Header.Set("If-Match", o.etag)
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusPreconditionFailed, http.StatusConflict:
		return errChanged
	}
	return errors.New(resp.Status)
}

// changeObject changes an object on behalf of a holder. c signs its requests as
// the store wants them.
func changeObject(ctx context.Context, c *http.Client, url string, s relock.Sequencer, change func([]byte) []byte) error {
	if err := fence.Check(s); err != nil {
		return err
	}
	for {
		o, err := getObject(ctx, c, url)
		if err != nil {
			return err
		}
		if o.fence.Token > s.Token || o.fence.Token == s.Token && o.fence.Owner != s.Owner {
			return fmt.Errorf("%w: token %d came after %d", relock.ErrStaleToken, s.Token, o.fence.Token)
		}
		err = putObject(ctx, c, url, object{change(o.body), o.etag, s})
		if !errors.Is(err, errChanged) {
			return err
		}
	}
}

// checkConditions returns an error for a store that takes conditions and does not
// mind them. Run it once at the start, on an object of its own.
func checkConditions(ctx context.Context, c *http.Client, url string) error {
	test := object{fence: relock.Sequencer{Name: "self-test", Token: 1, Owner: "self-test"}}
	wrong := test
	wrong.etag = `"no such version"`
	if err := putObject(ctx, c, url, wrong); err == nil {
		return errors.New("the store ignores If-Match: it cannot be fenced")
	}
	_ = putObject(ctx, c, url, test) // there may be one from before
	if err := putObject(ctx, c, url, test); !errors.Is(err, errChanged) {
		return fmt.Errorf("the store ignores If-None-Match (%v): it cannot be fenced", err)
	}
	return nil
}

// bucket stands in for a store like S3, whose ETag is a hash of the object.
type bucket struct {
	mu      sync.Mutex
	objects map[string][]byte
	careful bool // it minds conditions
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	had, there := b.objects[r.URL.Path]
	etag := fmt.Sprintf("%q", fmt.Sprintf("%x", sha256.Sum256(had)))
	match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match") != ""
	switch {
	case r.Method == http.MethodGet && !there:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodGet:
		w.Header().Set("ETag", etag)
		_, _ = w.Write(had)
	case b.careful && (none && there || match != "" && (!there || match != etag)):
		w.WriteHeader(http.StatusPreconditionFailed)
	default:
		b.objects[r.URL.Path], _ = io.ReadAll(r.Body)
	}
}

// The condition If-Match makes the claim and the write one: whoever writes in
// between changes the ETag.
func Example_objectStore() {
	ctx := context.Background()
	for _, careful := range []bool{true, false} {
		store := httptest.NewServer(&bucket{objects: map[string][]byte{}, careful: careful})
		defer store.Close()
		c := store.Client()
		if err := checkConditions(ctx, c, store.URL+"/self-test"); err != nil {
			fmt.Println(err)
			continue
		}
		add := func(s relock.Sequencer, what string) {
			err := changeObject(ctx, c, store.URL+"/report", s, func(had []byte) []byte { return append(had, what...) })
			fmt.Println(what, err)
		}
		add(sequencer(7, "a"), "one,")
		add(sequencer(9, "b"), "two,")
		add(sequencer(7, "a"), "late,")
		o, _ := getObject(ctx, c, store.URL+"/report")
		fmt.Println(string(o.body))
	}
	// Output:
	// one, <nil>
	// two, <nil>
	// late, relock: stale token: token 7 came after 9
	// one,two,
	// the store ignores If-Match: it cannot be fenced
}
