// Package faultproxy is a TCP proxy between a Redis client and a server that
// breaks the connection in chosen ways.
//
// It understands RESP2 and RESP3 just enough to know where one request or
// reply ends and which reply answers which request, so that a single command
// can be lost, held back, or executed without its reply. Bytes that no fault
// touches pass unmodified.
//
//	client --Up--> proxy --Up--> server
//	client <-Down- proxy <-Down- server
//
// Faults of the whole link: [Proxy.Cut], [Proxy.Blackhole], [Proxy.Freeze],
// [Proxy.Delay], [Proxy.ResetAll]; [Proxy.Restore] ends them. Faults of one
// command: [Proxy.DropRequest], [Proxy.Hold], [Proxy.DropReply],
// [Proxy.DropPush]. One request meets them in that order, so a request that
// was held may lose its reply as well.
//
// A TCP stream never loses bytes in its middle. Therefore a connection that
// lost a request or a reply delivers nothing more in that direction; it is
// silent, or closed, but never answers a request with the next one's reply.
//
// After PSYNC, SYNC or MONITOR the stream is no longer requests and replies:
// it is copied as it comes, and only the faults of the whole link apply.
// CLIENT REPLY OFF and SKIP are not supported.
package faultproxy
