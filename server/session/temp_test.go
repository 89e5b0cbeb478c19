package session_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/millrace/millrace/catalog/sqlstate"
	"github.com/millrace/millrace/server"
	"github.com/millrace/millrace/server/pgwire"
)

// numbered opens a session of a number of its own.
func numbered(t *testing.T, e server.Engine, pid int32) pgwire.Session {
	t.Helper()
	s, err := e.Open(context.Background(), pgwire.Startup{User: "postgres", Database: "postgres", PID: pid}, &sink{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestTempOfOthers: nobody reaches temporary relations of another session, by whichever
// name, nor makes relations beside them.
func TestTempOfOthers(t *testing.T) {
	e := open(t)
	a, b := numbered(t, e, 1), numbered(t, e, 2)
	want, refused := expect(t, b)
	exec(t, a, "CREATE TEMP TABLE x (id int PRIMARY KEY, u text) WITH (orientation = 'row')")
	exec(t, a, "CREATE UNIQUE INDEX xu ON x (u)")
	exec(t, a, "INSERT INTO x VALUES (1, 'secret')")
	schema := fmt.Sprintf("pg_temp_%d", exec(t, a, "SELECT pg_backend_pid()").value())
	refused(sqlstate.FeatureNotSupported, "SELECT * FROM "+schema+".x")
	refused(sqlstate.UndefinedObject, "DROP INDEX "+schema+".xu")
	want(0, "SELECT count(*) FROM information_schema.tables WHERE table_name = 'x'")
	want(0, "SELECT count(*) FROM information_schema.columns WHERE table_name = 'x'")
	exec(t, b, "SET search_path = "+schema+", public")
	refused(sqlstate.FeatureNotSupported, "SELECT * FROM x")
	refused(sqlstate.FeatureNotSupported, "INSERT INTO x VALUES (2, 'y')")
	refused(sqlstate.FeatureNotSupported, "CREATE VIEW public.xv AS SELECT * FROM x")
	refused(sqlstate.InvalidTableDefinition, "CREATE TABLE y (a int)")
	exec(t, a, "CREATE TABLE public.x (id int); INSERT INTO public.x VALUES (7); GRANT SELECT ON public.x TO PUBLIC; CREATE ROLE other")
	exec(t, b, "SET ROLE other")
	want(7, "SELECT id FROM x")
	refused(sqlstate.InsufficientPrivilege, "SELECT id FROM "+schema+".x")
	exec(t, b, "RESET ROLE; DROP TABLE public.x")
	exec(t, b, "SET search_path = "+schema+", pg_temp, public")
	exec(t, b, "CREATE TEMP TABLE y (a int)")
	exec(t, b, "SELECT * FROM y")

	// Plans are shared by text: not this one.
	exec(t, b, "RESET search_path")
	exec(t, a, "SELECT id FROM x WHERE u = 'secret'")
	refused(sqlstate.UndefinedTable, "SELECT id FROM x WHERE u = 'secret'")
}

// TestTempSequenceAlone: a sequence is a session's like a table, also if it is all that
// is temporary there.
func TestTempSequenceAlone(t *testing.T) {
	e := open(t)
	a, b := numbered(t, e, 1), numbered(t, e, 2)
	_, refused := expect(t, b)
	exec(t, a, "CREATE TEMP SEQUENCE q")
	exec(t, a, "SELECT last_value FROM q")
	refused(sqlstate.UndefinedTable, "SELECT last_value FROM q")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if n := exec(t, b, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\\_temp\\_%'").value(); n != 0 {
		t.Errorf("%d schemas of temporary relations are left", n)
	}
}

// TestTempGoes: at the end of a session its temporary relations go, and what others have
// come to rest on them.
func TestTempGoes(t *testing.T) {
	e := open(t)
	a, b := numbered(t, e, 1), numbered(t, e, 2)
	want, _ := expect(t, b)
	_, refused := expect(t, a)
	exec(t, a, "CREATE TEMP SEQUENCE q; CREATE TABLE lasting (id int DEFAULT nextval('q'), a int)")
	exec(t, a, "CREATE TEMP TABLE k (id int PRIMARY KEY); CREATE TEMP TABLE r (id int PRIMARY KEY, k int REFERENCES k, n int DEFAULT nextval('q')); CREATE TEMP VIEW v AS SELECT * FROM r")
	exec(t, a, "CREATE TABLE lk (id int PRIMARY KEY)")
	refused(sqlstate.InvalidTableDefinition, "CREATE TABLE lr (id int REFERENCES k)")
	refused(sqlstate.InvalidTableDefinition, "ALTER TABLE lasting ADD FOREIGN KEY (id) REFERENCES k")
	refused(sqlstate.InvalidTableDefinition, "CREATE TEMP TABLE kr (id int REFERENCES lk)")
	refused(sqlstate.InvalidParameterValue, "CREATE SUBSCRIPTION s CONNECTION 'kafka://127.0.0.1:1' PUBLICATION p WITH (enabled = false, format = 'json', target = 'k')")
	exec(t, a, "INSERT INTO lasting (a) VALUES (1)")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	want(0, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pg\\_temp\\_%'")
	want(0, "SELECT count(*) FROM pg_class WHERE relpersistence = 't'")
	exec(t, b, "INSERT INTO lasting (a) VALUES (2)")
	want(1, "SELECT count(*) FROM lasting WHERE id IS NULL")
}

// TestTempCommits: what temporary tables ask for at commits is done for all that a
// session has made, whatever became of other transactions, and when commits do not wait.
func TestTempCommits(t *testing.T) {
	e := open(t)
	s := numbered(t, e, 1)
	want, _ := expect(t, s)
	exec(t, s, "SET synchronous_commit = off")
	for i := range 20 {
		exec(t, s, fmt.Sprintf("CREATE TEMP TABLE d%d (a int) ON COMMIT DELETE ROWS", i))
		exec(t, s, "BEGIN; CREATE TEMP TABLE gone (a int) ON COMMIT DELETE ROWS")
		exec(t, s, "ROLLBACK")
		if i%2 == 1 {
			exec(t, s, fmt.Sprintf("BEGIN; DROP TABLE d%d", i-1))
			exec(t, s, "ROLLBACK")
		}
		for k := range i + 1 {
			exec(t, s, fmt.Sprintf("INSERT INTO d%d VALUES (1)", k))
			want(0, fmt.Sprintf("SELECT count(*) FROM d%d", k))
		}
	}
	exec(t, s, "PREPARE p AS INSERT INTO d0 VALUES (1)")
	exec(t, s, "EXECUTE p")
	want(0, "SELECT count(*) FROM d0")
	if err := s.Simple(context.Background(), "SELECT 1/0", &sink{}); sqlstate.CodeOf(err) != sqlstate.DivisionByZero {
		t.Fatal(err)
	}
	exec(t, s, "INSERT INTO d0 VALUES (1)")
	want(0, "SELECT count(*) FROM d0")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o := numbered(t, e, 2)
	want, _ = expect(t, o)
	want(0, "SELECT count(*) FROM pg_class WHERE relpersistence = 't'")
}
