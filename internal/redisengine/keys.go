package redisengine

import (
	"strings"
)

// Every key and channel name is made here.
//
// The keys of one lock share a hash tag, so that scripts work on a Cluster. The
// kind stands before the name:
//
//	<prefix>:<kind>:{<name>}    the name is the tag
//	<prefix>:<kind>::<name>     the name brings a tag of its own and keeps its slot
//	<prefix>:<kind>:%{<name>}   it has a } and no tag: its % and } are written %25 and %7D
//
// Each way is injective, and no key of one is a key of another: after the kind's
// colon stands a brace, a colon or a per cent sign.

// The kinds of keys.
const (
	KindLock       = "lock"
	KindFence      = "fence"
	KindQueue      = "queue"
	KindWaiters    = "waiters"
	KindTombstones = "tombstones"
	KindGuard      = "guard"
	kindChannel    = "wake"
	kindNode       = "rednode" // what a server remembers of its quorum
)

// quorumSpace begins the kinds of the keys that a node of a quorum keeps: they
// stand apart from those of a single server's locks.
const quorumSpace = "red"

var (
	escapeTag   = strings.NewReplacer("%", "%25", "}", "%7D")
	unescapeTag = strings.NewReplacer("%25", "%", "%7D", "}")
)

// hasTag tells whether Redis Cluster finds a hash tag in name: something
// between the first { and the first } after it.
func hasTag(name string) bool {
	_, after, found := strings.Cut(name, "{")
	if !found {
		return false
	}
	tag, _, closed := strings.Cut(after, "}")
	return closed && tag != ""
}

// KeyOf returns a key of a lock.
func KeyOf(prefix, kind, name string) string {
	if hasTag(name) {
		return prefix + ":" + kind + "::" + name
	}
	if strings.Contains(name, "}") {
		return prefix + ":" + kind + ":%{" + escapeTag.Replace(name) + "}"
	}
	return prefix + ":" + kind + ":{" + name + "}"
}

// nameOf is the reverse of keyOf.
func nameOf(prefix, kind, key string) (string, bool) {
	rest, found := strings.CutPrefix(key, prefix+":"+kind+":")
	if !found || rest == "" {
		return "", false
	}
	if name, own := strings.CutPrefix(rest, ":"); own {
		return name, hasTag(name)
	}
	rest, escaped := strings.CutPrefix(rest, "%")
	if len(rest) < 3 || rest[0] != '{' || strings.IndexByte(rest, '}') != len(rest)-1 {
		return "", false
	}
	name := rest[1 : len(rest)-1]
	if escaped {
		name = unescapeTag.Replace(name)
	}
	return name, true
}

// SpaceKeys are the keys of one lock, in the order in which every script takes
// them. space is empty, or [quorumSpace] for a quorum's node.
func SpaceKeys(prefix, space, name string) [5]string {
	return [5]string{
		KeyOf(prefix, space+KindLock, name),
		KeyOf(prefix, space+KindFence, name),
		KeyOf(prefix, space+KindQueue, name),
		KeyOf(prefix, space+KindWaiters, name),
		KeyOf(prefix, space+KindTombstones, name),
	}
}

func nodeKey(prefix string) string { return prefix + ":" + kindNode }

func channelOf(prefix, client string) string {
	return prefix + ":" + kindChannel + ":" + client
}

// tagOf returns what Redis Cluster hashes of a name's keys.
func tagOf(name string) string {
	if !hasTag(name) {
		return name
	}
	_, after, _ := strings.Cut(name, "{")
	tag, _, _ := strings.Cut(after, "}")
	return tag
}

var escapeGlob = strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`, `\`, `\\`)

// lockPattern matches the keys of all locks, and others.
func lockPattern(prefix string) string { return escapeGlob.Replace(prefix) + ":*" }

// lockOrQueueName returns whose key it is, of a lock that is held or waited for.
func lockOrQueueName(prefix, space, key string) (string, bool) {
	if name, ok := nameOf(prefix, space+KindLock, key); ok {
		return name, true
	}
	return nameOf(prefix, space+KindQueue, key)
}
