// Command runner loads, checks and times a server that speaks the PostgreSQL
// protocol, and puts result files side by side. See ../README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/millrace/millrace/regress/bench/runner/bench"
)

const usage = `usage: runner COMMAND [flags]
  load     create a suite's tables and COPY its data in
  query    run a suite's queries on one server, or on two side by side (-dsn2)
  answers  write a suite's answers, as the server gives them, to a file
  check    compare a result file that holds data (-keep) with an answers file
  report   put result files side by side: runner report a.json b.json ...
  points   point lookups by primary key
  upsert   INSERT ... ON CONFLICT DO UPDATE in batches
  copy     COPY a kv file into a fresh table
  mixed    upserts beside analytic queries
  fresh    delay from a commit to its visibility on another connection
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	cmd := os.Args[1]
	o := options{}
	fs := flag.NewFlagSet(cmd, flag.ExitOnError)
	fs.StringVar(&o.dsn, "dsn", "postgres://postgres@127.0.0.1:5432/postgres", "server to measure")
	fs.StringVar(&o.dsn2, "dsn2", "", "query: a second server, run side by side")
	fs.StringVar(&o.name, "name", "", "engine name in the report (default: from the server's version)")
	fs.StringVar(&o.name2, "name2", "", "the second server's name")
	fs.StringVar(&o.kit, "kit", "..", "the kit's folder (schema/, queries/, answers/)")
	fs.StringVar(&o.suite, "suite", "tpch", "tpch, hits or kv")
	fs.StringVar(&o.data, "data", ".", "folder with the generated files; copy: the kv.tsv file's folder")
	fs.StringVar(&o.dialect, "dialect", "pg", "load: schema variant, pg or holo")
	fs.StringVar(&o.setup, "setup", "", "statements to run on each connection first, e.g. \"SET jit = off\"")
	fs.StringVar(&o.only, "only", "", "query: comma-separated ids, e.g. q01,q06")
	fs.StringVar(&o.answers, "answers", "", "query, check: answers file to check against")
	fs.StringVar(&o.json, "json", "", "write the result to this file")
	fs.BoolVar(&o.keep, "keep", false, "query: keep the answers' rows in the result file")
	fs.BoolVar(&o.stable, "stable", false, "query: the variants with a total order (on with -answers)")
	fs.Float64Var(&o.tol, "tol", 1e-9, "relative tolerance for numbers")
	fs.IntVar(&o.runs, "runs", 3, "query: runs of each query")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Minute, "query: limit for one run")
	fs.StringVar(&o.clients, "clients", "1,8,32", "points, upsert: client counts")
	fs.StringVar(&o.modes, "modes", "prepared,simple", "points: protocol modes")
	fs.StringVar(&o.batches, "batches", "1,100,1000", "upsert: rows a statement")
	fs.DurationVar(&o.duration, "duration", 5*time.Second, "points, upsert, mixed: time for each measurement")
	fs.Int64Var(&o.rows, "rows", 1_000_000, "points, upsert, mixed: rows in kv")
	fs.Parse(os.Args[2:])

	ctx := context.Background()
	var err error
	switch cmd {
	case "load":
		err = load(ctx, o)
	case "query":
		err = query(ctx, o)
	case "answers":
		o.keep, o.runs, o.stable = true, 1, true
		err = query(ctx, o)
	case "check":
		err = check(o, fs.Args())
	case "report":
		err = report(fs.Args())
	case "points":
		err = points(ctx, o)
	case "upsert":
		err = upsert(ctx, o)
	case "copy":
		err = copyIn(ctx, o)
	case "mixed":
		err = mixed(ctx, o)
	case "fresh":
		err = fresh(ctx, o)
	default:
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		os.Exit(1)
	}
}

type options struct {
	dsn, dsn2, name, name2                       string
	kit, suite, data, dialect, setup             string
	only, answers, json, clients, modes, batches string
	keep, stable                                 bool
	tol                                          float64
	runs                                         int
	rows                                         int64
	timeout, duration                            time.Duration
}

func (o options) queries() ([]*bench.Query, error) {
	dir := filepath.Join(o.kit, "queries", o.suite)
	if o.stable || o.answers != "" {
		return bench.ReadQueries(dir, o.only, dir+"-check")
	}
	return bench.ReadQueries(dir, o.only)
}

func check(o options, files []string) error {
	answers, err := bench.ReadResult(o.answers)
	if err != nil {
		return err
	}
	bad := 0
	for _, f := range files {
		r, err := bench.ReadResult(f)
		if err != nil {
			return err
		}
		bad += r.CheckAgainst(answers, o.tol)
		for _, q := range r.Queries {
			fmt.Println(r.Engine, q.ID, q.Check, q.Error)
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d answers differ", bad)
	}
	return nil
}

func report(files []string) error {
	var rs []*bench.Result
	for _, f := range files {
		r, err := bench.ReadResult(f)
		if err != nil {
			return err
		}
		rs = append(rs, r)
	}
	if len(rs) == 0 {
		return fmt.Errorf("report: no files")
	}
	bench.Report(os.Stdout, rs)
	return nil
}

func splitInts(s string) ([]int, error) {
	var out []int
	for _, p := range strings.Split(s, ",") {
		var v int
		if _, err := fmt.Sscan(strings.TrimSpace(p), &v); err != nil || v < 1 {
			return nil, fmt.Errorf("not a list of counts: %q", s)
		}
		out = append(out, v)
	}
	return out, nil
}
