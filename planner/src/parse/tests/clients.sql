SELECT n.nspname AS "Schema", c.relname AS "Name",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' END AS "Type",
  pg_catalog.pg_get_userbyid(c.relowner) AS "Owner"
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', '')
  AND n.nspname !~ '^pg_toast' AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY 1,2;

SELECT c.oid, n.nspname, c.relname
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relname OPERATOR(pg_catalog.~) '^(by_carrier)$' COLLATE pg_catalog.default
  AND n.nspname OPERATOR(pg_catalog.~) '^(delays)$' COLLATE pg_catalog.default
ORDER BY 2, 3;

SELECT c.relchecks, false AS relhasoids, '', CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END,
  pg_catalog.array_to_string(c.reloptions || array(select 'toast.' || x from pg_catalog.unnest(tc.reloptions) x), ', ')
FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid)
WHERE c.oid = '16385';

SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
  (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) FROM pg_catalog.pg_attrdef d
   WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),
  CASE WHEN a.attstattarget=-1 THEN NULL ELSE a.attstattarget END AS attstattarget
FROM pg_catalog.pg_attribute a
WHERE a.attrelid = '16385' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum;

SELECT conname FROM pg_catalog.pg_constraint c
WHERE confrelid IN (SELECT pg_catalog.pg_partition_ancestors('16385') UNION ALL VALUES ('16385'::pg_catalog.regclass))
  AND 'd' = any(c.conkinds) ORDER BY conname;

SELECT (SELECT string_agg(attname, ', ') FROM pg_catalog.generate_series(0, pg_catalog.array_upper(pr.prattrs::pg_catalog.int2[], 1)) s,
  pg_catalog.pg_attribute WHERE attrelid = pr.prrelid AND attnum = prattrs[s]),
  (SELECT 1 FROM pg_catalog.pg_partition_ancestors(t.tgrelid) WITH ORDINALITY AS a(relid, depth) ORDER BY a.depth LIMIT 1)
FROM pg_catalog.pg_publication_rel pr, pg_catalog.pg_trigger t UNION SELECT NULL, NULL ORDER BY 1;

SELECT pg_catalog.quote_ident(c.relname) FROM pg_catalog.pg_class c
WHERE c.relkind IN ('r', 'm') AND substring(pg_catalog.quote_ident(c.relname),1,3)='fli' LIMIT 1000

select * from app.orders where id=$1 limit $2;

select $1::int, $2::text[], cast($3 as numeric(10, 2));

SELECT current_setting('jit') AS cur, set_config('jit', 'off', false) AS new;

WITH RECURSIVE tree(oid, depth) AS (
  SELECT t.oid, 0 FROM pg_type t WHERE t.oid = any($1::oid[])
  UNION ALL
  SELECT t.typelem, tree.depth + 1 FROM pg_type t, tree WHERE t.oid = tree.oid AND t.typelem != 0
) SELECT DISTINCT *, (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e) FROM tree ORDER BY depth DESC;

/* {"app": "dbt", "node": "x"} */ select 'db' as database, tablename as name from pg_tables where schemaname ilike 'app'
union all select 'db' as database, viewname as name from pg_views where schemaname ilike 'app';

create schema if not exists "app"

create  table "main"."app"."model__tmp" as ( select 1 as id, 'a'::text as name );

create view "main"."app"."model__view" as ( select * from "main"."app"."model" );

create materialized view if not exists "main"."app"."model_mv" as select count(*) from "main"."app"."model";

refresh materialized view "main"."app"."model_mv"

drop view if exists "main"."app"."model__view" cascade

alter table "main"."app"."model__tmp" rename to "model";

SELECT "t"."id" AS "t_id", obj_description((quote_ident("s") || '.' || quote_ident("n"))::regclass, 'pg_class') AS c FROM "information_schema"."tables" "t" WHERE ("s" = 'public' AND "n" = 'o2');

CREATE TABLE "o2" ("id" integer NOT NULL, "n" character varying NOT NULL, CONSTRAINT "PK_9" PRIMARY KEY ("id"));

SET DateStyle = 'ISO';SET extra_float_digits = 2;show transaction_isolation;

BEGIN;declare "SQL_CUR0x5" cursor with hold for select * from app.orders where id=5;fetch 100 in "SQL_CUR0x5"; close "SQL_CUR0x5"

DECLARE "named" CURSOR WITHOUT HOLD FOR select * from app.orders; FETCH FORWARD 5 FROM "named"; CLOSE "named";

DECLARE _psql_cursor NO SCROLL CURSOR FOR
select * from t; FETCH FORWARD 100 FROM _psql_cursor;

BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SAVEPOINT "_pg3_1"; RELEASE "_pg3_1"; ROLLBACK TO "_pg3_1"; ROLLBACK

SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE

SET client_encoding TO 'UTF8'; SET standard_conforming_strings = on; SET search_path TO "$user", public; SET application_name = 'x'

show transaction isolation level; show standard_conforming_strings; SHOW max_identifier_length

COPY "public" . "ing" ("a", "b") FROM STDIN WITH (FORMAT binary)

copy (select * from app.items) to stdout (format binary); copy app.items from stdin with csv; copy app.items from stdin;

copy accounts from stdin with (freeze on); COPY t TO STDOUT WITH DELIMITER ',' CSV HEADER QUOTE '"'

COPY  app.orders (id, amount) FROM STDIN WITH (FORMAT csv, HEADER MATCH, NULL '\N')

drop table if exists accounts, branches, history; create table accounts(aid int not null,bid int,filler char(84)) with (fillfactor=100);

vacuum analyze branches; analyze; vacuum history; truncate table accounts, branches

alter table accounts add primary key (aid);

UPDATE accounts SET balance = balance + $1 WHERE aid = $2; INSERT INTO history (tid, mtime) VALUES ($1, CURRENT_TIMESTAMP);

insert into app.items values (3,'a',1),(3,'b',2) on conflict (id) do update set name = excluded.name returning id;

DISCARD ALL; DEALLOCATE ALL; RESET ALL; listen "ch"; UNLISTEN *; SELECT pg_advisory_unlock_all();

PREPARE q (int) AS SELECT * FROM t WHERE a = $1; EXECUTE q(1); DEALLOCATE PREPARE q

create type app.mood as enum('a','b'); create index on app.orders (id); create unique index concurrently if not exists i on t using btree (a desc)

SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, result.a FROM
(SELECT row_number() over (partition by a.attrelid order by a.attnum) AS attnum, nullif(a.attidentity, '') as attidentity FROM pg_attribute a) result,
pg_index i, pg_namespace n WHERE (true) AND result.attnum = (result.keys).x ORDER BY 1;

SELECT t.typname::information_schema.sql_identifier, a.attnum::int2, pg_get_viewdef('v'::regclass, true), date '2020-01-01', timestamp with time zone '2020-01-01 00:00+00', interval '1' day, 'x' LIKE 'y' ESCAPE '', (1, 2) IN ((1, 2)), a IS DISTINCT FROM b, ARRAY[1, 2] @> ARRAY[1], '{}'::jsonb ->> 'k', x'1F', B'101', E'a\tb' FROM t LIMIT ALL OFFSET 5 ROWS;

GRANT SELECT ON TABLE t TO PUBLIC; REVOKE ALL ON SCHEMA app FROM bob; COMMENT ON TABLE app.orders IS 'x';

LOCK TABLE t IN ACCESS EXCLUSIVE MODE; CREATE ROLE bob LOGIN PASSWORD 'x'; ALTER ROLE bob SET search_path = app
