//! Statements as real clients send them.

use super::{all, one};

/// The shapes of statements that psql, drivers, ORMs and tools send, a group per paragraph.
const CLIENTS: &str = include_str!("clients.sql");

#[test]
fn statements_of_clients_are_read() {
    for group in CLIENTS.split("\n\n") {
        assert!(!all(group).is_empty(), "{group}");
    }
}

#[test]
fn statements_of_clients_are_printed_and_read_back() {
    for parsed in CLIENTS.split("\n\n").flat_map(all) {
        let printed = parsed.statement.to_string();
        assert_eq!(one(&printed), parsed.statement, "{printed}");
    }
}
