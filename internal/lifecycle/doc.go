// Package lifecycle is the lock manager: the life of every lock, from the call that
// asks for it to its end. It waits, holds, renews, finds losses and gives back,
// over whatever keeps the locks (package engine), and knows no server.
//
// Where things are: the wait queue of a name is the machine of package queue; what
// happens to a waiter is taken to it, and what comes of that is performed, in
// step.go. A call's way through its states is in wait.go, its requests in
// request.go, how a grant becomes a lease in grant.go and what it is worth in
// validity.go; the watchdog in watchdog.go; how a lease ends in ending.go, and what
// is sent then in release.go and close.go; the function that uses one in use.go;
// several locks as one in group.go, in the order of order.go; what is told to others
// in observer.go.
package lifecycle
