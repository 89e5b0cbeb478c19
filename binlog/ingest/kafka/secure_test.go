package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/binlog/ingest"
)

// authority makes certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	n    int64
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.make(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, "ca")
	return a
}

// make writes NAME.pem and NAME.key.
func (a *authority) make(c *x509.Certificate, name string) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.n++
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(a.n), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	priv, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for ext, b := range map[string]*pem.Block{".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "EC PRIVATE KEY", Bytes: priv}} {
		if err := os.WriteFile(a.file(name+ext), pem.EncodeToMemory(b), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return out, key
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// tries opens a source with options, and reads a message.
func tries(t *testing.T, b *broker, opts map[string]string) error {
	t.Helper()
	return triesFor(t, time.Minute, b, opts)
}

// triesFor is tries where nothing answers until the time is over.
func triesFor(t *testing.T, d time.Duration, b *broker, opts map[string]string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	s, err := open(ctx, &ingest.OpenConfig{Conn: &url.URL{Scheme: "kafka", Host: strings.Join(b.ListenAddrs(), ",")}, Publications: []string{"a"},
		Options: &ingest.Options{Source: opts}, Trouble: func(error) {}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	s.Close()
	return nil
}

func outcome(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", what, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: %v, want %s", what, err, want)
	}
}

// TestTLS: the broker's certificate is checked, and ours is shown to it.
func TestTLS(t *testing.T) {
	a := newAuthority(t)
	a.make(&x509.Certificate{Subject: pkix.Name{CommonName: "broker"}, DNSNames: []string{"broker.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, "broker")
	a.make(&x509.Certificate{Subject: pkix.Name{CommonName: "millrace"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, "client")
	stranger := newAuthority(t)
	pair, err := tls.LoadX509KeyPair(a.file("broker.pem"), a.file("broker.key"))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	for _, mutual := range []bool{false, true} {
		conf := &tls.Config{Certificates: []tls.Certificate{pair}}
		if mutual {
			conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, pool
		}
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"), kfake.TLS(conf))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := &broker{Cluster: c, t: t}
		with := func(opts ...string) map[string]string {
			m := map[string]string{}
			if mutual {
				m["ssl_cert"], m["ssl_key"] = a.file("client.pem"), a.file("client.key")
			}
			for i := 0; i < len(opts); i += 2 {
				m[opts[i]] = opts[i+1]
			}
			return m
		}
		outcome(t, "the right authority", tries(t, b, with("ssl_ca", a.file("ca.pem"))), "")
		outcome(t, "another name", tries(t, b, with("ssl_ca", a.file("ca.pem"), "ssl_server_name", "broker.test")), "")
		outcome(t, "unchecked", tries(t, b, with("ssl", "on", "ssl_insecure", "on")), "")
		outcome(t, "another authority", tries(t, b, with("ssl_ca", stranger.file("ca.pem"))), "certificate")
		outcome(t, "the system's authorities", tries(t, b, with("ssl", "on")), "certificate")
		outcome(t, "a name it does not have", tries(t, b, with("ssl_ca", a.file("ca.pem"), "ssl_server_name", "other.test")), "other.test")
		if mutual {
			outcome(t, "no certificate", triesFor(t, 3*time.Second, b, map[string]string{"ssl_ca": a.file("ca.pem")}), "could not reach the brokers")
		} else {
			outcome(t, "no TLS", triesFor(t, 3*time.Second, b, nil), "could not reach the brokers")
		}
	}
}

// TestMechanisms: each way to show a password, right and wrong.
func TestMechanisms(t *testing.T) {
	for mech, name := range map[string]string{"plain": "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512"} {
		c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "a"), kfake.EnableSASL(), kfake.Superuser(name, "joe", "pw"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b := &broker{Cluster: c, t: t}
		opts := func(pass string) map[string]string {
			return map[string]string{"sasl_mechanism": mech, "sasl_username": "joe", "sasl_password": pass}
		}
		outcome(t, mech, tries(t, b, opts("pw")), "")
		outcome(t, mech+" with a wrong password", triesFor(t, 3*time.Second, b, opts("no")), "could not reach the brokers")
	}
}
