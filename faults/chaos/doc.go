// Package chaos injects faults into a rig while workers run on it.
//
// What is done when is drawn from a seed, before anything happens: one seed is
// one schedule. What the processes make of it is up to the machine.
package chaos
