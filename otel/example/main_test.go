package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestTheExampleServesWhatItMeasures(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	url, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- run(ctx, "localhost:0", func(at string) { url <- at }) }()
	at := <-url
	for body := ""; !strings.Contains(body, "relock_acquire_duration_seconds_bucket") || !strings.Contains(body, "relock_lease_count"); {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatalf("%v; the last answer was %s", err, body)
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		body = string(text)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
