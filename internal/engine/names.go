package engine

import (
	"crypto/rand"
	"os"
	"strconv"
	"sync"
	"time"
)

// MaxName is how many bytes a lock's name may have.
const MaxName = 512

// The least and the greatest time to live that a hold may have.
const (
	MinTTL = 100 * time.Millisecond
	MaxTTL = 365 * 24 * time.Hour
)

// KeptOwner is who holds a lock that was given back and stays taken until its
// minimum is over: nobody.
const KeptOwner = "!kept"

// TombstoneLife is for how long a given-up hold is refused: longer than a request
// can live in a network and in the buffers of two machines.
const TombstoneLife = time.Minute

// CheckName returns [ErrInvalid] for a name that no lock can have.
func CheckName(name string) error {
	switch {
	case name == "":
		return Invalid("an empty lock name")
	case len(name) > MaxName:
		return Invalid("a lock name of %d bytes: at most %d", len(name), MaxName)
	}
	return nil
}

// CheckTTL returns [ErrInvalid] for a time to live that no hold can have.
func CheckTTL(what string, d time.Duration) error {
	if d < MinTTL || d > MaxTTL {
		return Invalid("%s(%v): must be between %v and %v", what, d, MinTTL, MaxTTL)
	}
	return nil
}

// NewID returns what no other call returns.
func NewID() string { return rand.Text()[:16] }

// OwnerPrefix is what tells the owners of this process from those of others.
var OwnerPrefix = sync.OnceValue(func() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		name = "unknown"
	}
	if len(name) > 64 {
		name = name[:64]
	}
	return name + "/" + strconv.Itoa(os.Getpid()) + "/"
})
