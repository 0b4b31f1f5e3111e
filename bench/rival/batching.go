package rival

import "github.com/relock-go/relock"

// What is told whether to batch. A version of relock that has no such option is
// measured without this file, by a withBatching that returns nothing.

// RelockBatched is relock on a client with a hook, told to batch all the same.
var RelockBatched = Kind{
	Name:     "relock (hook, batching)",
	Settings: RelockHooked.Settings + ", WithBatching(true): the hook sees pipelines",
	Commands: RelockHooked.Commands,
	Hooked:   true,
	Open: func(env Env) (Client, error) {
		return openRelock(hooked(env), false, mutexLocker, relock.WithBatching(true))
	},
}

// RelockAlone is relock told not to batch.
var RelockAlone = Kind{
	Name:     "relock (no batching)",
	Settings: Relock.Settings + ", but WithBatching(false): each request leaves by itself",
	Commands: Relock.Commands,
	Open: func(env Env) (Client, error) {
		return openRelock(plain(env), false, mutexLocker, relock.WithBatching(false))
	},
}

func withBatching(on bool) []Kind {
	if on {
		return []Kind{RelockBatched}
	}
	return []Kind{RelockAlone}
}
