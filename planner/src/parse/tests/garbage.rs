//! Arbitrary and mutated text never panics.

use crate::parse::parse;

/// Texts to tear apart.
const SEEDS: [&str; 8] = [
    "CREATE SOURCE s (a int NOT NULL, PRIMARY KEY (a)) FROM FILES ('x') (k v) FORMAT CSV (h true)",
    "CREATE PIPELINE p (a AS (SELECT 1), SINK s FROM a INTO FILES 'x' FORMAT PARQUET) TRIGGER CONTINUOUS",
    "CREATE MATERIALIZED VIEW m (a) KEY (a) INCREMENTAL STRICT AS SELECT a FROM t EMIT ON CHANGE",
    "COPY t (a, b) FROM STDIN WITH (FORMAT csv, HEADER true, DELIMITER ';', FORCE_NULL (a))",
    "EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM a JOIN b USING (c) WHERE x IN (1, 2) ORDER BY 1",
    "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED; FETCH FORWARD 1 IN c",
    "INSERT INTO t (a) VALUES ($1, E'\\'', $$;$$, U&'x', 1.5e3) ON CONFLICT DO NOTHING RETURNING *",
    "SHOW MATERIALIZED VIEWS IN x LIKE 'y'; DROP TABLE IF EXISTS \"ü\".b CASCADE; COMMENT ON VIEW v IS 'x'",
];

/// Scraps to put in.
const SCRAPS: [&str; 30] = [
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    ".",
    "'",
    "\"",
    "$$",
    "$1",
    "--",
    "/*",
    "*/",
    "::",
    "=",
    "SELECT",
    "AS",
    "FROM",
    "NULL",
    "é🦀",
    "\0",
    "\\",
    "1e",
    "0x",
    "E'",
    "CASE",
    "NOT",
    "IF NOT EXISTS",
    "KEY",
];

/// A small generator of numbers, the same in every run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("below a usize")
    }
}

#[test]
fn torn_statements_never_panic_and_errors_stand_inside_the_text() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut errors = 0;
    for round in 0..20_000 {
        let mut words: Vec<&str> = SEEDS[round % SEEDS.len()].split_inclusive(' ').collect();
        for _ in 0..=numbers.below(4) {
            let at = numbers.below(words.len());
            match numbers.below(4) {
                0 => {
                    words.remove(at);
                }
                1 => words.insert(at, SCRAPS[numbers.below(SCRAPS.len())]),
                2 => words.truncate(at + 1),
                _ => {
                    let other = numbers.below(words.len());
                    words.swap(at, other);
                }
            }
            if words.is_empty() {
                words.push(" ");
            }
        }
        let sql = words.concat();
        if let Err(error) = parse(&sql) {
            errors += 1;
            let end = sql.chars().count() + 1;
            let position = error.position().unwrap_or_else(|| panic!("{error}: {sql}"));
            assert!(position <= end, "{error} at {position} of {end}: {sql}");
        }
    }
    assert!(errors > 10_000, "tearing breaks most statements");
}

#[test]
fn every_prefix_is_read_or_refused() {
    for seed in SEEDS {
        for (end, _) in seed.char_indices() {
            let prefix = seed.get(..end).expect("a character border");
            if let Err(error) = parse(prefix) {
                assert!(error.position().is_some(), "{error}: {prefix}");
            }
        }
    }
}
