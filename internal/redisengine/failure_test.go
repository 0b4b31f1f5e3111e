package redisengine

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/engine"
)

// What a client can be expected to find decides what is a refusal for good.
func TestARefusalPassesForAsLongAsItsClientMayFindTheServer(t *testing.T) {
	failover := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}})
	both := redis.NewFailoverClusterClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}})
	one := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	many := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})
	pipeliner, err := one.AsyncAutoPipeline()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = pipeliner.Close()
		for _, c := range []redis.UniversalClient{failover, both, one, many} {
			_ = c.Close()
		}
	}()
	const never, ever = 0, 1 << 20
	for _, tc := range []struct {
		name            string
		rdb             Client
		moved, readOnly int // for how many call timeouts it passes
	}{
		{"one server", one, never, 1},
		{"a wrapper of it", struct{ *redis.Client }{one}, never, 1},
		{"Sentinel", failover, never, ever},
		{"a cluster", many, ever, ever},
		{"Sentinel, with reads from replicas", both, ever, ever},
		{"behind an AutoPipeliner", pipeliner, unknownGrace, unknownGrace},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for said, want := range map[string]int{"MOVED 1 127.0.0.1:2": tc.moved, "ASK 1 127.0.0.1:2": tc.moved, "READONLY no": tc.readOnly} {
				err := advise(tc.rdb, FromServer(serverError(said)))
				if !redis.HasErrorPrefix(err, said) {
					t.Errorf("got %v, want what Redis said: %s", err, said)
				}
				if want > 0 && !engine.IsTransientAfter(err, want-1) || want < ever && engine.IsTransientAfter(err, want) {
					t.Errorf("%s: does not pass for %d call timeouts", said, want)
				}
				if want == ever != (err.Error() == said) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
}
