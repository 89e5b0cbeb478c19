"""psycopg2 against the server at $DSN: simple protocol, COPY, named cursors, cancel, errors."""
import datetime
import decimal
import io
import os
import threading
import time

import psycopg2
import psycopg2.errors
import psycopg2.extras

dsn = os.environ["DSN"]
c = psycopg2.connect(dsn)
assert c.server_version >= 160000 or os.environ.get("ANY_VERSION"), c.server_version
cur = c.cursor()
cur.execute("DROP TABLE IF EXISTS clients_psycopg2")
cur.execute("CREATE TABLE clients_psycopg2 (id int PRIMARY KEY, t text, n numeric(12,2), f float8, b bool, d date, ts timestamptz, by bytea, j jsonb, a int[])")
c.commit()

row = (1, "héllo 'q'", decimal.Decimal("12.50"), 0.1, True, datetime.date(2026, 2, 28),
       datetime.datetime(2026, 2, 28, 12, 0, tzinfo=datetime.timezone.utc), b"\x00\xff\\", psycopg2.extras.Json({"k": [1, None]}), [1, 2, 3])
cur.execute("INSERT INTO clients_psycopg2 VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)", row)
assert cur.rowcount == 1
cur.execute("SELECT * FROM clients_psycopg2 WHERE t = %s", (row[1],))
got = cur.fetchone()
assert got[:7] == row[:7], got
assert bytes(got[7]) == row[7] and got[8] == {"k": [1, None]} and got[9] == [1, 2, 3], got
assert [d.name for d in cur.description][:3] == ["id", "t", "n"] and cur.description[2].type_code == 1700
c.rollback()
cur.execute("SELECT count(*) FROM clients_psycopg2")
assert cur.fetchone() == (0,)
c.commit()

cur.copy_expert("COPY clients_psycopg2 (id, t) FROM STDIN", io.StringIO("".join(f"{i}\trow {i}\n" for i in range(5000))))
assert cur.rowcount == 5000, cur.rowcount
c.commit()
out = io.StringIO()
cur.copy_expert("COPY (SELECT id, t FROM clients_psycopg2 ORDER BY id) TO STDOUT WITH (FORMAT csv)", out)
assert out.getvalue().splitlines()[4999] == "4999,row 4999"
c.commit()

with c.cursor("named") as named:
    named.itersize = 300
    named.execute("SELECT id FROM clients_psycopg2 ORDER BY id")
    assert [r[0] for r in named] == list(range(5000))
c.commit()

try:
    cur.execute("SELECT nothing FROM clients_psycopg2")
    raise SystemExit("no error")
except psycopg2.errors.UndefinedColumn as e:
    assert e.diag.statement_position == "8", e.diag.statement_position
try:
    cur.execute("SELECT 1")
    raise SystemExit("a failed transaction goes on")
except psycopg2.errors.InFailedSqlTransaction:
    c.rollback()
try:
    cur.execute("INSERT INTO clients_psycopg2 (id) VALUES (1)")
    raise SystemExit("no duplicate key")
except psycopg2.errors.UniqueViolation:
    c.rollback()

threading.Timer(0.2, c.cancel).start()
began = time.monotonic()
try:
    cur.execute("SELECT count(*) FROM generate_series(1, 100000) a, generate_series(1, 100000) b")
    raise SystemExit("not cancelled")
except psycopg2.errors.QueryCanceled:
    assert time.monotonic() - began < 2
    c.rollback()

c.autocommit = True
cur.execute("DROP TABLE clients_psycopg2")
print("psycopg2 ok")
