package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/bench/runner/bench"
)

var suiteTables = map[string][]string{
	"tpch": {"region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"},
	"hits": {"hits"},
	"kv":   {"kv"},
}

// server is one connection and what is known of the engine behind it.
type server struct {
	conn          *pgconn.PgConn
	name, version string
}

func connect(ctx context.Context, dsn, name, setup string) (*server, error) {
	c, err := pgconn.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	s := &server{conn: c, name: name}
	if setup != "" {
		if _, err := c.Exec(ctx, setup).ReadAll(); err != nil {
			return nil, fmt.Errorf("setup: %w", err)
		}
	}
	if rows, err := s.exec(ctx, "SELECT version()"); err == nil && len(rows) == 1 {
		engine, rest, _ := strings.Cut(rows[0][0], " ")
		s.version, _, _ = strings.Cut(rest, " ")
		if s.name == "" {
			s.name = engine
		}
	}
	return s, nil
}

// exec runs one statement by the simple protocol and reads every row as text.
func (s *server) exec(ctx context.Context, sql string) ([][]string, error) {
	m := s.conn.Exec(ctx, sql)
	var out [][]string
	for m.NextResult() {
		out = out[:0]
		rr := m.ResultReader()
		for rr.NextRow() {
			vals := rr.Values()
			row := make([]string, len(vals))
			for i, v := range vals {
				if v == nil {
					row[i] = bench.Null
				} else {
					row[i] = string(v)
				}
			}
			out = append(out, row)
		}
	}
	return out, m.Close()
}

func load(ctx context.Context, o options) error {
	s, err := connect(ctx, o.dsn, o.name, o.setup)
	if err != nil {
		return err
	}
	defer s.conn.Close(ctx)
	tables, ok := suiteTables[o.suite]
	if !ok {
		return fmt.Errorf("no suite %q", o.suite)
	}
	base := filepath.Join(o.kit, "schema", o.suite+"."+o.dialect)
	res := &bench.Result{Engine: s.name, Version: s.version, Suite: o.suite}
	if err := s.script(ctx, base+".sql"); err != nil {
		return err
	}
	ext, copyOpts := ".tsv", ""
	if o.suite == "tpch" {
		ext, copyOpts = ".tbl", " WITH (FORMAT csv, DELIMITER '|')"
	}
	for _, t := range tables {
		f, err := os.Open(filepath.Join(o.data, t+ext))
		if err != nil {
			return err
		}
		start := time.Now()
		tag, err := s.conn.CopyFrom(ctx, f, "COPY "+t+" FROM STDIN"+copyOpts)
		f.Close()
		if err != nil {
			return fmt.Errorf("copy %s: %w", t, err)
		}
		res.Load = append(res.Load, bench.Step{Name: t, Rows: tag.RowsAffected(), Seconds: time.Since(start).Seconds()})
	}
	if post := base + ".post.sql"; fileExists(post) {
		start := time.Now()
		if err := s.script(ctx, post); err != nil {
			return err
		}
		res.Load = append(res.Load, bench.Step{Name: "post", Seconds: time.Since(start).Seconds()})
	}
	if rows, err := s.exec(ctx, "SELECT pg_database_size(current_database())"); err == nil && len(rows) == 1 {
		fmt.Sscan(rows[0][0], &res.Size)
	}
	res.Print(os.Stdout)
	if o.json != "" {
		return res.Write(o.json, false)
	}
	return nil
}

func fileExists(p string) bool {
	_, err := os.Stat(p)
	return err == nil
}

// script runs a file statement by statement, so that VACUUM and the like are
// not inside an implicit transaction.
func (s *server) script(ctx context.Context, path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, stmt := range strings.Split(stripComments(string(b)), ";\n") {
		if strings.TrimSpace(stmt) == "" {
			continue
		}
		if _, err := s.exec(ctx, stmt); err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

func stripComments(s string) string {
	var out []string
	for _, l := range strings.Split(s, "\n") {
		if !strings.HasPrefix(strings.TrimSpace(l), "--") {
			out = append(out, l)
		}
	}
	return strings.Join(out, "\n")
}

// query runs each query on the server or on both servers in turn, so that a
// passing disturbance hits both alike.
func query(ctx context.Context, o options) error {
	type target struct {
		s   *server
		qs  []*bench.Query
		res *bench.Result
		dsn string
	}
	var ts []*target
	for i, dsn := range []string{o.dsn, o.dsn2} {
		if dsn == "" {
			continue
		}
		s, err := connect(ctx, dsn, []string{o.name, o.name2}[i], o.setup)
		if err != nil {
			return err
		}
		qs, err := o.queries()
		if err != nil {
			return err
		}
		ts = append(ts, &target{s, qs, &bench.Result{Engine: s.name, Version: s.version, Suite: o.suite, Queries: qs}, dsn})
	}
	for i := range ts[0].qs {
		for _, t := range ts {
			q := t.qs[i]
			q.Run(func(sql string) ([][]string, error) {
				c, cancel := context.WithTimeout(ctx, o.timeout)
				defer cancel()
				return t.s.exec(c, sql)
			}, o.runs, o.keep || o.answers != "")
			if t.s.conn.IsClosed() { // a timeout closes the connection
				s, err := connect(ctx, t.dsn, t.s.name, o.setup)
				if err != nil {
					return err
				}
				t.s = s
			}
			if len(q.TimesMS) > 0 {
				fmt.Fprintf(os.Stderr, "%s %s %.1f ms\n", t.s.name, q.ID, q.BestMS)
			} else {
				fmt.Fprintf(os.Stderr, "%s %s %s\n", t.s.name, q.ID, q.Error)
			}
		}
	}
	bad := 0
	if o.answers != "" {
		a, err := bench.ReadResult(o.answers)
		if err != nil {
			return err
		}
		for _, t := range ts {
			bad += t.res.CheckAgainst(a, o.tol)
		}
	}
	var rs []*bench.Result
	for i, t := range ts {
		t.s.conn.Close(ctx)
		t.res.Print(os.Stdout)
		rs = append(rs, t.res)
		if o.json != "" {
			path := o.json
			if i > 0 {
				path = strings.TrimSuffix(path, ".json") + ".2.json"
			}
			if err := t.res.Write(path, o.keep); err != nil {
				return err
			}
		}
	}
	if len(rs) > 1 {
		bench.Report(os.Stdout, rs)
	}
	if bad > 0 {
		return fmt.Errorf("%d answers differ", bad)
	}
	return nil
}
