package clients

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/millrace/millrace/regress/node"
)

// TestHoloWrites has what holo-client and its kin send through the extended protocol
// and by COPY; what can be said in plain SQL is in regress/logic.
func TestHoloWrites(t *testing.T) {
	n := node.ForTest(t)
	for i, o := range orientations {
		t.Run(o, func(t *testing.T) {
			c := node.Connect(t, n.DSN)
			schema := fmt.Sprintf("h%d", i)
			run(t, c, "create schema "+schema)
			holoPrepared(t, c, schema, o)
			holoCopy(t, c, schema, o)
			wideRow(t, n.DSN, schema, o)
		})
	}
}

// holoPrepared sends the unnest form with arrays in binary and in text form.
func holoPrepared(t *testing.T, c *pgx.Conn, schema, orientation string) {
	ctx := context.Background()
	run(t, c, fmt.Sprintf("create table %s.p (k1 int, k2 text, a int8, b numeric(10,2), c jsonb, primary key (k1, k2)) with (orientation = '%s')", schema, orientation))
	for _, guc := range []string{"hg_experimental_enable_fixed_dispatcher", "hg_experimental_enable_fixed_dispatcher_for_multi_values",
		"hg_experimental_enable_fixed_dispatcher_for_update", "hg_experimental_enable_fixed_dispatcher_for_delete", "hg_experimental_enable_fixed_dispatcher_for_scan"} {
		run(t, c, "set "+guc+" = on")
	}
	upsert := "insert into " + schema + ".p(k1,k2,a,b,c) select unnest($1::int4[]),unnest($2::text[]),unnest($3::int8[]),unnest($4::numeric[]),unnest($5::jsonb[])" +
		" on conflict (k1,k2) do update set k1=excluded.k1,k2=excluded.k2,a=excluded.a,b=excluded.b,c=excluded.c"
	one := int64(1)
	if _, err := c.Exec(ctx, upsert, []int32{1, 2}, []string{"x", "y"}, []*int64{&one, nil}, []string{"1.50", "2.25"}, []string{`{"a":1}`, `[]`}); err != nil {
		t.Fatal(err)
	}
	// The same in text form, as an unnamed statement without types.
	texts := [][]byte{[]byte("{2,3}"), []byte("{y,z}"), []byte("{22,NULL}"), []byte("{NULL,3}"), []byte(`{NULL,"{\"z\": 1}"}`)}
	if r := c.PgConn().ExecParams(ctx, upsert, texts, nil, nil, nil).Read(); r.Err != nil || r.CommandTag.RowsAffected() != 2 {
		t.Fatal(r.CommandTag, r.Err)
	}
	if got := rowsOf(t, c, "select k1, k2, a, b::text, c::text from "+schema+".p order by 1"); got != `1 x 1 1.50 {"a": 1}; 2 y 22 <nil> <nil>; 3 z <nil> 3.00 {"z": 1}` {
		t.Error(got)
	}
	// A batch: one Parse, several Bind and Execute, one Sync; deletes before inserts.
	b := &pgx.Batch{}
	del := "delete from " + schema + ".p where (k1=$1 and k2=$2) or (k1=$3 and k2=$4)"
	b.Queue(del, 1, "x", 2, "no")
	put := "insert into " + schema + ".p as old (k1,k2,a) values ($1,$2,$3),($4,$5,$6) on conflict (k1,k2) do update set k1=excluded.k1,k2=excluded.k2,a=excluded.a where excluded.a > coalesce(old.a,'0'::int8)"
	b.Queue(put, 2, "y", 1, 3, "z", 33)
	b.Queue(put, 4, "n", 4, 1, "x", 10)
	if err := c.SendBatch(ctx, b).Close(); err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, c, "select k1, a, b::text from "+schema+".p order by 1"); got != "1 10 <nil>; 2 22 <nil>; 3 33 3.00; 4 4 <nil>" {
		t.Error(got)
	}
	// Gets: keys of two columns, one or many, and a prefix.
	rows, err := c.Query(ctx, "select k1, a from "+schema+".p where (k1=$1 and k2=$2) or (k1=$3 and k2=$4)", 1, "x", 3, "z")
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	_ = got
	if err == nil {
		t.Error("two columns into one")
	}
	var a int64
	if err := c.QueryRow(ctx, "select a from "+schema+".p where k1=$1 and k2=$2", 4, "n").Scan(&a); err != nil || a != 4 {
		t.Error(a, err)
	}
	// A statement whose table has changed since it was prepared goes on.
	run(t, c, "alter table "+schema+".p add column z int default 5")
	if _, err := c.Exec(ctx, del, 4, "n", 4, "n"); err != nil {
		t.Error(err)
	}
}

// holoCopy has COPY as the importers write it, in and out.
func holoCopy(t *testing.T, c *pgx.Conn, schema, orientation string) {
	ctx := context.Background()
	name := schema + ".cp"
	run(t, c, fmt.Sprintf("create table %s (id int primary key, a text default 'da', b int default 7, c text) with (orientation = '%s')", name, orientation))
	in := func(code, sql, data string) {
		t.Helper()
		_, err := c.PgConn().CopyFrom(ctx, strings.NewReader(data), sql)
		var e *pgconn.PgError
		if errors.As(err, &e) && e.Code == code {
			return
		}
		if err != nil || code != "" {
			t.Fatalf("%s: %v, want %q", sql, err, code)
		}
	}
	is := func(want string) {
		t.Helper()
		if got := rowsOf(t, c, "select * from "+name+" order by id"); got != want {
			t.Fatalf("%s; want %s", got, want)
		}
	}
	in("", "copy "+name+"(id,a,b) from stdin with(stream_mode true, format csv, DELIMITER ',', ESCAPE '\\', QUOTE '\"', NULL 'N', on_conflict update)", "1,one,1\n2,N,2\n3,\"q\\\"q\",N\n")
	is(`1 one 1 <nil>; 2 <nil> 2 <nil>; 3 q"q <nil> <nil>`)
	// Partial columns in bulk: defaults for new rows, the rest of old ones stays.
	run(t, c, "set hg_experimental_copy_enable_on_conflict = on")
	in("", "copy "+name+"(id,c) from stdin with(format csv, DELIMITER ',', ESCAPE '\\', QUOTE '\"', NULL 'N', on_conflict update)", "2,C2\n4,C4\n")
	is(`1 one 1 <nil>; 2 <nil> 2 C2; 3 q"q <nil> <nil>; 4 da 7 C4`)
	in("", "copy "+name+"(c,id) from stdin with(format csv, on_conflict ignore)", "x,1\nC5,5\n")
	is(`1 one 1 <nil>; 2 <nil> 2 C2; 3 q"q <nil> <nil>; 4 da 7 C4; 5 da 7 C5`)
	in("23505", "copy "+name+"(id,c) from stdin with(format csv)", "6,x\n5,y\n")
	in("23505", "copy "+name+" from stdin with(on_conflict none)", "6\tx\t1\ty\n5\ty\t1\ty\n")
	is(`1 one 1 <nil>; 2 <nil> 2 C2; 3 q"q <nil> <nil>; 4 da 7 C4; 5 da 7 C5`)
	// In a transaction that is taken back, and over rows of its own.
	run(t, c, "begin")
	run(t, c, "update "+name+" set b = 70 where id = 4")
	in("", "copy "+name+"(id,a) from stdin with(format csv, on_conflict update)", "4,A4\n6,A6\n")
	is(`1 one 1 <nil>; 2 <nil> 2 C2; 3 q"q <nil> <nil>; 4 A4 70 C4; 5 da 7 C5; 6 A6 7 <nil>`)
	run(t, c, "rollback")
	is(`1 one 1 <nil>; 2 <nil> 2 C2; 3 q"q <nil> <nil>; 4 da 7 C4; 5 da 7 C5`)
	// The importer's shape.
	run(t, c, "set hg_experimental_target_shard_list='0,1,2'")
	in("", "COPY "+name+" FROM STDIN DELIMITER ',' ESCAPE '\\' CSV QUOTE '\"' NULL AS 'N'", "8,N,8,\"x,y\"\n")
	run(t, c, "reset hg_experimental_target_shard_list")
	var out strings.Builder
	if _, err := c.PgConn().CopyTo(ctx, &out, "COPY (select id,a,c from "+name+" where hg_shard_id>=0 and hg_shard_id<1000 order by id) TO STDOUT DELIMITER ',' ESCAPE '\\' CSV QUOTE '\"' NULL AS 'N'"); err != nil {
		t.Fatal(err)
	}
	if out.String() != "1,one,N\n2,N,C2\n3,\"q\\\"q\",N\n4,da,C4\n5,da,C5\n8,N,\"x,y\"\n" {
		t.Error(out.String())
	}
}

// wideRow has several streams write columns of their own of the same rows at the same
// time, by unnest and by COPY: in the end every row has all of them.
func wideRow(t *testing.T, dsn, schema, orientation string) {
	ctx := context.Background()
	const streams, keys, rounds = 4, 200, 6
	c := node.Connect(t, dsn)
	cols := ""
	for s := range streams {
		cols += fmt.Sprintf(", c%d int, n%[1]d int", s)
	}
	name := schema + ".wide"
	run(t, c, fmt.Sprintf("create table %s (id int primary key%s) with (orientation = '%s', binlog_level = 'replica')", name, cols, orientation))
	var wg sync.WaitGroup
	for s := range streams {
		conn := node.Connect(t, dsn)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for r := range rounds {
				var err error
				if s%2 == 0 {
					var ids, vs, ns []int32
					for k := range keys {
						ids, vs, ns = append(ids, int32(k)), append(vs, int32(s*1000+k)), append(ns, int32(r))
					}
					_, err = conn.Exec(ctx, fmt.Sprintf("insert into %s(id,c%d,n%[2]d) select unnest($1::int4[]),unnest($2::int4[]),unnest($3::int4[]) on conflict (id) do update set id=excluded.id,c%[2]d=excluded.c%[2]d,n%[2]d=excluded.n%[2]d", name, s), ids, vs, ns)
				} else {
					var b strings.Builder
					for k := range keys {
						fmt.Fprintf(&b, "%d,%d,%d\n", k, s*1000+k, r)
					}
					_, err = conn.PgConn().CopyFrom(ctx, strings.NewReader(b.String()), fmt.Sprintf("copy %s(id,c%d,n%[2]d) from stdin with(stream_mode true, format csv, on_conflict update)", name, s))
				}
				if err != nil {
					t.Errorf("%s, stream %d, round %d: %v", orientation, s, r, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	want := fmt.Sprintf("%d", keys)
	for s := range streams {
		want += fmt.Sprintf(" %d %d", s*1000*keys+keys*(keys-1)/2, keys*(rounds-1))
	}
	sums := "select count(*)"
	for s := range streams {
		sums += fmt.Sprintf(", sum(c%d), sum(n%[1]d)", s)
	}
	if got := rowsOf(t, c, sums+" from "+name); got != want {
		t.Errorf("%s: %s; want %s", orientation, got, want)
	}
	// The binlog tells of each write, its last image of a row is the row.
	if got := rowsOf(t, c, "select count(*) from "+name+" where hg_binlog_lsn > 0 and hg_binlog_event_type in (5, 7)"); got != fmt.Sprint(streams*keys*rounds) {
		t.Errorf("%s: %s after images; want %d", orientation, got, streams*keys*rounds)
	}
}
