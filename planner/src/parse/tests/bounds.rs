//! Limits of length, depth and number: refused, not overflowed.

use super::{fail, one};
use crate::parse::{
    CHAIN_TOKENS_MAX, DEPTH_MAX, OPERATORS_MAX, SET_OPERATIONS_MAX, STATEMENTS_MAX, TEXT_BYTES_MAX,
    parse,
};

/// Runs on a stack as small as those of worker threads.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(work)
        .expect("a thread starts")
        .join()
        .expect("no overflow");
}

#[test]
fn text_has_a_greatest_length() {
    let sql = format!("SELECT '{}'", "x".repeat(TEXT_BYTES_MAX));
    assert_eq!(fail(&sql).sqlstate(), "54000");
    let sql = format!("SELECT '{}'", "x".repeat(TEXT_BYTES_MAX - 9));
    assert!(parse(&sql).is_ok(), "text at the limit is read");
}

#[test]
fn deep_nesting_is_refused_without_overflow() {
    on_small_stack(|| {
        let deep = 200_000;
        for (open, inside, close) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("NOT ", "true", ""),
            ("- ", "1", ""),
            ("(SELECT ", "1", ")"),
            ("CASE WHEN ", "1", ""),
            ("f(", "1", ")"),
            ("ARRAY[", "1", "]"),
        ] {
            for count in [DEPTH_MAX + 1, 3_000, deep] {
                let sql = format!("SELECT {}{inside}{}", open.repeat(count), close.repeat(count));
                if sql.len() <= TEXT_BYTES_MAX {
                    assert!(parse(&sql).is_err(), "{count} of {open}");
                }
            }
        }
    });
}

#[test]
fn nesting_within_the_bound_is_read_walked_and_freed() {
    on_small_stack(|| {
        for (open, close, count) in
            [("(", ")", 200), ("NOT ", "", 200), ("f(", ")", 200), ("- ", "", 100)]
        {
            let sql = format!("SELECT {}1{}", open.repeat(count), close.repeat(count));
            let statement = one(&sql);
            assert_eq!(one(&statement.to_string()), statement);
        }
        let sql = format!("SELECT * FROM {}a JOIN b USING (c){}", "(".repeat(60), ")".repeat(60));
        assert!(parse(&sql).is_ok(), "parentheses around a join");
    });
}

#[test]
fn long_chains_within_the_bound_are_read_walked_and_freed() {
    on_small_stack(|| {
        let sql = format!("SELECT 1{}", " + 1".repeat(OPERATORS_MAX));
        let statement = one(&sql);
        assert_eq!(one(&statement.to_string()), statement);
        let sql = format!("SELECT a{}", " IS NULL".repeat(CHAIN_TOKENS_MAX / 2 - 10));
        one(&sql);
        let sql = format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(SET_OPERATIONS_MAX));
        let statement = one(&sql);
        assert_eq!(one(&statement.to_string()), statement);
    });
}

#[test]
fn longer_chains_are_refused() {
    on_small_stack(|| {
        for sql in [
            format!("SELECT 1{}", " + 1".repeat(OPERATORS_MAX + 1)),
            format!("SELECT (1{0}) * (1{0})", " + 1".repeat(OPERATORS_MAX / 2)),
            format!("SELECT f(1{0}, 1{0})", " || 1".repeat(OPERATORS_MAX / 2 + 1)),
            format!("SELECT a{}", "::int".repeat(100_000)),
            format!("SELECT CAST(a AS int{})", "[]".repeat(100_000)),
            format!("SELECT a{}", "[1]".repeat(100_000)),
            format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(SET_OPERATIONS_MAX + 1)),
        ] {
            assert_eq!(fail(&sql).sqlstate(), "54001");
        }
    });
}

#[test]
fn long_lists_are_no_chains() {
    let sql = format!("INSERT INTO t VALUES (1, 'a'){}", ", (2, 'b')".repeat(20_000));
    assert!(parse(&sql).is_ok(), "rows of a list lie side by side");
    let sql = format!("SELECT a IN (1{})", ", 2".repeat(50_000));
    assert!(parse(&sql).is_ok(), "items of a list lie side by side");
    let sql = format!("SELECT a IN (-1{})", ", -2".repeat(50_000));
    assert!(parse(&sql).is_ok(), "a sign is no operator of two operands");
    let sql = format!("SELECT (a = 1 AND b < 2){}", " OR (a = 1 AND b < 2)".repeat(280));
    assert!(parse(&sql).is_ok(), "AND and OR become shallow trees");
    let sql = "SELECT 1;".repeat(STATEMENTS_MAX);
    assert_eq!(parse(&sql).map(|all| all.len()).ok(), Some(STATEMENTS_MAX));
    assert_eq!(fail(&format!("{sql}SELECT 1")).sqlstate(), "54000");
}

#[test]
fn what_sqlparser_reads_twice_does_not_double_the_work_with_each_level() {
    on_small_stack(|| {
        let sql = format!("SELECT {}1{}", "f(".repeat(100), ")".repeat(100));
        assert!(parse(&sql).is_ok(), "calls inside calls");
        let sql = format!("SELECT * FROM {}t{}", "((SELECT * FROM ".repeat(10), ")) a".repeat(10));
        assert!(parse(&sql).is_ok(), "queries in doubled parentheses");
        for (open, close) in [
            ("CAST(", ""),
            ("SUBSTRING(", ""),
            ("position(", ")"),
            ("floor(", ""),
            ("extract(", ""),
            ("convert(", ""),
        ] {
            let sql = format!("SELECT {}1{}", open.repeat(100), close.repeat(100));
            assert!(parse(&sql).is_err(), "{open}");
        }
        let sql = format!("SELECT * FROM {}t{}", "((SELECT * FROM ".repeat(40), ") a)".repeat(40));
        assert_eq!(fail(&sql).sqlstate(), "54001");
    });
}

#[test]
fn a_long_text_is_read_in_time_that_follows_its_length() {
    on_small_stack(|| {
        let nested = format!("{}1{}", "f(".repeat(45), ")".repeat(45));
        let negated = format!("{}1", "- ".repeat(45));
        for item in [nested, negated] {
            let sql = format!(
                "SELECT {item}{}",
                format!(", {item}").repeat(TEXT_BYTES_MAX / (item.len() + 2) - 2)
            );
            assert!(parse(&sql).is_ok(), "1 MiB of {item}");
        }
    });
}
