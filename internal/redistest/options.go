package redistest

import "strconv"

// Option configures a server.
type Option func(*config)

// config is what a server is started from, again on each restart.
type config struct {
	binary string
	dir    string // "" for a temporary one
	args   []string
	// sentinel writes the configuration file of a sentinel; nil for others.
	sentinel func(port int) string
}

// WithArgs adds command line arguments, such as "--appendonly", "yes". They
// come after the defaults and override them.
func WithArgs(args ...string) Option {
	return func(c *config) { c.args = append(c.args, args...) }
}

// WithDir makes the server keep its data in an existing folder, which is not
// removed. The default is a temporary one. Topologies ignore it: their
// servers would share it.
func WithDir(dir string) Option { return func(c *config) { c.dir = dir } }

// WithBinary chooses the server binary. The default is [FindServer].
func WithBinary(path string) Option { return func(c *config) { c.binary = path } }

// withOwnDir undoes WithDir.
func withOwnDir() Option { return func(c *config) { c.dir = "" } }

// withSentinel makes the server a sentinel.
func withSentinel(conf func(port int) string) Option {
	return func(c *config) { c.sentinel = conf }
}

// newConfig applies opts to the defaults.
func newConfig(opts []Option) (config, error) {
	var c config
	for _, opt := range opts {
		opt(&c)
	}
	if c.binary != "" {
		return c, nil
	}
	binary, err := FindServer()
	c.binary = binary
	return c, err
}

// commandLine is the arguments of an ordinary server.
func (c *config) commandLine(port int, dir string) []string {
	args := []string{
		"--port", strconv.Itoa(port), "--bind", host, "--protected-mode", "no",
		"--dir", dir, "--save", "", "--appendonly", "no",
	}
	return append(args, c.args...)
}
