// Package slt runs scripts of SQL statements with expected answers, in the format
// of SQLite's sqllogictest, with additions of our own:
//
//	statement ok
//	statement error [SQLSTATE]
//	query TYPES [nosort|rowsort|valuesort] [LABEL]
//	…SQL…
//	----
//	…answer, or "N values hashing to MD5"
//
// With TYPES "-" the answer has a line a row, values separated by a tab as the
// server sent them in text form, NULL as \N. skipif and onlyif look at the engine's
// name; hash-threshold, halt and set are known.
package slt

import (
	"bufio"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Record is one statement or query of a script.
type Record struct {
	Line      int
	SQL       string
	Query     bool
	Types     string
	Sort      string
	Label     string
	WantError bool
	Code      string // SQLSTATE wanted, "" for any
	Want      []string
	Skip      []string // skipif/onlyif lines, as written
	Comment   []string // lines before the record
}

// Script is a parsed file.
type Script struct {
	Records   []*Record
	Threshold int
	Tail      []string
}

// Parse reads a script.
func Parse(r io.Reader) (*Script, error) {
	s := &Script{}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 1<<20), 64<<20)
	line := 0
	var comment, skip []string
	next := func() (string, bool) {
		if !sc.Scan() {
			return "", false
		}
		line++
		return strings.TrimRight(sc.Text(), "\r"), true
	}
	for {
		l, ok := next()
		if !ok {
			break
		}
		f := strings.Fields(l)
		if len(f) == 0 || strings.HasPrefix(l, "#") {
			comment = append(comment, l)
			continue
		}
		switch f[0] {
		case "halt":
			return s, sc.Err()
		case "hash-threshold":
			s.Threshold, _ = strconv.Atoi(f[1])
			comment = append(comment, l)
		case "skipif", "onlyif":
			skip = append(skip, strings.Join(f[:2], " "))
		case "statement":
			rec := &Record{Line: line, Comment: comment, Skip: skip, WantError: len(f) > 1 && f[1] == "error"}
			if rec.WantError && len(f) > 2 {
				rec.Code = f[2]
			}
			comment, skip = nil, nil
			rec.SQL = block(next, nil)
			s.Records = append(s.Records, rec)
		case "query":
			rec := &Record{Line: line, Comment: comment, Skip: skip, Query: true, Types: "-", Sort: "nosort"}
			comment, skip = nil, nil
			if len(f) > 1 {
				rec.Types = f[1]
			}
			if len(f) > 2 {
				rec.Sort = f[2]
			}
			if len(f) > 3 {
				rec.Label = f[3]
			}
			sep := false
			rec.SQL = block(next, &sep)
			if sep {
				for {
					l, ok := next()
					if !ok || l == "" {
						break
					}
					rec.Want = append(rec.Want, l)
				}
			}
			s.Records = append(s.Records, rec)
		default:
			return nil, fmt.Errorf("line %d: %q is no record", line, l)
		}
	}
	s.Tail = comment
	return s, sc.Err()
}

// block reads lines up to an empty one, or to ---- when sep is given.
func block(next func() (string, bool), sep *bool) string {
	var b []string
	for {
		l, ok := next()
		if !ok || l == "" {
			break
		}
		if sep != nil && l == "----" {
			*sep = true
			break
		}
		b = append(b, l)
	}
	return strings.Join(b, "\n")
}

// applies says whether a record is meant for the engine.
func (r *Record) applies(engine string) bool {
	for _, s := range r.Skip {
		w, name, _ := strings.Cut(s, " ")
		if w == "skipif" && name == engine || w == "onlyif" && name != engine {
			return false
		}
	}
	return true
}

// Failure is a record that did not go as the script says.
type Failure struct {
	Line int
	SQL  string
	Msg  string
}

func (f *Failure) Error() string { return fmt.Sprintf("line %d: %s\n%s", f.Line, f.Msg, f.SQL) }

// Run runs the script on a connection, calls fail for each failure and returns how
// many records ran. With rewrite, answers and SQLSTATEs are taken over from the
// server instead.
func (s *Script) Run(ctx context.Context, c *pgconn.PgConn, engine string, rewrite bool, fail func(*Failure)) int {
	labels := map[string]string{}
	n := 0
	for _, r := range s.Records {
		if !r.applies(engine) {
			continue
		}
		n++
		rows, err := exec(ctx, c, r.SQL)
		var pe *pgconn.PgError
		if err != nil && !errors.As(err, &pe) {
			fail(&Failure{r.Line, r.SQL, "connection: " + err.Error()})
			return n
		}
		if rewrite {
			r.WantError = err != nil
			if err != nil {
				r.Query, r.Code = false, pe.Code
				continue
			}
			if r.Query {
				r.Want = r.answer(rows)
			}
			continue
		}
		switch {
		case r.WantError && err == nil:
			fail(&Failure{r.Line, r.SQL, "an error was expected"})
		case r.WantError && r.Code != "" && pe.Code != r.Code:
			fail(&Failure{r.Line, r.SQL, fmt.Sprintf("SQLSTATE %s (%s), want %s", pe.Code, pe.Message, r.Code)})
		case !r.WantError && err != nil:
			fail(&Failure{r.Line, r.SQL, fmt.Sprintf("%s: %s", pe.Code, pe.Message)})
		case r.Query && err == nil:
			got := r.answer(rows)
			if msg := compare(r.Want, got, s.Threshold); msg != "" {
				fail(&Failure{r.Line, r.SQL, msg})
				continue
			}
			if r.Label != "" {
				h := hash(got)
				if old, ok := labels[r.Label]; ok && old != h {
					fail(&Failure{r.Line, r.SQL, "differs from an earlier query with label " + r.Label})
				}
				labels[r.Label] = h
			}
		}
	}
	return n
}

func exec(ctx context.Context, c *pgconn.PgConn, sql string) ([][][]byte, error) {
	res, err := c.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	if len(res) == 0 {
		return nil, nil
	}
	last := res[len(res)-1]
	return last.Rows, last.Err
}

// answer formats and sorts rows as the record says.
func (r *Record) answer(rows [][][]byte) []string {
	if r.Types == "-" {
		out := make([]string, len(rows))
		for i, row := range rows {
			vals := make([]string, len(row))
			for k, v := range row {
				vals[k] = `\N`
				if v != nil {
					vals[k] = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\t", `\t`).Replace(string(v))
				}
			}
			out[i] = strings.Join(vals, "\t")
			if out[i] == "" {
				out[i] = "(empty)"
			}
		}
		if r.Sort == "rowsort" {
			sort.Strings(out)
		}
		return out
	}
	text := make([][]string, len(rows))
	for i, row := range rows {
		text[i] = make([]string, len(row))
		for k, v := range row {
			text[i][k] = value(r.Types[min(k, len(r.Types)-1)], v)
		}
	}
	if r.Sort == "rowsort" {
		sort.Slice(text, func(i, j int) bool {
			for k := range text[i] {
				if text[i][k] != text[j][k] {
					return text[i][k] < text[j][k]
				}
			}
			return false
		})
	}
	var out []string
	for _, row := range text {
		out = append(out, row...)
	}
	if r.Sort == "valuesort" {
		sort.Strings(out)
	}
	return out
}

// value is one value in SQLite's spelling.
func value(typ byte, v []byte) string {
	if v == nil {
		return "NULL"
	}
	s := string(v)
	switch typ {
	case 'I':
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			if i, err := strconv.ParseInt(s, 10, 64); err == nil {
				return strconv.FormatInt(i, 10)
			}
			return strconv.FormatInt(int64(f), 10)
		}
		if s == "t" {
			return "1"
		}
		return "0"
	case 'R':
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return s
		}
		return strconv.FormatFloat(f, 'f', 3, 64)
	}
	if s == "" {
		return "(empty)"
	}
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '@'
		}
	}
	return string(b)
}

func hash(values []string) string {
	h := md5.New()
	for _, v := range values {
		io.WriteString(h, v)
		h.Write([]byte{'\n'})
	}
	return hex.EncodeToString(h.Sum(nil))
}

func compare(want, got []string, threshold int) string {
	if len(want) == 1 && strings.Contains(want[0], " values hashing to ") {
		if g := fmt.Sprintf("%d values hashing to %s", len(got), hash(got)); g != want[0] {
			return fmt.Sprintf("got %s, want %s", g, want[0])
		}
		return ""
	}
	if len(want) != len(got) {
		return fmt.Sprintf("%d lines, want %d\n got: %s\nwant: %s", len(got), len(want), brief(got), brief(want))
	}
	for i := range want {
		if want[i] != got[i] {
			return fmt.Sprintf("line %d of the answer\n got: %s\nwant: %s", i+1, got[i], want[i])
		}
	}
	return ""
}

func brief(s []string) string {
	if len(s) > 12 {
		return strings.Join(s[:12], " | ") + " …"
	}
	return strings.Join(s, " | ")
}

// Write prints the script, as a rewrite made it.
func (s *Script) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	for _, r := range s.Records {
		for _, c := range r.Comment {
			fmt.Fprintln(b, c)
		}
		for _, c := range r.Skip {
			fmt.Fprintln(b, c)
		}
		switch {
		case r.WantError:
			fmt.Fprintln(b, strings.TrimRight("statement error "+r.Code, " "))
		case !r.Query:
			fmt.Fprintln(b, "statement ok")
		default:
			head := "query " + r.Types
			if r.Sort != "nosort" || r.Label != "" {
				head += " " + r.Sort
			}
			if r.Label != "" {
				head += " " + r.Label
			}
			fmt.Fprintln(b, head)
		}
		fmt.Fprintln(b, r.SQL)
		if r.Query && !r.WantError {
			fmt.Fprintln(b, "----")
			for _, l := range r.Want {
				fmt.Fprintln(b, l)
			}
		}
		fmt.Fprintln(b)
	}
	for _, c := range s.Tail {
		if c != "" {
			fmt.Fprintln(b, c)
		}
	}
	return b.Flush()
}
