package redisengine

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What a scriptTest finds in the lock's keys, and what it writes there in the
// place of time.

// clock is the server's, in microseconds.
func (s *scriptTest) clock() int64 {
	s.Helper()
	now, err := s.rdb.Time(context.Background()).Result()
	if err != nil {
		s.Fatal(err)
	}
	return now.UnixMicro()
}

// wantLock checks the whole hash of a held lock.
func (s *scriptTest) wantLock(owner string, token int64, holds ...string) {
	s.Helper()
	got := s.rdb.HGetAll(context.Background(), s.lock).Val()
	want := []string{"owner:" + owner, "since", "token"}
	for _, hold := range holds {
		want = append(want, "hold:"+hold)
	}
	slices.Sort(want)
	fields := make([]string, 0, len(got))
	for f := range got {
		fields = append(fields, f)
	}
	slices.Sort(fields)
	if !slices.Equal(fields, want) {
		s.Errorf("got a lock of fields %q, want %q", fields, want)
	}
	if got, want := got["token"], strconv.FormatInt(token, 10); got != want {
		s.Errorf("got token %s in the lock, want %s", got, want)
	}
	if got, want := got["owner:"+owner], strconv.Itoa(len(holds)); got != want {
		s.Errorf("got count %q in the lock, want %s", got, want)
	}
}

// wantHolder checks who has the lock, with one hold.
func (s *scriptTest) wantHolder(owner string) {
	s.Helper()
	if got := s.status(); len(got) != 7 || got[3] != owner || got[4] != int64(1) {
		s.Errorf("got status %v, want one hold of %s", got, owner)
	}
}

// token is that of the lock, which must be held.
func (s *scriptTest) token() int64 {
	s.Helper()
	got := s.status()
	if len(got) != 7 {
		s.Fatalf("got status %v, want a held lock", got)
	}
	return got[2].(int64)
}

// laterToken is that of the lock, which must have been granted after old was.
func (s *scriptTest) laterToken(old int64) int64 {
	s.Helper()
	got := s.token()
	if got <= old {
		s.Errorf("got token %d after %d", got, old)
	}
	return got
}

func (s *scriptTest) wantGone(keys ...string) {
	s.Helper()
	for _, key := range keys {
		if s.do("exists", key) != int64(0) {
			s.Errorf("%s exists, want it gone", key)
		}
	}
}

func (s *scriptTest) wantFence(want int64) {
	s.Helper()
	if got := s.rdb.Get(context.Background(), s.fence).Val(); got != strconv.FormatInt(want, 10) {
		s.Errorf("got fence %q, want %d", got, want)
	}
}

// wantQueue checks who waits, in order, and that both keys agree.
func (s *scriptTest) wantQueue(want ...string) {
	s.Helper()
	ctx := context.Background()
	got := s.rdb.ZRange(ctx, s.queue, 0, -1).Val()
	if !slices.Equal(got, want) {
		s.Errorf("got queue %q, want %q", got, want)
	}
	entries := s.rdb.HKeys(ctx, s.waiters).Val()
	slices.Sort(entries)
	slices.Sort(got)
	if !slices.Equal(entries, got) {
		s.Errorf("got waiters' entries %q, want those of the queue %q", entries, got)
	}
}

func (s *scriptTest) wantTTL(key string, want int64) {
	s.Helper()
	if got := s.do("pttl", key); !s.matches(got, left(want)) {
		s.Errorf("got %v ms left of %s, want %d", got, key, want)
	}
}

// endIn moves the end of a hold; the key's TTL stays.
func (s *scriptTest) endIn(hold string, ms int64) {
	s.Helper()
	s.do("hset", s.lock, "hold:"+hold, s.clock()/1000+ms)
}

// silence makes the last check-in of a waiter as old as its entry's life.
func (s *scriptTest) silence(hold string) {
	s.Helper()
	entry := s.do("hget", s.waiters, hold).(string)
	_, rest, _ := strings.Cut(entry, " ")
	s.do("hset", s.waiters, hold, fmt.Sprintf("%d %s", s.clock()/1000-testLife, rest))
}
