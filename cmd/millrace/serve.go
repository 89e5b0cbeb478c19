package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"github.com/millrace/millrace/server"
)

type serveCmd struct {
	DataDir        string   `help:"Directory of the data, ./data by default; made when missing." default:"./data" placeholder:"DIR"`
	Listen         []string `help:"Addresses of the PostgreSQL protocol: host:port, or unix:PATH. By default 127.0.0.1:5432." default:"127.0.0.1:5432" placeholder:"ADDR"`
	HTTP           string   `name:"http" help:"Address of health, metrics and profiles; empty for none. By default 127.0.0.1:8080." default:"127.0.0.1:8080" placeholder:"ADDR"`
	MemoryLimit    bytesize `help:"What the process may hold, such as 512MB; by default 60% of the machine's memory." placeholder:"SIZE"`
	Workers        int      `help:"Threads for queries; by default one a core." placeholder:"N"`
	MaxConnections int      `help:"Sessions at once, 100 by default." default:"100" placeholder:"N"`
	TLSCert        string   `name:"tls-cert" help:"Certificate file (PEM) for TLS." placeholder:"FILE"`
	TLSKey         string   `name:"tls-key" help:"Key file (PEM) for TLS." placeholder:"FILE"`
	LogLevel       string   `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info"`
}

// Run serves until SIGTERM or SIGINT; a second signal ends the process at once.
func (s *serveCmd) Run() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	return server.Run(ctx, server.Config{
		DataDir: s.DataDir, Listen: s.Listen, HTTP: s.HTTP,
		MemoryBytes: int64(s.MemoryLimit), Workers: s.Workers, MaxConnections: s.MaxConnections,
		TLSCert: s.TLSCert, TLSKey: s.TLSKey,
		Version: version, Log: log,
	}, server.Open)
}

// bytesize is a number of bytes written as people do: 512MB, 2GiB, 1.5g.
type bytesize int64

// UnmarshalText implements encoding.TextUnmarshaler. Units are powers of 1024, as
// in PostgreSQL's settings.
func (b *bytesize) UnmarshalText(text []byte) error {
	s := strings.ToUpper(strings.TrimSpace(string(text)))
	digits := strings.TrimRight(s, "KMGTIB ")
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSpace(s[len(digits):]), "B"), "I")
	shift, ok := map[string]uint{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}[unit]
	n, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(n >= 0) || n*float64(uint64(1)<<shift) > 1<<60 {
		return fmt.Errorf("%q is not a size such as 512MB or 4GB", text)
	}
	*b = bytesize(n * float64(uint64(1)<<shift))
	return nil
}
