package fence_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/fence"
)

// connect connects to an embedded Redis.
func connect() (*relock.Client, *redis.Client, func()) {
	m := miniredis.NewMiniRedis()
	if err := m.Start(); err != nil {
		log.Fatal(err)
	}
	m.ClockTTL(true)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr()})
	client, err := relock.New(rdb)
	if err != nil {
		log.Fatal(err)
	}
	return client, rdb, func() {
		_ = client.Close()
		_ = rdb.Close()
		m.Close()
	}
}

// profiles is a service that keeps profiles in Redis for callers that hold the
// lock "profiles".
func profiles(guard *relock.Guard, signer *fence.Signer) http.Handler {
	m := fence.Middleware{Lock: "profiles", Signer: signer} // 400 for anybody else
	return m.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		holder, _ := fence.SequencerFrom(r.Context())
		profile, err := io.ReadAll(r.Body)
		if err == nil {
			err = guard.Set(r.Context(), "profile:7", holder, profile, 0)
		}
		if err != nil {
			fence.Error(w, err) // 409 for ErrStaleToken
		}
	}))
}

// put stores a profile on behalf of whoever holds lease.
func put(ctx context.Context, caller *http.Client, url string, lease *relock.Lease, profile string) (int, error) {
	ctx = fence.WithSequencer(ctx, lease.Sequencer())
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, url, strings.NewReader(profile))
	if err != nil {
		return 0, err
	}
	resp, err := caller.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// The holder travels with the request to the service that does the write.
func Example() {
	client, rdb, stop := connect()
	defer stop()
	ctx := context.Background()
	secret := make([]byte, fence.MinKey)
	_, _ = rand.Read(secret)

	slow, err := client.Mutex("profiles").Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_ = slow.Unlock(ctx)
	lease, err := client.Mutex("profiles").Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lease.Unlock(ctx)

	signer, err := fence.NewSigner(secret) // both sides have the key
	if err != nil {
		log.Fatal(err)
	}
	service := httptest.NewServer(profiles(relock.NewGuard(rdb), signer))
	defer service.Close()
	caller := &http.Client{Transport: &fence.Transport{Signer: signer}}
	defer caller.CloseIdleConnections()
	fmt.Println(put(ctx, caller, service.URL, lease, "new"))
	fmt.Println(put(ctx, caller, service.URL, slow, "late"))
	fmt.Println(put(ctx, http.DefaultClient, service.URL, lease, "of nobody"))
	// Output:
	// 200 <nil>
	// 409 <nil>
	// 400 <nil>
}

// A storage with a fence of its own is a Claimer by one method.
func ExampleClaimer() {
	var files fence.Claimer = claimerFunc(func(_ context.Context, resource string, s relock.Sequencer) error {
		if err := fence.Check(s); err != nil { // what no lock issues
			return err
		}
		return fmt.Errorf("%w: a later holder was at %s", relock.ErrStaleToken, resource)
	})
	err := files.Claim(context.Background(), "report.csv", relock.Sequencer{Name: "report", Token: 7, Owner: "a"})
	fmt.Println(errors.Is(err, relock.ErrStaleToken), fence.Status(err))
	// Output: true 409
}

type claimerFunc func(context.Context, string, relock.Sequencer) error

func (f claimerFunc) Claim(ctx context.Context, resource string, s relock.Sequencer) error {
	return f(ctx, resource, s)
}
