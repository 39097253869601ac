//! Simple queries: a string of statements, each answered in turn.
//!
//! The whole string is parsed before anything runs. Several statements are one implicit transaction
//! unless they say otherwise; an error ends the string.

use levada_engine::client::{Outcome, Prepared};

use crate::pg::cancel::Running;
use crate::pg::client::Client;
use crate::pg::copy;
use crate::pg::rows::{self, Cursor, Failure};

/// Answers a simple query, all but `ReadyForQuery`.
///
/// # Errors
/// Only when the client is gone.
pub(crate) async fn run(client: &mut Client, text: String) -> Result<(), Failure> {
    // A simple query drops the unnamed statement and portal.
    client.statements.remove("");
    client.portals.remove("");
    let statements = match client.session.read(&text).await {
        Ok(statements) => statements,
        Err(error) => {
            client.refuse(&error.into(), &text);
            return Ok(());
        }
    };
    if statements.is_empty() {
        client.complete_empty();
        return Ok(());
    }
    let implicit = statements.len() > 1;
    if implicit {
        client.session.begin_implicit();
    }
    let mut failed = false;
    for statement in &statements {
        let mut running = client.begin();
        let answered = one(client, statement, &mut running).await;
        client.end();
        match answered {
            Ok(()) => {}
            Err(Failure::Gone) => return Err(Failure::Gone),
            Err(Failure::Statement(report)) => {
                client.refuse(&report, &text);
                failed = true;
                break;
            }
        }
    }
    if implicit
        && let Err(error) = client.session.end_implicit().await
        && !failed
    {
        client.refuse(&error.into(), &text);
    }
    Ok(())
}

/// Runs and answers one statement.
async fn one(
    client: &mut Client,
    statement: &Prepared,
    running: &mut Running,
) -> Result<(), Failure> {
    match client.execute(running, statement, Vec::new()).await? {
        Outcome::Rows(result) => {
            client.wire.put(&rows::describe(&result.schema, &[]));
            let mut cursor = Cursor::new(result, Vec::new());
            let (_, sent) = cursor.send(&mut client.wire, running, 0).await?;
            client.complete(cursor.tag(sent));
        }
        Outcome::Done(tag) => client.complete(tag),
        Outcome::Empty => client.complete_empty(),
        Outcome::CopyIn(copy) => {
            let tag = copy::from_client(client, copy, running).await?;
            client.complete(tag);
        }
        Outcome::CopyOut(copy) => {
            let tag = copy::to_client(client, copy, running).await?;
            client.complete(tag);
        }
    }
    Ok(())
}
