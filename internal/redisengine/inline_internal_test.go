package redisengine

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

func TestInlineRequests(t *testing.T) {
	proven := func() *inlineSender {
		rdb := redis.NewClient(&redis.Options{})
		t.Cleanup(func() { _ = rdb.Close() })
		d := newInlineSender(rdb)
		d.most = 2
		for range inlineProof {
			if d.enter() {
				t.Fatal("sent inline before the server was known to be near")
			}
			d.observe(inlineQuick, nil)
		}
		return d
	}
	t.Run("no more are under way than may be", func(t *testing.T) {
		d := proven()
		for range d.most {
			if !d.enter() {
				t.Fatal("refused")
			}
		}
		if d.enter() {
			t.Error("one more was let in")
		}
		d.leave()
		if !d.enter() {
			t.Error("refused after one had left")
		}
	})
	t.Run("a late reply ends them", func(t *testing.T) {
		d := proven()
		d.observe(inlineQuick+1, nil)
		if d.enter() {
			t.Error("sent inline after a late reply")
		}
	})
	t.Run("no reply ends them, a refusal does not", func(t *testing.T) {
		d := proven()
		d.observe(0, errors.New("WRONGTYPE"))
		if !d.enter() {
			t.Error("not sent inline after the server refused a request at once")
		}
		d.observe(0, engine.ErrUnknown)
		if d.enter() {
			t.Error("sent inline after no reply")
		}
	})
	t.Run("only a plain client can be asked so", func(t *testing.T) {
		d := newInlineSender(&redis.ClusterClient{})
		for range inlineProof {
			d.observe(0, nil)
		}
		if d.enter() {
			t.Error("sent inline through a cluster client")
		}
	})
	t.Run("only one whose requests end by themselves", func(t *testing.T) {
		for why, o := range map[string]*redis.Options{
			"its connections take no read deadline":  {ReadTimeout: -2},
			"its connections take no write deadline": {WriteTimeout: -2},
			"its limiter may block":                  {Limiter: blocking{}},
			"its credentials may take time":          {CredentialsProvider: func() (string, string) { return "", "" }},
			"what it does on connecting may": {OnConnect: func(context.Context, *redis.Conn) error {
				return nil
			}},
		} {
			rdb := redis.NewClient(o)
			d := newInlineSender(rdb)
			_ = rdb.Close()
			for range inlineProof {
				d.observe(0, nil)
			}
			if d.enter() {
				t.Errorf("sent inline, though %s", why)
			}
		}
	})
}

type blocking struct{}

func (blocking) Allow() error { select {} }

func (blocking) ReportResult(error) {}

// An inline request that finds no connection makes one, and introduces itself,
// within the same limit.
func TestAnInlineRequestIsGivenUpWhileItConnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rdb := redis.NewClient(&redis.Options{
			Addr: "127.0.0.1:0",
			Dialer: func(context.Context, string, string) (net.Conn, error) {
				client, server := net.Pipe()
				// go-redis 9.22 leaves a connection open that it could not introduce itself on.
				_ = server.SetDeadline(time.Now().Add(time.Second))
				go answerLate(server, inlineFor*3/4)
				return client, nil
			},
		})
		defer func() { _ = rdb.Close(); <-time.After(time.Minute) }() // what is on its way arrives
		start := time.Now()
		_, err := newInlineSender(rdb).run(context.Background(), newCommand(&statusScript, nil), start)
		if took := time.Since(start); took > inlineFor {
			t.Errorf("returned after %v, want no more than %v", took, inlineFor)
		}
		if !errors.Is(err, engine.ErrUnsent) {
			t.Errorf("got %v, want that nothing was sent", err)
		}
	})
}

// answerLate refuses each command that conn brings, some time after it came.
func answerLate(conn net.Conn, lag time.Duration) {
	buf := make([]byte, 1<<16)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		<-time.After(lag)
		if _, err := conn.Write(bytes.Repeat([]byte("-ERR no\r\n"), bytes.Count(buf[:n], []byte("*")))); err != nil {
			return
		}
	}
}
