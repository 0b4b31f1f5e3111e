package redisengine

import (
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/redis/go-redis/v9"
)

// hooks looks at the hooks that a client has, at the cost of an atomic load.
//
// go-redis has no way to ask for them, its clones come without, and AddHook may
// be called at any time. But each AddHook publishes a new state through an atomic
// pointer, and nobody changes one that is published: it is loaded as go-redis
// loads it, and what was found in one stays true. hooksOf knows where the pointer
// and the hooks are by the names and the types of the fields; where one of them is
// not what it was, it knows nothing.
type hooks struct {
	state *atomic.Pointer[byte]
	slice uintptr // the offset of the []Hook in what that points to
}

// now returns the state of this moment. While a caller keeps it, no other state
// has its address.
func (h hooks) now() unsafe.Pointer { return unsafe.Pointer(h.state.Load()) }

// in returns the hooks of a state.
func (h hooks) in(state unsafe.Pointer) []redis.Hook {
	return *(*[]redis.Hook)(unsafe.Add(state, h.slice))
}

// any reports whether there are any.
func (h hooks) any() bool { return len(h.in(h.now())) > 0 }

// hooksOf returns false where the hooks of a client cannot be found.
func hooksOf(client Client) (hooks, bool) {
	at := hookFields(reflect.TypeOf(client))
	if at.state == nil {
		return hooks{}, false
	}
	state, err := reflect.ValueOf(client).Elem().FieldByIndexErr(at.state)
	if err != nil || state.IsNil() {
		return hooks{}, false
	}
	return hooks{(*atomic.Pointer[byte])(state.UnsafePointer()), at.slice}, true
}

// hookPlaces is where go-redis keeps hooks.
type hookPlaces struct {
	state []int   // the way from a Client to the *atomic.Pointer; nil: there is none
	slice uintptr // the offset of the []Hook in what that points to
}

var (
	clientHooks  = sync.OnceValue(func() hookPlaces { return hookPlacesIn(reflect.TypeFor[redis.Client]()) })
	clusterHooks = sync.OnceValue(func() hookPlaces { return hookPlacesIn(reflect.TypeFor[redis.ClusterClient]()) })
)

// hookFields knows the places of the hooks of clients that are go-redis's own.
func hookFields(client reflect.Type) hookPlaces {
	switch client {
	case reflect.TypeFor[*redis.Client]():
		return clientHooks()
	case reflect.TypeFor[*redis.ClusterClient]():
		return clusterHooks()
	}
	return hookPlaces{}
}

func hookPlacesIn(client reflect.Type) (at hookPlaces) {
	mixin, ok := client.FieldByName("hooksMixin")
	if !ok || mixin.Type.Kind() != reflect.Struct {
		return at
	}
	state, ok := mixin.Type.FieldByName("state")
	if !ok || state.Type.Kind() != reflect.Pointer {
		return at
	}
	pointer := state.Type.Elem()
	load, ok := state.Type.MethodByName("Load")
	if !ok || pointer.PkgPath() != "sync/atomic" || !strings.HasPrefix(pointer.Name(), "Pointer[") {
		return at
	}
	published := load.Type.Out(0).Elem()
	if published.Kind() != reflect.Struct {
		return at
	}
	slice, ok := published.FieldByName("slice")
	if !ok || slice.Type != reflect.TypeFor[[]redis.Hook]() || len(slice.Index) != 1 {
		return at
	}
	return hookPlaces{append(mixin.Index, state.Index...), slice.Offset}
}
