// Command faults proves relock under faults: real servers, worker processes
// that are stopped and killed, a proxy between them, and histories that are
// checked. It is a module of its own, so that what it needs (a checker of
// linearizability) stays out of the library's.
//
//	go run . -for 60m -topology all -seed 1   any length, with live progress
//	go run . -short                           every topology, about two minutes
//	go run . -fencing 100000                  what a Guard is worth
//	go run . -topology aof -judge DIR         a history that was kept, judged again
//
// It ends with the figure to publish, and fails if there was a violation; what
// belongs to that is kept in a folder, and the commands that judge it again and
// that replay its schedule are printed.
package main
