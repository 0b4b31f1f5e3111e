package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// ErrBadTLS is returned when files of TLS cannot be used.
var ErrBadTLS = errors.New("TLS")

// TLS is what a rediss:// URL does not say. Empty fields have no effect.
type TLS struct {
	CA         string `json:"ca,omitempty"`          // a file of PEM: whom to trust, in place of the system's
	Cert       string `json:"cert,omitempty"`        // ours, for a server that asks for one
	Key        string `json:"key,omitempty"`         // of Cert
	ServerName string `json:"server_name,omitempty"` // that the server's certificate has to have
}

// load reads the files, and returns what puts them into a configuration. secure
// says whether the URL asks for TLS.
func (t TLS) load(secure bool) (func(*tls.Config), error) {
	bad := func(format string, args ...any) (func(*tls.Config), error) {
		return nil, fmt.Errorf("%w: %w", ErrBadTLS, fmt.Errorf(format, args...))
	}
	switch {
	case t == TLS{}:
		return func(*tls.Config) {}, nil
	case !secure:
		return bad("certificates are given, but the URL has no TLS: it must begin with rediss://")
	case (t.Cert == "") != (t.Key == ""):
		return bad("a certificate and its key belong together: --tls-cert and --tls-key")
	}
	var roots *x509.CertPool
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return bad("--tls-ca cannot be read: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(text) {
			return bad("--tls-ca %s: no certificate in PEM is in it", t.CA)
		}
	}
	var ours []tls.Certificate
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return bad("--tls-cert and --tls-key: %w", err)
		}
		ours = append(ours, pair)
	}
	return func(c *tls.Config) {
		c.RootCAs, c.Certificates = roots, ours
		if t.ServerName != "" {
			c.ServerName = t.ServerName
		}
	}, nil
}
