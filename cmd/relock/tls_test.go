//go:build unix

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/relock-go/relock/internal/redistest"
)

func TestByTLS(t *testing.T) {
	cert, key := selfSigned(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	port := freePort(t)
	redistest.StartT(t, redistest.WithArgs("--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key,
		"--tls-ca-cert-file", cert, "--tls-auth-clients", "no"))
	url := "rediss://127.0.0.1:" + port
	wants(t, exitUnreachable, []string{"run", "--redis", url, "job", "--", "true"}, "cannot reach Redis", "certificate")
	t.Setenv("SSL_CERT_FILE", cert)
	wants(t, exitOK, []string{"run", "--redis", url, "job", "--", "echo", "by TLS"}, "by TLS")
	wants(t, exitOK, []string{"doctor", "--redis", url}, "publish      allowed")
}

func TestByMutualTLS(t *testing.T) {
	theirs, theirKey := selfSigned(t, &x509.Certificate{DNSNames: []string{"redis.example"}}) // and no address
	ours, ourKey := selfSigned(t, &x509.Certificate{})
	port := freePort(t)
	redistest.StartT(t, redistest.WithArgs("--tls-port", port, "--tls-cert-file", theirs, "--tls-key-file", theirKey,
		"--tls-ca-cert-file", ours, "--tls-auth-clients", "yes"))
	url := "rediss://127.0.0.1:" + port
	ca, name, pair := []string{"--tls-ca", theirs}, []string{"--tls-server-name", "redis.example"}, []string{"--tls-cert", ours, "--tls-key", ourKey}
	flags := func(more ...[]string) []string {
		all := []string{"--redis", url}
		for _, m := range more {
			all = append(all, m...)
		}
		return all
	}
	for _, verb := range verbs {
		if verb[0] == "complete-words" {
			continue
		}
		status := exitOK
		if verb[0] == "unlock" {
			status = exitFailed // it is free
		}
		more := []string{}
		switch verb[0] {
		case "demo":
			more = []string{"--duration", "200ms", "--workers", "1"}
		case "bench":
			more = []string{"--duration", "10ms", "--goroutines", "1"}
		}
		wants(t, status, with(verb, append(flags(ca, name, pair), more...)...))
	}
	run := []string{"run", "job", "--", "true"}
	wants(t, exitUnreachable, with(run, flags(ca, name)...), "cannot reach Redis at 127.0.0.1:"+port)
	wants(t, exitUnreachable, with(run, flags(ca, pair)...), "certificate")
	wants(t, exitUnreachable, with(run, flags(name, pair)...), "certificate")

	// Mistakes are one line, and told before anything is sent.
	plain := []string{"--redis", "redis://127.0.0.1:" + port}
	wants(t, exitUsage, with(run, append(plain, ca...)...), "relock run: TLS: certificates are given, but the URL has no TLS: it must begin with rediss://")
	wants(t, exitUsage, with(run, flags([]string{"--tls-cert", ours})...), "belong together: --tls-cert and --tls-key")
	wants(t, exitUsage, with(run, flags([]string{"--tls-ca", "/nowhere"})...), "--tls-ca cannot be read: open /nowhere: no such file")
	wants(t, exitUsage, with(run, flags([]string{"--tls-ca", ourKey})...), "no certificate in PEM is in it")
	wants(t, exitUsage, with(run, flags([]string{"--tls-cert", ours, "--tls-key", theirKey})...), "private key does not match")

	// From the environment, and a flag before it.
	t.Setenv(envRedis, url)
	t.Setenv(envTLSCA, theirs)
	t.Setenv(envTLSCert, ours)
	t.Setenv(envTLSKey, ourKey)
	t.Setenv(envTLSServerName, "other.example")
	wants(t, exitUnreachable, run, "redis.example, not other.example")
	wants(t, exitOK, with(run, name...))
	t.Setenv(envTLSServerName, "redis.example")
	wants(t, exitOK, []string{"run", "job", "--", os.Args[0], "complete-words", "inspect", ""}, "job")
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// selfSigned returns files of a certificate and of its key.
func selfSigned(t *testing.T, of *x509.Certificate) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	of.SerialNumber, of.NotBefore, of.NotAfter = big.NewInt(1), now.Add(-time.Hour), now.Add(time.Hour)
	of.IsCA, of.BasicConstraintsValid = true, true
	public, err := x509.CreateCertificate(rand.Reader, of, of, secret.Public(), secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: public}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}
