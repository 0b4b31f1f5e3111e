// Package rig runs the servers of a fault run: one of five topologies, each data
// server behind two proxies, so that a fault can strike half of the workers; and
// the store, a server that no fault touches, where a Guard keeps the data.
package rig
