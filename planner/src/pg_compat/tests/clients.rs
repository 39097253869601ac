//! What psql, `SQLAlchemy` and pgjdbc show.

use super::sample::{self, FLIGHTS, MV, ORDERS, V};

const LIST: &str = "SELECT n.nspname as \"Schema\",
  c.relname as \"Name\",
  CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' WHEN 't' THEN 'TOAST table' WHEN 'f' THEN 'foreign table' WHEN 'p' THEN 'partitioned table' WHEN 'I' THEN 'partitioned index' END as \"Type\",
  pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\"
FROM pg_catalog.pg_class c
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE c.relkind IN ";

#[tokio::test]
async fn psql_lists_relations() {
    let session = sample::session();
    let visible = format!(
        "{LIST} ('r','p','v','m','S','f','')
      AND n.nspname <> 'pg_catalog'
      AND n.nspname !~ '^pg_toast'
      AND n.nspname <> 'information_schema'
  AND pg_catalog.pg_table_is_visible(c.oid)
ORDER BY 1,2;"
    );
    assert_eq!(session.lines(&visible).await, ["public|Flights|foreign table|admin"]);
    let in_app = |kinds: &str| {
        format!(
            "{LIST} {kinds} AND n.nspname OPERATOR(pg_catalog.~) '^(app)$' COLLATE pg_catalog.default ORDER BY 1,2;"
        )
    };
    let tables = session.lines(&in_app("('r','p','t','s','')")).await;
    assert_eq!(tables, ["app|items|table|admin", "app|orders|table|admin"]);
    let views = session.lines(&in_app("('m','s','')")).await;
    assert_eq!(views, ["app|mv|materialized view|admin"]);
    let indexes = session.lines(&in_app("('i','I','s','')")).await;
    let expected = [
        "app|items_pkey|index|admin",
        "app|mv_customer_key|index|admin",
        "app|orders_pkey|index|admin",
    ];
    assert_eq!(indexes, expected);
}

#[tokio::test]
async fn psql_describes_a_table() {
    let session = sample::session();
    let found = session
        .line(
            "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c
             LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relname OPERATOR(pg_catalog.~) '^(orders)$' COLLATE pg_catalog.default
               AND n.nspname OPERATOR(pg_catalog.~) '^(app)$' COLLATE pg_catalog.default
             ORDER BY 2, 3;",
        )
        .await;
    assert_eq!(found, format!("{ORDERS}|app|orders"));
    let flags = session
        .line(&format!(
            "SELECT c.relchecks, c.relkind, c.relhasindex, c.relhasrules, c.relhastriggers, c.relrowsecurity, c.relforcerowsecurity, false AS relhasoids, c.relispartition, '', c.reltablespace, CASE WHEN c.reloftype = 0 THEN '' ELSE c.reloftype::pg_catalog.regtype::pg_catalog.text END, c.relpersistence, c.relreplident, am.amname
             FROM pg_catalog.pg_class c
             LEFT JOIN pg_catalog.pg_class tc ON (c.reltoastrelid = tc.oid)
             LEFT JOIN pg_catalog.pg_am am ON (c.relam = am.oid)
             WHERE c.oid = '{ORDERS}';"
        ))
        .await;
    assert_eq!(flags, "0|r|true|false|false|false|false|false|false||0||p|d|heap");
    let columns = session.lines(&columns_of(ORDERS)).await;
    let expected = [
        "id|bigint||true||||p||",
        "customer|text||true||||x||",
        "amount|numeric(12,2)||false||||m||",
        "ts|timestamp with time zone|now()|false||||p||",
        "tags|text[]||false||||x||",
        "meta|text||false||||x||",
    ];
    assert_eq!(columns, expected);
    let keys = session
        .lines(&format!(
            "SELECT c2.relname, i.indisprimary, i.indisunique, i.indisclustered, i.indisvalid, pg_catalog.pg_get_indexdef(i.indexrelid, 0, true),
             pg_catalog.pg_get_constraintdef(con.oid, true), contype, condeferrable, condeferred, i.indisreplident, c2.reltablespace
             FROM pg_catalog.pg_class c, pg_catalog.pg_class c2, pg_catalog.pg_index i
             LEFT JOIN pg_catalog.pg_constraint con ON (conrelid = i.indrelid AND conindid = i.indexrelid AND contype IN ('p','u','x'))
             WHERE c.oid = '{ORDERS}' AND c.oid = i.indrelid AND i.indexrelid = c2.oid
             ORDER BY i.indisprimary DESC, c2.relname;"
        ))
        .await;
    let definition = "CREATE UNIQUE INDEX orders_pkey ON app.orders USING btree (id)";
    let expected = format!(
        "orders_pkey|true|true|false|true|{definition}|PRIMARY KEY (id)|p|false|false|false|0"
    );
    assert_eq!(keys, [expected]);
}

fn columns_of(relation: u32) -> String {
    format!(
        "SELECT a.attname,
          pg_catalog.format_type(a.atttypid, a.atttypmod),
          (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true)
           FROM pg_catalog.pg_attrdef d
           WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef),
          a.attnotnull,
          (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t
           WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation,
          a.attidentity, a.attgenerated, a.attstorage, a.attcompression AS attcompression,
          pg_catalog.col_description(a.attrelid, a.attnum)
        FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = '{relation}' AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum;"
    )
}

#[tokio::test]
async fn psql_describes_views_and_sources() {
    let session = sample::session();
    let query = "SELECT customer, sum(amount) AS total FROM app.orders GROUP BY customer;";
    for view in [V, MV] {
        let text = format!("SELECT pg_catalog.pg_get_viewdef('{view}'::pg_catalog.oid, true);");
        assert_eq!(session.line(&text).await, query);
    }
    let source = session
        .line(&format!(
            "SELECT s.srvname,
              pg_catalog.array_to_string(ARRAY(
                SELECT pg_catalog.quote_ident(option_name) || ' ' || pg_catalog.quote_literal(option_value)
                FROM pg_catalog.pg_options_to_table(ftoptions)), ', ')
             FROM pg_catalog.pg_foreign_table f, pg_catalog.pg_foreign_server s
             WHERE f.ftrelid = '{FLIGHTS}' AND s.oid = f.ftserver;"
        ))
        .await;
    let options = "argument_1 'data/*.csv', format 'csv', header 'true', secret_key '********'";
    assert_eq!(source, format!("files|{options}"));
}

#[tokio::test]
async fn psql_lists_roles_schemas_and_databases() {
    let session = sample::session();
    let roles = session
        .lines(
            "SELECT r.rolname, r.rolsuper,
              ARRAY(SELECT b.rolname
                    FROM pg_catalog.pg_auth_members m
                    JOIN pg_catalog.pg_roles b ON (m.roleid = b.oid)
                    WHERE m.member = r.oid) as memberof
             FROM pg_catalog.pg_roles r WHERE r.rolname !~ '^pg_' ORDER BY 1;",
        )
        .await;
    assert_eq!(roles, ["admin|true|[]", "analyst|false|[reader]", "reader|false|[]"]);
    let schemas = session
        .lines(
            "SELECT n.nspname AS \"Name\", pg_catalog.pg_get_userbyid(n.nspowner) AS \"Owner\"
             FROM pg_catalog.pg_namespace n
             WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1;",
        )
        .await;
    assert_eq!(schemas, ["app|admin", "public|admin", "sys|admin"]);
    let database = session
        .line(
            "SELECT d.datname as \"Name\", pg_catalog.pg_get_userbyid(d.datdba) as \"Owner\",
              pg_catalog.pg_encoding_to_char(d.encoding) as \"Encoding\",
              CASE d.datlocprovider WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' END AS \"Locale Provider\",
              pg_catalog.array_to_string(d.datacl, E'\\n') AS \"Access privileges\"
             FROM pg_catalog.pg_database d ORDER BY 1;",
        )
        .await;
    assert_eq!(database, "main|admin|UTF8|libc|");
}

#[tokio::test]
async fn names_and_oids_convert() {
    let session = sample::session();
    let cases = [
        ("SELECT 'app.orders'::regclass::oid", "16385"),
        ("SELECT 'app.orders'::regclass", "app.orders"),
        ("SELECT '\"Flights\"'::regclass", "\"Flights\""),
        ("SELECT 16385::regclass::text", "app.orders"),
        ("SELECT 1::regclass", "1"),
        ("SELECT to_regclass('app.none') IS NULL", "true"),
        ("SELECT 'int4'::regtype::oid", "23"),
        ("SELECT 'timestamp with time zone[]'::regtype", "timestamp with time zone[]"),
        ("SELECT 1184::regtype::text", "timestamp with time zone"),
        ("SELECT format_type(1700, 786438)", "numeric(12,2)"),
        ("SELECT format_type(1043, 14)", "character varying(10)"),
        ("SELECT 'public'::regnamespace::oid", "2200"),
        ("SELECT relname FROM pg_class WHERE oid = 'app.mv'::regclass", "mv"),
        (
            "SELECT count(*) FROM pg_class c WHERE c.tableoid = 'pg_class'::regclass AND c.relname = 'mv'",
            "1",
        ),
        ("SELECT typname FROM pg_type WHERE oid = 'app.orders'::regtype", "orders"),
        ("SELECT obj_description('app.orders'::regclass, 'pg_class')", "orders"),
        ("SELECT pg_size_pretty(pg_total_relation_size('app.orders'))", "16 kB"),
        ("SELECT has_table_privilege('app.orders', 'SELECT')", "true"),
        ("SELECT current_schema()", "public"),
        ("SELECT (current_schemas(true))[1]", "pg_catalog"),
        ("SELECT current_user", "admin"),
        ("SELECT current_setting('server_version_num')", "150018"),
        ("SELECT array_upper('{a,b}'::text[], 1)", "2"),
        ("SELECT 'b' = ANY('{a,b}')", "true"),
        ("SELECT indnatts FROM pg_index WHERE indisprimary = 't' AND indrelid = 16386", "2"),
        ("SELECT coalesce(relacl, '{}') FROM pg_class WHERE oid = 16385", "[]"),
        ("SELECT coalesce(reloptions, '{a=b}') FROM pg_class WHERE oid = 16385", "[a=b]"),
        ("SELECT 'app.orders'::regclass::oid = 16385", "true"),
        ("SELECT x FROM unnest('{a}'::text[]) AS x", "a"),
        ("SELECT a, n FROM unnest('{z}'::text[]) WITH ORDINALITY AS t(a, n)", "z|1"),
        ("SELECT s FROM generate_series(3, 3) s", "3"),
        ("SELECT 'a_b' LIKE 'a/_b' ESCAPE '/'", "true"),
        ("SELECT json_build_object('a', 1, 'b', NULL)", "{\"a\":1,\"b\":null}"),
        ("SELECT quote_ident('Order') || quote_literal('it''s')", "\"Order\"'it''s'"),
    ];
    for (sql, expected) in cases {
        assert_eq!(session.line(sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn unknown_names_fail_as_in_postgresql() {
    let session = sample::session();
    let cases = [
        ("SELECT 'none'::regclass", "relation \"none\" does not exist"),
        ("SELECT 'none'::regtype", "type \"none\" does not exist"),
        ("SELECT current_setting('none')", "unrecognized configuration parameter \"none\""),
        ("SELECT has_schema_privilege('none', 'USAGE')", "schema \"none\" does not exist"),
        ("SELECT format_type(1)", "does not exist"),
    ];
    for (sql, message) in cases {
        let error = session.query(sql).await.err().unwrap_or_default();
        assert!(error.contains(message), "{sql}: {error}");
    }
}

#[tokio::test]
async fn jdbc_reads_metadata() {
    let session = sample::session();
    let keys = session
        .lines(
            "SELECT result.TABLE_NAME, result.COLUMN_NAME, result.KEY_SEQ, result.PK_NAME FROM
              (SELECT NULL AS TABLE_CAT, n.nspname AS TABLE_SCHEM, ct.relname AS TABLE_NAME, a.attname AS COLUMN_NAME,
                (information_schema._pg_expandarray(i.indkey)).n AS KEY_SEQ, ci.relname AS PK_NAME,
                information_schema._pg_expandarray(i.indkey) AS KEYS, a.attnum AS A_ATTNUM
               FROM pg_catalog.pg_class ct JOIN pg_catalog.pg_attribute a ON (ct.oid = a.attrelid)
               JOIN pg_catalog.pg_namespace n ON (ct.relnamespace = n.oid)
               JOIN pg_catalog.pg_index i ON ( a.attrelid = i.indrelid)
               JOIN pg_catalog.pg_class ci ON (ci.oid = i.indexrelid)
               WHERE true AND n.nspname = 'app' AND ct.relname = 'items' AND i.indisprimary ) result
             where result.A_ATTNUM = (result.KEYS).x ORDER BY result.table_name, result.pk_name, result.key_seq;",
        )
        .await;
    assert_eq!(keys, ["items|order_id|1|items_pkey", "items|sku|2|items_pkey"]);
    let schema = session
        .lines(
            "SELECT nspname AS TABLE_SCHEM, NULL AS TABLE_CATALOG FROM pg_catalog.pg_namespace WHERE nspname <> 'pg_toast' AND (nspname !~ '^pg_temp_' OR nspname = (pg_catalog.current_schemas(true))[1]) AND (nspname !~ '^pg_toast_temp_' OR nspname = replace((pg_catalog.current_schemas(true))[1], 'pg_temp_', 'pg_toast_temp_')) ORDER BY TABLE_SCHEM",
        )
        .await;
    assert_eq!(schema, ["app|", "information_schema|", "pg_catalog|", "public|", "sys|"]);
    let element = session
        .line("SELECT typinput='pg_catalog.array_in'::regproc as is_array, typtype, typname FROM pg_type WHERE oid = 1009")
        .await;
    assert_eq!(element, "true|b|_text");
}

#[tokio::test]
async fn sqlalchemy_reflects_keys() {
    let session = sample::session();
    let key = session
        .lines(
            "SELECT attr.conrelid, array_agg(CAST(attr.attname AS TEXT) ORDER BY attr.ord) AS cols, attr.conname, min(attr.indnkeyatts) AS indnkeyatts
             FROM (SELECT con.conrelid AS conrelid, con.conname AS conname, con.ord AS ord, con.indnkeyatts AS indnkeyatts, pg_catalog.pg_attribute.attname AS attname
               FROM pg_catalog.pg_attribute JOIN (SELECT pg_catalog.pg_constraint.conrelid AS conrelid, pg_catalog.pg_constraint.conname AS conname, unnest(pg_catalog.pg_index.indkey) AS attnum, generate_subscripts(pg_catalog.pg_index.indkey, 1::INTEGER) AS ord, pg_catalog.pg_index.indnkeyatts AS indnkeyatts
                 FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_index ON pg_catalog.pg_constraint.conindid = pg_catalog.pg_index.indexrelid
                 WHERE pg_catalog.pg_constraint.contype = 'p' AND pg_catalog.pg_constraint.conrelid IN (16386)) AS con ON pg_catalog.pg_attribute.attnum = con.attnum AND pg_catalog.pg_attribute.attrelid = con.conrelid) AS attr
             GROUP BY attr.conrelid, attr.conname ORDER BY attr.conrelid, attr.conname",
        )
        .await;
    assert_eq!(key, ["16386|[order_id, sku]|items_pkey|2"]);
    let version = session.line("select pg_catalog.version()").await;
    assert!(version.starts_with("PostgreSQL 15.18 (Levada "), "{version}");
}

#[tokio::test]
async fn information_schema_describes_relations() {
    let session = sample::session();
    let tables = session
        .lines(
            "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = 'app' ORDER BY 1",
        )
        .await;
    let expected =
        ["items|BASE TABLE", "lake|FOREIGN", "mv|MATERIALIZED VIEW", "orders|BASE TABLE", "v|VIEW"];
    assert_eq!(tables, expected);
    let columns = session
        .lines(
            "SELECT column_name, data_type, udt_name, is_nullable, numeric_precision, numeric_scale, column_default
             FROM information_schema.columns WHERE table_name = 'orders' ORDER BY ordinal_position",
        )
        .await;
    let expected = [
        "id|bigint|int8|NO|64|0|",
        "customer|text|text|NO|||",
        "amount|numeric|numeric|YES|12|2|",
        "ts|timestamp with time zone|timestamptz|YES|||now()",
        "tags|ARRAY|_text|YES|||",
        "meta|text|text|YES|||",
    ];
    assert_eq!(columns, expected);
    let keys = session
        .lines(
            "SELECT k.constraint_name, k.column_name, k.ordinal_position
             FROM information_schema.table_constraints t
             JOIN information_schema.key_column_usage k USING (constraint_schema, constraint_name)
             WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_name = 'items' ORDER BY 3",
        )
        .await;
    assert_eq!(keys, ["items_pkey|order_id|1", "items_pkey|sku|2"]);
}

#[tokio::test]
async fn output_columns_have_the_names_of_postgresql() {
    let session = sample::session();
    let cases = [
        (
            "SELECT count(*), 1 + 1, relname FROM pg_class GROUP BY relname",
            "count|?column?|relname",
        ),
        ("SELECT 1, 2, 'x'::text, true", "?column?|?column?|text|bool"),
        ("SELECT c.oid::regclass, c.relname::text FROM pg_class c", "oid|relname"),
        (
            "SELECT CASE WHEN true THEN 1 END, (SELECT max(oid) FROM pg_class), ARRAY[1]",
            "case|max|array",
        ),
        (
            "SELECT relname, relname, pg_get_userbyid(relowner) FROM pg_class",
            "relname|relname|pg_get_userbyid",
        ),
        ("SELECT n.*, 1 AS one FROM pg_namespace n", "oid|nspname|nspowner|nspacl|one"),
        ("SELECT current_user, current_database()", "current_user|current_database"),
    ];
    for (sql, expected) in cases {
        let rows = session.query(sql).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(rows.names().join("|"), expected, "{sql}");
    }
}

#[tokio::test]
async fn settings_are_set_after_the_statement() {
    let session = sample::session();
    assert_eq!(session.line("SELECT set_config('jit', 'off', false)").await, "off");
    let changes = session.snapshot.take_settings();
    let named: Vec<(&str, &str)> =
        changes.iter().map(|c| (c.name.as_str(), c.value.as_str())).collect();
    assert_eq!(named, [("jit", "off")]);
    assert!(session.snapshot.take_settings().is_empty(), "taken once");
}
