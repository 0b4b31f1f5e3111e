package redistest

import (
	"errors"
	"math/rand/v2"
	"net"
	"strconv"
)

const (
	host = "127.0.0.1"

	// Ports are chosen below the range that the kernel gives to outgoing
	// connections, so that nobody takes the port of a server that is down for
	// a restart. A cluster bus has its server's port + 10000.
	firstPort  = 12000
	ports      = 10000
	busOffset  = 10000
	portTrials = 1000
)

var errNoPort = errors.New("redistest: no free port")

// freePort returns a port that was free for a server and its cluster bus just
// now. Another process may take it first; the caller then tries again.
func freePort() (int, error) {
	for range portTrials {
		port := firstPort + rand.IntN(ports)
		if isFree(port) && isFree(port+busOffset) {
			return port, nil
		}
	}
	return 0, errNoPort
}

func isFree(port int) bool {
	l, err := net.Listen("tcp", address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

func address(port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
