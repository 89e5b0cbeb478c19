package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/millrace/millrace/cmd/millrace/demo"
)

type demoCmd struct {
	DataDir     string        `help:"Directory of the demo's data and broker, ./demo-data by default; made when missing." default:"./demo-data" placeholder:"DIR" env:"MILLRACE_DEMO_DIR"`
	Rate        float64       `help:"Events a second, 5000 by default." default:"5000" placeholder:"N" env:"MILLRACE_DEMO_RATE"`
	Duration    time.Duration `help:"Stop after this time, such as 30s; by default at Ctrl-C." placeholder:"TIME" env:"MILLRACE_DEMO_DURATION"`
	Host        string        `help:"Address to listen on, 127.0.0.1 by default." default:"127.0.0.1" placeholder:"HOST" env:"MILLRACE_DEMO_HOST"`
	Port        int           `help:"Port of the PostgreSQL protocol, 5433 by default." default:"5433" placeholder:"PORT" env:"MILLRACE_DEMO_PORT"`
	KafkaPort   int           `help:"Port of the Kafka broker, 19092 by default." default:"19092" placeholder:"PORT" env:"MILLRACE_DEMO_KAFKA_PORT"`
	HTTPPort    int           `name:"http-port" help:"Port of health and metrics, 8081 by default; 0 for none." default:"8081" placeholder:"PORT" env:"MILLRACE_DEMO_HTTP_PORT"`
	MemoryLimit bytesize      `help:"What the process may hold, such as 2GB; by default 60% of the machine's memory." placeholder:"SIZE"`
	SQL         bool          `name:"sql" help:"Print the tables, subscriptions and questions, and end." env:"-"`
}

// Run runs the demo until Ctrl-C, SIGTERM or the end of its time; a second signal ends
// the process at once.
func (d *demoCmd) Run() error {
	if d.SQL {
		_, err := fmt.Print(demo.SQL)
		return err
	}
	dir, err := filepath.Abs(d.DataDir)
	if err != nil {
		return err
	}
	terminal := false
	if st, err := os.Stdout.Stat(); err == nil {
		terminal = st.Mode()&os.ModeCharDevice != 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	_, err = demo.Run(ctx, demo.Config{
		Dir: dir, Host: d.Host, Port: d.Port, KafkaPort: d.KafkaPort, HTTPPort: d.HTTPPort, Rate: d.Rate, Duration: d.Duration,
		MemoryBytes: int64(d.MemoryLimit), Version: version, Out: os.Stdout, Terminal: terminal, Log: log,
	})
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // stopped while it was starting
	}
	return err
}
