//! Syntax errors: message, position and hint.

use super::{fail, render};

/// Wrong statements and what is said about them: the text, `----`, the error as psql shows it.
const GOLDEN: &str = include_str!("errors.txt");

#[test]
fn wrong_statements_are_told_where_and_what_was_meant() {
    let mut count = 0;
    for case in GOLDEN.trim_end().split("\n\n") {
        let (sql, expected) = case.split_once("\n----\n").expect("a text and its error");
        assert_eq!(render(sql, &fail(sql)), expected.trim_end(), "for {sql}");
        count += 1;
    }
    assert!(count > 70, "all cases are read");
}
