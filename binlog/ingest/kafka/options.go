package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/millrace/millrace/binlog/ingest"
	"github.com/millrace/millrace/catalog/sqlstate"
)

func bad(option, value, hint string) error {
	return sqlstate.Errorf(sqlstate.InvalidParameterValue, "invalid value for subscription parameter \"%s\": \"%s\"", option, value).WithHint("%s", hint)
}

// clientOptions are what a client is made with. An option of the subscription counts
// before one in the connection string.
func clientOptions(c *ingest.OpenConfig) ([]kgo.Opt, error) {
	query := c.Conn.Query()
	for k := range query {
		switch k {
		case "sasl_mechanism", "sasl_username", "sasl_password", "ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_server_name", "ssl_insecure",
			"isolation_level", "client_id", "fetch_max_bytes":
		default:
			return nil, ingest.Unrecognized(k)
		}
	}
	get := func(k string) string {
		if v, ok := c.Options.Source[k]; ok {
			return v
		}
		return query.Get(k)
	}
	seeds, err := brokers(c.Conn.Host)
	if err != nil {
		return nil, err
	}
	if len(seeds) == 0 {
		return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "connection string names no broker")
	}
	// A fetch under way and one in the buffer for each broker are within the buffer's
	// bound, which counts what has been taken from them.
	fetch := int64(4 << 20)
	if v := get("fetch_max_bytes"); v != "" {
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil || n < 1024 {
			return nil, bad("fetch_max_bytes", v, "It is a number of bytes, at least 1024.")
		}
		fetch = n
	}
	id := get("client_id")
	if id == "" {
		id = "millrace"
	}
	opts := []kgo.Opt{
		kgo.SeedBrokers(seeds...), kgo.ClientID(id), kgo.FetchMaxBytes(int32(fetch)), kgo.FetchMaxPartitionBytes(int32(fetch)), kgo.BrokerMaxReadBytes(256 << 20),
		kgo.FetchMaxWait(500 * time.Millisecond), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.KeepControlRecords(),
		kgo.DialTimeout(5 * time.Second), kgo.RetryTimeout(20 * time.Second), kgo.MetadataMaxAge(30 * time.Second), kgo.MetadataMinAge(500 * time.Millisecond),
		kgo.RetryBackoffFn(func(tries int) time.Duration {
			return min(100*time.Millisecond<<min(tries, 6), 3*time.Second)
		}),
	}
	switch v := get("isolation_level"); v {
	case "", "read_committed":
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	case "read_uncommitted":
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadUncommitted()))
	default:
		return nil, bad("isolation_level", v, "Choose read_committed or read_uncommitted.")
	}
	user, pass := get("sasl_username"), get("sasl_password")
	if user == "" && c.Conn.User != nil {
		user = c.Conn.User.Username()
	}
	switch v := strings.ToLower(get("sasl_mechanism")); v {
	case "":
		if user != "" {
			opts = append(opts, kgo.SASL(plain.Auth{User: user, Pass: pass}.AsMechanism()))
		}
	case "plain":
		opts = append(opts, kgo.SASL(plain.Auth{User: user, Pass: pass}.AsMechanism()))
	case "scram-sha-256":
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: pass}.AsSha256Mechanism()))
	case "scram-sha-512":
		opts = append(opts, kgo.SASL(scram.Auth{User: user, Pass: pass}.AsSha512Mechanism()))
	default:
		return nil, bad("sasl_mechanism", v, "Choose plain, scram-sha-256 or scram-sha-512.")
	}
	if get("sasl_mechanism") != "" && user == "" {
		return nil, sqlstate.Errorf(sqlstate.InvalidParameterValue, "subscription needs the parameter \"sasl_username\"").
			WithHint("It may also stand in the connection string, as kafka://user:password@host:port.")
	}
	on, err := isOn("ssl", get("ssl"))
	if err != nil {
		return nil, err
	}
	if !on && get("ssl_ca") == "" && get("ssl_cert") == "" {
		return opts, nil
	}
	conf, err := tlsConfig(get)
	if err != nil {
		return nil, err
	}
	return append(opts, kgo.DialTLSConfig(conf)), nil
}

func isOn(name, v string) (bool, error) {
	switch strings.ToLower(v) {
	case "", "off", "false", "no", "0":
		return false, nil
	case "on", "true", "yes", "1":
		return true, nil
	}
	return false, bad(name, v, "It is on or off.")
}

func tlsConfig(get func(string) string) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: get("ssl_server_name")}
	insecure, err := isOn("ssl_insecure", get("ssl_insecure"))
	if err != nil {
		return nil, err
	}
	conf.InsecureSkipVerify = insecure
	if f := get("ssl_ca"); f != "" {
		pem, err := os.ReadFile(f)
		if err != nil {
			return nil, bad("ssl_ca", f, "The file cannot be read.")
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, bad("ssl_ca", f, "The file has no certificate.")
		}
	}
	cert, key := get("ssl_cert"), get("ssl_key")
	if cert == "" && key == "" {
		return conf, nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, bad("ssl_cert", cert, "The certificate and its key (ssl_key) cannot be read.")
	}
	conf.Certificates = []tls.Certificate{pair}
	return conf, nil
}
