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
	run("UPDATE doc SET body = $2 WHERE k = $1", "1", large)
	before := heap()
	for i := range 12 {
		run(fmt.Sprintf("SELECT body, %d FROM doc WHERE k = $1", i), "1")
		run(fmt.Sprintf("SELECT %d FROM doc WHERE k = $1 AND body = $2", i), "1", large)
		run(fmt.Sprintf("DELETE FROM doc WHERE k = $1 AND body <> $2 AND k > %d", i-20), "1", large)
		run(fmt.Sprintf("INSERT INTO doc VALUES ($1, left(lower($2), %d))", i+1), strconv.Itoa(10+i), large)
	}
	if grown := heap() - before; grown > 40<<20 {
		t.Errorf("%d MB stay", grown>>20)
	}
}
