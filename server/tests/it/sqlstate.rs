//! Wrong statements and the SQLSTATE of each, as PostgreSQL 15 answers them.
//!
//! `sqlstate.txt` has one a line: PostgreSQL's state and the statement, run over the fixture below. Where
//! Levada answers otherwise, its state stands behind PostgreSQL's, as in `22012/00000`; these lines can
//! only become fewer.

use crate::support::server;

/// Lines on which the two may differ.
const DIFFERENT_MAX: usize = 19;

const FIXTURE: &str = "
    create table t (id int primary key, name text not null, d date, ts timestamptz,
        n numeric(6,2), b boolean);
    insert into t (id, name) values (1, 'a');
    create table u (id int, x int);
    create table many (id int);
    insert into many values (1), (2);
    create table base (id int);
    create view v0 as select id from base;
";

#[tokio::test(flavor = "multi_thread")]
async fn wrong_statements_have_the_states_of_postgresql() {
    let server = server().await;
    let client = server.client().await;
    client.batch_execute(FIXTURE).await.expect("the fixture");
    let mut wrong = Vec::new();
    let (mut all, mut different) = (0, 0);
    for line in include_str!("sqlstate.txt").lines() {
        let (states, sql) = line.split_once(' ').expect("a state and a statement");
        let expected = states.split('/').next_back().expect("one at least");
        all += 1;
        different += usize::from(states.contains('/'));
        let found = match client.simple_query(sql).await {
            Ok(_) => "00000".to_owned(),
            Err(error) => error.code().map_or_else(String::new, |code| code.code().to_owned()),
        };
        if found != expected {
            wrong.push(format!("{states} but {found}: {sql}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {all} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(different <= DIFFERENT_MAX, "{different} lines differ from PostgreSQL");
}
