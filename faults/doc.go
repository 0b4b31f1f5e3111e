// Package faults proves relock under faults: real servers, worker processes
// that are stopped and killed, a proxy between them, and histories that are
// checked. It is a module of its own, so that what it needs (a checker of
// linearizability) stays out of the library's.
package faults
