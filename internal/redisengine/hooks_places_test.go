package redisengine

import (
	"reflect"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A client is asked inline only where its hooks are known: with this go-redis
// they are, and with one that keeps them otherwise they are not looked for.
func TestWhereHooksAreKept(t *testing.T) {
	rdb := redis.NewFailoverClient(&redis.FailoverOptions{MasterName: "m", SentinelAddrs: []string{"127.0.0.1:1"}})
	defer rdb.Close()
	for range 2 {
		known, ok := hooksOf(rdb)
		if !ok {
			t.Fatal("this go-redis keeps its hooks elsewhere: requests are not sent inline")
		}
		before := len(known.in(known.now()))
		hook := &noHook{}
		rdb.AddHook(hook)
		if now := known.in(known.now()); len(now) != before+1 || now[before] != hook {
			t.Errorf("got %v after %d hooks and one more", now, before)
		}
	}
	for _, client := range []reflect.Type{
		reflect.TypeFor[struct{}](),
		reflect.TypeFor[struct{ state int }](),
		reflect.TypeFor[struct{ state *struct{ slice []redis.Hook } }](),
		reflect.TypeFor[struct{ state *atomic.Pointer[int] }](),
		reflect.TypeFor[struct {
			state *atomic.Pointer[struct{ hooks []redis.Hook }]
		}](),
		reflect.TypeFor[struct {
			state *atomic.Pointer[struct{ slice []int }]
		}](),
		reflect.TypeFor[struct {
			state atomic.Pointer[struct{ slice []redis.Hook }]
		}](),
	} {
		if at := hookPlacesIn(client); at.state != nil {
			t.Errorf("found hooks in %v: %+v", client, at)
		}
	}
}

// noHook does nothing.
type noHook struct{ _ int }

func (*noHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (*noHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (*noHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
