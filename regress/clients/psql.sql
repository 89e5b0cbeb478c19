-- What psql does, as a script: run with -X -v ON_ERROR_STOP=1 -v dir=FOLDER.
\conninfo
DROP TABLE IF EXISTS clients_psql;
CREATE TABLE clients_psql (id int PRIMARY KEY, name text, at timestamptz, amount numeric(12,2));
\copy clients_psql FROM pstdin WITH (FORMAT csv)
1,one,2026-01-01 00:00:00+00,1.50
2,"two, quoted",2026-01-02 00:00:00+00,2.25
3,,,
\.
\d clients_psql
\dt+ clients_psql
\dn
\l
\du
\df pg_size_pretty
SELECT count(*) = 3 AND sum(amount) = 3.75 AS right FROM clients_psql \gset
\if :right
\else
\quit 3
\endif
\set FETCH_COUNT 2
SELECT * FROM clients_psql ORDER BY id;
\unset FETCH_COUNT
\copy (SELECT id, name FROM clients_psql ORDER BY id) TO pstdout
\set ON_ERROR_STOP 0
SELECT 1/0;
\set ON_ERROR_STOP 1
\if :{?LAST_ERROR_SQLSTATE}
SELECT :'LAST_ERROR_SQLSTATE' = '22012' AS right \gset
\if :right
\else
\quit 4
\endif
\endif
BEGIN;
INSERT INTO clients_psql VALUES (4, 'four');
ROLLBACK;
DROP TABLE clients_psql;
