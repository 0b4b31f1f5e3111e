package redisengine

import "strconv"

// Words that most commands have are part of the command, and are written from there:
// a number or a text of its own would be one more piece of memory. go-redis asks
// for their bytes when it writes the command, and a command is written by one at a
// time. Hooks that print commands see their text.

// A number is a word of a command.
type number struct {
	n    int64
	room [20]byte
}

// MarshalBinary is asked for by go-redis when it writes the command.
func (w *number) MarshalBinary() ([]byte, error) { return strconv.AppendInt(w.room[:0], w.n, 10), nil }

func (w *number) String() string { return strconv.FormatInt(w.n, 10) }

// A holdField is the field of a lock's hash that a hold is kept in.
type holdField struct {
	hold string
	room [40]byte // for an id of the usual length
}

const holdPrefix = "hold:"

// MarshalBinary is asked for by go-redis when it writes the command.
func (w *holdField) MarshalBinary() ([]byte, error) {
	return append(append(w.room[:0], holdPrefix...), w.hold...), nil
}

func (w *holdField) String() string { return holdPrefix + w.hold }
