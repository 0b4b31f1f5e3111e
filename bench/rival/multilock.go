package rival

import (
	"strconv"

	"github.com/relock-go/relock"
	"github.com/relock-go/relock/redlock"
)

// multiMembers is how many locks a MultiLock takes together.
const multiMembers = 4

// RelockMultiLock is several of this module's Mutexes, held as one.
var RelockMultiLock = Kind{
	Name: "relock MultiLock",
	Settings: "redlock.NewMultiLock of " + strconv.Itoa(multiMembers) + " Mutexes of one client on one server, defaults: " +
		"every pair takes and gives back all of them",
	Commands: []string{"evalsha", "eval"},
	Open:     func(env Env) (Client, error) { return openRelock(plain(env), false, multiLocker) },
}

func multiLocker(c *relock.Client, name string) Locker {
	var members []relock.Locker
	for i := range multiMembers {
		members = append(members, c.Mutex(name+":"+strconv.Itoa(i)))
	}
	all, err := redlock.NewMultiLock(members...)
	if err != nil {
		panic(err) // members are of this module, and not the same
	}
	return relockLocker{all, ""}
}
