package feel

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/internal/redistest"
)

func TestAFigureRestsOnSamplesHoweverShortTheTime(t *testing.T) {
	_, rdb := redistest.Embedded(t)
	var clients [2]*relock.Client
	for i := range clients {
		c, err := relock.New(rdb)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		clients[i] = c
	}
	sum, err := Measure(context.Background(), clients[0], clients[1], 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	if sum.HandOffs < LeastSamples || sum.HandOffP50 <= 0 || sum.HandOffP99 < sum.HandOffP50 {
		t.Errorf("hand-offs: %d, p50 %d us, p99 %d us", sum.HandOffs, sum.HandOffP50, sum.HandOffP99)
	}
	if sum.OnePairs <= 0 || sum.ManyPairs <= 0 {
		t.Errorf("pairs a second: %v and %v", sum.OnePairs, sum.ManyPairs)
	}
}

func TestASpan(t *testing.T) {
	broken := errors.New("broken")
	stopped := errors.New("stopped")
	every := func(d time.Duration, s *span) func(context.Context, int) error {
		return func(ctx context.Context, _ int) error {
			select {
			case <-time.After(d):
				s.samples.Add(1)
			case <-ctx.Done():
			}
			return ctx.Err()
		}
	}
	for name, tt := range map[string]struct {
		each    time.Duration // a sample in each of two goroutines; 0: broken at once
		stop    time.Duration // of the caller's context
		want    error
		lasts   time.Duration
		samples int64
	}{
		"has its time":                   {10 * time.Millisecond, time.Hour, nil, time.Second, 200},
		"has its samples":                {time.Second, time.Hour, nil, 10 * time.Second, LeastSamples},
		"ends where Redis hangs":         {time.Hour, time.Hour, ErrStalled, patience, 0},
		"ends with its caller":           {time.Hour, time.Second, stopped, time.Second, 0},
		"ends with the first that fails": {0, time.Hour, broken, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeoutCause(t.Context(), tt.stop, stopped)
				defer cancel()
				s := &span{d: time.Second}
				f := every(tt.each, s)
				if tt.each == 0 {
					f = func(context.Context, int) error { return broken }
				}
				began := time.Now()
				err := s.fill(ctx, 2, f)
				if took := time.Since(began); !errors.Is(err, tt.want) || took != tt.lasts {
					t.Errorf("got %v after %v, want %v after %v", err, took, tt.want, tt.lasts)
				}
				if got := s.samples.Load(); got < tt.samples-1 || got > tt.samples {
					t.Errorf("got %d samples, want %d", got, tt.samples)
				}
			})
		})
	}
}
