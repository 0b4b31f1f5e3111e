// Package lifecycle is the lock manager: the life of every lock, from the call that
// asks for it to its end. It waits, holds, renews, finds losses and gives back,
// over whatever keeps the locks (package engine), and knows no server.
//
// Where things are: the wait loop in wait.go, the requests of a call and the
// grants by message in request.go, what a grant is worth in validity.go and how
// it becomes a lease in grant.go; the watchdog in watchdog.go; how a lease ends
// in ending.go, and what is sent then in release.go and close.go; several locks
// as one in group.go, in the order of order.go; what is told to others in
// observer.go.
package lifecycle
