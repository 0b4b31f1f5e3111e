package rival

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/relock-go/relock/internal/redistest"
)

// hooksIn is how many hooks the go-redis clients have that v is made of.
func hooksIn(t *testing.T, v reflect.Value, depth int) (clients, hooks int) {
	t.Helper()
	for (v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface) && !v.IsNil() {
		if v.Type() == reflect.TypeFor[*redis.Client]() {
			state := v.Elem().FieldByName("hooksMixin").FieldByName("state").Elem().FieldByName("v")
			slice := reflect.NewAt(hooksType(t), state.UnsafePointer()).Elem().FieldByName("slice")
			return 1, slice.Len()
		}
		v = v.Elem()
	}
	switch {
	case depth == 0:
	case v.Kind() == reflect.Struct && strings.HasPrefix(v.Type().PkgPath(), "github.com/relock-go/relock/bench"):
		for i := range v.NumField() {
			c, h := hooksIn(t, v.Field(i), depth-1)
			clients, hooks = clients+c, hooks+h
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			c, h := hooksIn(t, v.Index(i), depth-1)
			clients, hooks = clients+c, hooks+h
		}
	}
	return clients, hooks
}

// hooksType is what a client's hooks are kept in.
func hooksType(t *testing.T) reflect.Type {
	t.Helper()
	mixin, _ := reflect.TypeFor[redis.Client]().FieldByName("hooksMixin")
	state, ok := mixin.Type.FieldByName("state")
	if !ok {
		t.Fatal("go-redis keeps its hooks elsewhere")
	}
	load, _ := state.Type.MethodByName("Load")
	return load.Type.Out(0).Elem()
}

// A hook on the client has relock send otherwise than it would. Those that have one
// say so by their names.
func TestClientsAreAsAUserHasThem(t *testing.T) {
	s := redistest.StartT(t)
	if err := Record(t.Context(), s.Addr()); err != nil {
		t.Fatal(err)
	}
	for _, k := range slices.Concat(All(), Floors()) {
		t.Run(k.Name, func(t *testing.T) {
			env := Env{Addrs: []string{s.Addr()}, TTL: TTL, Hook: NewHook(k.Commands)}
			for n := 1; n < k.Nodes; n++ { // nobody asks them anything here
				env.Addrs = append(env.Addrs, fmt.Sprintf("127.0.0.%d:1", n+1))
			}
			c, err := k.Open(env)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			clients, hooks := hooksIn(t, reflect.ValueOf(c), 4)
			if clients == 0 && k.Name != Rueidislock.Name && !strings.Contains(k.Name, "in memory") {
				t.Error("no go-redis client was found: look deeper")
			}
			want := 0
			if k.Hooked {
				want = clients
			}
			if hooks != want || k.Hooked != strings.Contains(k.Name, "hook") {
				t.Errorf("got %d hooks on %d clients, want %d", hooks, clients, want)
			}
		})
	}
}

// Floors send what relock sends, whatever it sends: the same keys, and as many and as
// long arguments.
func TestRecordedRequestsAreRelocks(t *testing.T) {
	s := redistest.StartT(t)
	if err := Record(t.Context(), s.Addr()); err != nil {
		t.Fatal(err)
	}
	for what, e := range map[string]exchange{"pair": recordedPair, "hand-off": recordedHandOff} {
		for _, r := range []request{e.lock, e.unlock} {
			if len(r.keys) < 5 || len(r.args) < 3 {
				t.Errorf("%s: got %d keys and %d arguments: %v %v", what, len(r.keys), len(r.args), r.keys, r.args)
			}
			if got := r.of("other").keys[0]; got != "relock:lock:{other}" {
				t.Errorf("%s: got the key %q of another name", what, got)
			}
		}
	}
	if recordedPair.lock.channel() >= 0 || recordedHandOff.lock.channel() < 0 {
		t.Errorf("got channels at %d and %d: one that waits alone has one", recordedPair.lock.channel(), recordedHandOff.lock.channel())
	}
}

func TestHookCountsAgree(t *testing.T) {
	for _, c := range []struct {
		count    HookCount
		executed int64
		ok       bool
	}{
		{HookCount{Seen: 4, Answered: 4}, 4, true},
		{HookCount{Seen: 4, Answered: 3}, 3, true}, // one may not have arrived
		{HookCount{Seen: 4, Answered: 3}, 2, false},
		{HookCount{Seen: 4, Answered: 4}, 5, false},
		{HookCount{}, 2, false},
	} {
		if err := c.count.Agree(c.executed); (err == nil) != c.ok {
			t.Errorf("%+v with %d executed: %v", c.count, c.executed, err)
		}
	}
}

func TestAHookCountsWhatIsAnswered(t *testing.T) {
	h := NewHook([]string{"evalsha"})
	ctx := context.Background()
	ok, refused, lost, other := redis.NewCmd(ctx, "evalsha"), redis.NewCmd(ctx, "evalsha"), redis.NewCmd(ctx, "evalsha"), redis.NewCmd(ctx, "ping")
	refused.SetErr(redis.Nil)
	lost.SetErr(context.DeadlineExceeded)
	pipeline := h.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return nil })
	_ = pipeline(ctx, []redis.Cmder{ok, refused, lost, other})
	if got := h.Count(); got != (HookCount{3, 2}) {
		t.Errorf("got %+v, want 3 seen and 2 answered", got)
	}
}
