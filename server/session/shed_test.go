package session_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// TestLargeValuesGo: statements that keep their programs between executions do not keep
// large values with them.
func TestLargeValuesGo(t *testing.T) {
	e := open(t)
	s := session(t, e)
	exec(t, s, "CREATE TABLE doc (k int PRIMARY KEY, body text) WITH (orientation = 'row')")
	exec(t, s, "INSERT INTO doc VALUES (1, 'short')")
	large := strings.Repeat("x", 4<<20)
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	run := func(sql string, params ...string) {
		t.Helper()
		if err := prepared(s, sql, params, &sink{}); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(t, s, "CREATE TABLE named (name text PRIMARY KEY, v int) WITH (orientation = 'row')")
	run("UPDATE doc SET body = $2 WHERE k = $1", "1", large)
	before := heap()
	for i := range 12 {
		run(fmt.Sprintf("SELECT body, %d FROM doc WHERE k = $1", i), "1")
		run(fmt.Sprintf("SELECT %d FROM doc WHERE k = $1 AND body = $2", i), "1", large)
		run(fmt.Sprintf("SELECT v, %d FROM named WHERE name = ANY ($1)", i), "{a,"+large+"}")
		run(fmt.Sprintf("DELETE FROM doc WHERE k = $1 AND body <> $2 AND k > %d", i-20), "1", large)
		run(fmt.Sprintf("INSERT INTO doc VALUES ($1, left(lower($2), %d))", i+1), strconv.Itoa(10+i), large)
	}
	if grown := heap() - before; grown > 40<<20 {
		t.Errorf("%d MB stay", grown>>20)
	}
}

// TestManyRowsGo: no more do statements keep memory for as many rows as one of their
// executions has had.
func TestManyRowsGo(t *testing.T) {
	e := open(t)
	s := session(t, e)
	cols, values := "", ""
	for i := range 50 {
		cols += fmt.Sprintf(", c%d text", i)
		values += ", 'some text that is no short one'"
	}
	exec(t, s, "CREATE TABLE wide (a int, b int"+cols+", PRIMARY KEY (a, b)) WITH (orientation = 'row')")
	exec(t, s, "INSERT INTO wide SELECT i / 100, i"+values+" FROM generate_series(0, 299) i")
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	// The plans themselves are in memory from the first execution on.
	run := func(a string) int64 {
		for i := range 40 {
			if err := prepared(s, fmt.Sprintf("SELECT * FROM wide WHERE a = $1 AND b > -%d ORDER BY b DESC", i), []string{a}, &sink{}); err != nil {
				t.Fatal(err)
			}
		}
		return heap()
	}
	few := run("5")
	if many := run("1"); many-few > 4<<20 {
		t.Errorf("%d MB stay", (many-few)>>20)
	}
}
