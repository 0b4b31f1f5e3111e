// Package work is a worker process of a fault run: goroutines that take locks of
// every kind, change data through a Guard, and record each call. It is told what
// to do on its standard input and may be stopped or killed at any time.
package work
