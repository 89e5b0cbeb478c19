-- Facts about functions, operators, casts and aggregates, as a PostgreSQL 15 server states
-- them. To refresh the TSV files beside this one, run from this folder:
--   psql -X -q -h HOST -d template1 -f facts.sql
-- then add by hand nothing: what newer versions and Millrace add is in extra.tsv.
\pset format unaligned
\pset fieldsep '\t'
\pset tuples_only on

create temp view ty as
select t.oid from pg_type t
left join pg_type e on e.oid = t.typelem and t.typsubscript = 'array_subscript_handler'::regproc
where coalesce(e.typname, t.typname) in (
  'bool','bytea','char','name','int8','int2','int4','int2vector','regproc','text','oid','tid','xid','cid',
  'oidvector','json','pg_node_tree','float4','float8','unknown','aclitem','bpchar','varchar','date','time',
  'timestamp','timestamptz','interval','timetz','numeric','regprocedure','regoper','regoperator','regclass',
  'regtype','regconfig','regdictionary','regnamespace','regrole','regcollation','record','any','anyarray',
  'anyelement','anynonarray','anycompatible','anycompatiblearray','anycompatiblenonarray','void','uuid',
  'pg_lsn','jsonb','xid8');

create temp view proc as
select p.* from pg_proc p
where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind in ('f','a','w') and p.oid < 12000
  and p.prorettype in (select oid from ty)
  and not exists (select from unnest(coalesce(p.proallargtypes, p.proargtypes)) a where a not in (select oid from ty))
  and p.proname !~ ('^(amvalidate|bt(?!rim)|gin|gist|brin|spg|pg_stat_|binary_upgrade|pg_replication|pg_logical|pg_ls_|pg_read|pg_wal|ts_|'
    || 'ts_|lo_|lo(read|write)|be_lo|range_|pg_nextoid|in_range|fmgr_|pg_control|pg_log|cursor_to|query_to|table_to|'
    || 'schema_to|database_to|xpath|xml|makeaclitem|aclin|array_typana|pg_copy|pg_create_|pg_drop_|pg_backup|pg_file|'
    || 'pg_reload|pg_rotate|pg_promote|pg_event_trigger|pg_get_wal|pg_switch|pg_import|pg_isolation|pg_hba|pg_ident|'
    || 'pg_stop|pg_extension|pg_available|plpgsql|postgresql_fdw|tsrange|tstzrange|daterange)')
  and p.proname !~ '(send|typmodin|typmodout|_accum|_accum_inv|_combine|_serialize|_deserialize|recv|_subdiff|sortsupport|_support|_analyze)$';

\o proc.tsv
select p.oid, p.proname, p.prokind, p.provolatile, p.proisstrict, p.proretset, p.proleakproof, p.provariadic, p.pronargdefaults,
  array_to_string(p.proargtypes, ','), p.prorettype,
  coalesce((select string_agg(coalesce(nullif(p.proargnames[i], ''), 'column' || i), ',' order by i)
            from generate_subscripts(p.proargmodes, 1) i where p.proargmodes[i] in ('o','b','t')), ''),
  coalesce((select string_agg(p.proallargtypes[i]::text, ',' order by i)
            from generate_subscripts(p.proargmodes, 1) i where p.proargmodes[i] in ('o','b','t')), ''),
  coalesce((select string_agg(pg_get_function_arg_default(p.oid, i), '|' order by i)
            from generate_series(1, p.pronargs) i where pg_get_function_arg_default(p.oid, i) is not null), ''),
  coalesce((select a.aggkind from pg_aggregate a where a.aggfnoid = p.oid), ''),
  coalesce((select a.aggnumdirectargs from pg_aggregate a where a.aggfnoid = p.oid), 0)
from proc p order by p.oid;

\o operator.tsv
select o.oid, o.oprname, o.oprleft, o.oprright, o.oprresult, o.oprcode::oid, o.oprcom, o.oprnegate, o.oprcanhash, o.oprcanmerge
from pg_operator o where o.oprcode::oid in (select oid from proc) and o.oid < 12000 order by o.oid;

\o cast.tsv
select c.castsource, c.casttarget, c.castfunc::oid, c.castcontext, c.castmethod
from pg_cast c
where c.castsource in (select oid from ty) and c.casttarget in (select oid from ty)
  and (c.castfunc = 0 or c.castfunc in (select oid from proc)) order by 1, 2;

\o opclass.tsv
select c.opcintype, max(case when m.amname = 'btree' and a.amopstrategy = 1 then a.amopopr end),
       max(case when m.amname = 'hash' or a.amopstrategy = 3 then a.amopopr end),
       max(case when m.amname = 'btree' and a.amopstrategy = 5 then a.amopopr end)
from pg_opclass c join pg_am m on m.oid = c.opcmethod and m.amname in ('btree', 'hash')
join pg_amop a on a.amopfamily = c.opcfamily and a.amoplefttype = c.opcintype and a.amoprighttype = c.opcintype
where c.opcdefault and c.opcintype in (select oid from ty)
group by 1 order by 1;

\o type.tsv
select t.oid, t.typname, t.typcategory, t.typispreferred, case when t.typsubscript = 'array_subscript_handler'::regproc then t.typelem else 0 end, t.typarray
from pg_type t where t.oid in (select oid from ty) order by 1;
\o
