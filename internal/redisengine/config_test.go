package redisengine

import (
	"context"
	"time"

	"github.com/relock-go/relock/internal/engine"
)

// testConfig is that of an engine that hears nothing.
func testConfig(prefix string) Config {
	return Config{
		Prefix: prefix, Call: 3 * time.Second, Retention: time.Hour,
		NewSubscription: func(string, func(string) (engine.Message, error)) Subscription { return quiet{} },
	}
}

// quiet is a subscription to nothing.
type quiet struct{}

func (quiet) Start(engine.Sink) {}

func (quiet) Listening() bool { return false }

func (quiet) Listen(context.Context) error { return nil }

func (quiet) CannotSubscribe() bool { return true }

func (quiet) Retry() {}

func (quiet) Close() {}
