//! Transaction control.

use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result};
use crate::parse::refuse;
use crate::parse::stream::Stream;
use crate::statement::{Access, Isolation, Statement, Transaction, TransactionModes};

/// Reads `BEGIN`, `COMMIT` and their like.
pub(super) fn transaction(stream: &mut Stream<'_>) -> Result<Statement> {
    let verbs = [
        "BEGIN",
        "START TRANSACTION",
        "COMMIT",
        "END",
        "ROLLBACK",
        "ABORT",
        "SAVEPOINT",
        "RELEASE",
    ];
    let position = stream.position();
    let Some(verb) = stream.accept_one(&verbs) else {
        stream.skip(1);
        return Err(stream.expected(&["TRANSACTION"]));
    };
    let statement = match verb {
        0 | 1 => {
            if verb == 0 {
                stream.accept_one(&["WORK", "TRANSACTION"]);
            }
            Transaction::Begin(modes(stream)?)
        }
        2 | 3 => {
            stream.accept_one(&["WORK", "TRANSACTION"]);
            Transaction::Commit { chain: chain(stream)? }
        }
        4 | 5 => {
            stream.accept_one(&["WORK", "TRANSACTION"]);
            if verb == 4 && stream.accept("TO") {
                stream.accept("SAVEPOINT");
                Transaction::RollbackTo(stream.identifier()?.name)
            } else {
                Transaction::Rollback { chain: chain(stream)? }
            }
        }
        6 => Transaction::Savepoint(stream.identifier()?.name),
        _ => {
            stream.accept("SAVEPOINT");
            Transaction::Release(stream.identifier()?.name)
        }
    };
    if stream.at("PREPARED") {
        return refuse("COMMIT PREPARED", position);
    }
    Ok(Statement::Transaction(statement))
}

fn chain(stream: &mut Stream<'_>) -> Result<bool> {
    if !stream.accept("AND") {
        return Ok(false);
    }
    let no = stream.accept("NO");
    stream.expect("CHAIN")?;
    Ok(!no)
}

/// Reads transaction modes, with or without commas between them; later ones win.
pub(super) fn modes(stream: &mut Stream<'_>) -> Result<TransactionModes> {
    let mut modes = TransactionModes::default();
    let mut comma = false;
    loop {
        let phrases =
            ["ISOLATION LEVEL", "READ ONLY", "READ WRITE", "DEFERRABLE", "NOT DEFERRABLE"];
        match stream.accept_one(&phrases) {
            Some(0) => modes.isolation = Some(isolation(stream)?),
            Some(1) => modes.access = Some(Access::ReadOnly),
            Some(2) => modes.access = Some(Access::ReadWrite),
            Some(index) => modes.deferrable = Some(index == 3),
            None if comma => return Err(stream.expected(&phrases)),
            None => return Ok(modes),
        }
        comma = stream.accept_sign(&Token::Comma);
    }
}

fn isolation(stream: &mut Stream<'_>) -> Result<Isolation> {
    let levels = [
        ("READ UNCOMMITTED", Isolation::ReadUncommitted),
        ("READ COMMITTED", Isolation::ReadCommitted),
        ("REPEATABLE READ", Isolation::RepeatableRead),
        ("SERIALIZABLE", Isolation::Serializable),
    ];
    Ok(levels[stream.expect_one(&levels.map(|(words, _)| words))?].1)
}

/// Reads modes of which there must be one.
pub(super) fn some_modes(stream: &mut Stream<'_>) -> Result<TransactionModes> {
    let modes = modes(stream)?;
    if modes == TransactionModes::default() {
        return Err(missing(stream));
    }
    Ok(modes)
}

fn missing(stream: &Stream<'_>) -> Error {
    stream.expected(&["ISOLATION LEVEL", "READ ONLY", "READ WRITE"])
}
