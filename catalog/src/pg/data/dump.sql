-- Writes the fixed parts of pg_catalog and information_schema from a fresh PostgreSQL 15 database:
--   psql -X -q -f dump.sql
-- relations.tsv holds every relation with its columns ("name type", "!" when NOT NULL); the other files
-- hold the rows that concern the types, casts and operators that this database has.
\set types 'bool,int2,int4,int8,float4,float8,numeric,text,varchar,bpchar,name,"char",bytea,date,time,timetz,timestamp,timestamptz,interval,uuid,json,jsonb,oid'
create temp table t as
  select unnest(string_to_array(:'types', ',')::regtype[])::oid as oid;
\o relations.tsv
copy (
  select n.nspname as schema, c.relname as name, c.oid, c.relkind,
    string_agg(a.attname || ' ' || b.typname || case when a.attnotnull then '!' else '' end, ','
               order by a.attnum) as columns
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
  join pg_type t on t.oid = a.atttypid
  join pg_type b on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
  where n.nspname in ('pg_catalog', 'information_schema') and c.relkind in ('r', 'v')
    and c.relname not like '\_pg\_%'
  group by 1, 2, 3, 4 order by 1, 2
) to stdout with (header);
\o pg_type.tsv
copy (
  select oid, typname, typlen, typbyval, typtype, typcategory, typispreferred, typdelim, typrelid,
    typsubscript::oid, typelem, typarray, typinput::oid, typoutput::oid, typreceive::oid, typsend::oid,
    typmodin::oid, typmodout::oid, typanalyze::oid, typalign, typstorage, typtypmod, typcollation
  from pg_type
  where typnamespace = 11 and typtype in ('b', 'p', 'r', 'm')
    and (typelem = 0 or typname !~ '^_' or typelem in (select oid from pg_type where typtype in ('b', 'p', 'r', 'm')))
  order by oid
) to stdout with (header);
\o pg_range.tsv
copy (select rngtypid, rngsubtype, rngmultitypid, rngcollation, rngsubopc, rngcanonical::oid, rngsubdiff::oid
      from pg_range order by 1) to stdout with (header);
create temp table casts as
  select * from pg_cast where castsource in (table t) and casttarget in (table t);
\o pg_cast.tsv
copy (select * from casts order by oid) to stdout with (header);
create temp table operators as
  select oid, oprname, oprkind, oprcanmerge, oprcanhash, oprleft, oprright, oprresult, oprcom, oprnegate,
    oprcode::oid, oprrest::oid, oprjoin::oid
  from pg_operator
  where (oprleft = 0 or oprleft in (table t)) and oprright in (table t) and oprresult in (table t)
    and oprname in ('=', '<>', '<', '>', '<=', '>=', '+', '-', '*', '/', '%', '||', '~', '~*', '!~', '!~*',
                    '~~', '!~~', '~~*', '!~~*', '&', '|', '#', '<<', '>>');
\o pg_operator.tsv
copy (select * from operators order by oid) to stdout with (header);
\o pg_opclass.tsv
copy (select oid, opcmethod, opcname, opcfamily, opcintype, opcdefault, opckeytype
      from pg_opclass where opcmethod = 403 and opcintype in (table t) and opcdefault order by oid) to stdout with (header);
\o pg_opfamily.tsv
copy (select oid, opfmethod, opfname from pg_opfamily
      where oid in (select opcfamily from pg_opclass where opcmethod = 403 and opcintype in (table t) and opcdefault)
      order by oid) to stdout with (header);
\o pg_proc.tsv
copy (
  select oid, proname, prolang, prokind, prosecdef, proleakproof, proisstrict, proretset, provolatile,
    proparallel, pronargs, prorettype, proargtypes, prosrc
  from pg_proc
  where oid in (
    select unnest(array[typsubscript, typinput, typoutput, typreceive, typsend, typmodin, typmodout, typanalyze]::oid[])
    from pg_type where typnamespace = 11 and typtype in ('b', 'p', 'r', 'm')
    union select castfunc from casts
    union select unnest(array[oprcode, oprrest, oprjoin]) from operators
    union select amhandler from pg_am where amname in ('heap', 'btree')
    union select rngsubdiff from pg_range union select rngcanonical from pg_range)
  order by oid
) to stdout with (header);
\o
