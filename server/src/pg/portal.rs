//! The extended protocol: prepared statements and portals.
//!
//! ```text
//! Parse    text -> Statement (parameter types, columns)
//! Bind     Statement + values + formats -> Portal
//! Execute  Portal -> rows, all or `rows_max` at a time; the rest stays in the portal
//! ```
//! Messages up to a Sync run in one implicit transaction. The common case, one Execute directly
//! followed by Sync, is a statement of its own and needs none.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::scalar::ScalarValue;
use levada_engine::client::{Outcome, Prepared};
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};

use crate::pg::cancel::Running;
use crate::pg::client::Client;
use crate::pg::encode::Format;
use crate::pg::frontend::{Bind, Request, Target};
use crate::pg::rows::{self, Cursor, Failure, Progress};
use crate::pg::{copy, decode, types};
use crate::sqlstate::Report;

/// Prepared statements a client may hold.
const STATEMENTS_MAX: usize = 1024;

/// Portals a client may hold.
const PORTALS_MAX: usize = 256;

/// A prepared statement.
#[derive(Debug)]
pub(crate) struct Statement {
    /// Its text as sent.
    pub(crate) text: String,
    /// What to run; `None` for an empty string.
    prepared: Option<Prepared>,
    /// PostgreSQL and Arrow type of each parameter.
    parameters: Vec<(u32, DataType)>,
    /// Its columns; `None` when it returns no rows.
    fields: Option<SchemaRef>,
}

/// A statement bound to its values.
pub(crate) struct Portal {
    /// The statement.
    pub(crate) statement: Arc<Statement>,
    values: Vec<ScalarValue>,
    column_formats: Vec<i16>,
    state: State,
}

/// How far a portal has come.
enum State {
    /// Not run yet.
    Bound,
    /// Some rows are out.
    Running(Cursor),
    /// All rows are out; the words of the tag with 0 rows.
    Exhausted(String),
    /// A statement without rows has run.
    Done,
}

/// Answers a message of the extended protocol.
///
/// # Errors
/// When the request fails or the client is gone.
pub(crate) async fn answer(client: &mut Client, request: Request) -> Result<(), Failure> {
    match request {
        Request::Parse { name, text, types } => parse(client, name, text, &types).await,
        Request::Bind(message) => bind(client, message),
        Request::Describe(target) => describe(client, &target),
        Request::Execute { portal, rows_max } => execute(client, portal, rows_max).await,
        Request::Close(target) => {
            match target {
                Target::Statement(name) => drop(client.statements.remove(&name)),
                Target::Portal(name) => drop(client.portals.remove(&name)),
            }
            client.wire.put(&CloseComplete::new());
            Ok(())
        }
        Request::Flush => client.wire.flush().await.map_err(Failure::socket),
        _ => Err(Report::error("08P01", "unexpected message").into()),
    }
}

async fn parse(
    client: &mut Client,
    name: String,
    text: String,
    types: &[u32],
) -> Result<(), Failure> {
    if !name.is_empty() {
        if client.statements.contains_key(&name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(Report::error("42P05", message).into());
        }
        if client.statements.len() >= STATEMENTS_MAX {
            let message = format!("too many prepared statements, at most {STATEMENTS_MAX}");
            return Err(Report::error("54000", message).into());
        }
    }
    let mut parsed = client.session.read(&text).await?;
    if parsed.len() > 1 {
        let message = "cannot insert multiple commands into a prepared statement";
        return Err(Report::error("42601", message).into());
    }
    let prepared = parsed.pop();
    let (parameters, fields) = match &prepared {
        None => (Vec::new(), None),
        Some(prepared) => analyse(client, prepared, types).await?,
    };
    let statement = Statement { text, prepared, parameters, fields };
    client.statements.insert(name, Arc::new(statement));
    client.wire.put(&ParseComplete::new());
    Ok(())
}

/// Finds a statement's parameter types, of which the client may have given some, and its columns.
async fn analyse(
    client: &mut Client,
    prepared: &Prepared,
    types: &[u32],
) -> Result<(Vec<(u32, DataType)>, Option<SchemaRef>), Failure> {
    let given: Vec<Option<DataType>> = types.iter().map(|oid| types::arrow_type(*oid)).collect();
    let mut running = client.begin();
    let described = {
        let describing = Box::pin(client.session.describe(prepared, &given));
        rows::guarded(&mut running, &client.wire, describing).await
    };
    client.end();
    let description = described??;
    let count = description.parameters.len().max(types.len());
    let parameters = (0..count).map(|at| {
        let found = description.parameters.get(at).cloned().unwrap_or(DataType::Utf8);
        match types.get(at) {
            // The client speaks of values of this type, whatever the statement makes of them.
            Some(oid) if given[at].is_some() => (*oid, given[at].clone().unwrap_or(found)),
            _ if found == DataType::Null => (types::of(&found).oid(), DataType::Utf8),
            _ => (types::of(&found).oid(), found),
        }
    });
    Ok((parameters.collect(), description.fields))
}

fn bind(client: &mut Client, message: Bind) -> Result<(), Failure> {
    let Some(statement) = client.statements.get(&message.statement).cloned() else {
        return Err(no_statement(&message.statement));
    };
    if !message.portal.is_empty() {
        if client.portals.contains_key(&message.portal) {
            let report = format!("portal \"{}\" already exists", message.portal);
            return Err(Report::error("42P03", report).into());
        }
        if client.portals.len() >= PORTALS_MAX {
            let report = format!("too many portals, at most {PORTALS_MAX}");
            return Err(Report::error("54000", report).into());
        }
    }
    let wanted = statement.parameters.len();
    if message.values.len() != wanted {
        let report = format!(
            "bind message supplies {} parameters, but prepared statement \"{}\" requires {wanted}",
            message.values.len(),
            message.statement,
        );
        return Err(Report::error("08P01", report).into());
    }
    let mut values = Vec::with_capacity(wanted);
    for (at, value) in message.values.iter().enumerate() {
        let format = format_at(&message.value_formats, at)?;
        let (oid, data_type) = &statement.parameters[at];
        let value =
            decode::parameter(value.as_deref(), format, *oid, data_type).map_err(|report| {
                report.with_context(format!("unnamed portal parameter ${}", at + 1))
            })?;
        values.push(value);
    }
    if let Some(fields) = &statement.fields {
        // A wrong code is refused here, before anything runs.
        formats(&message.column_formats, fields.fields().len())?;
    }
    let portal =
        Portal { statement, values, column_formats: message.column_formats, state: State::Bound };
    client.portals.insert(message.portal, portal);
    client.wire.put(&BindComplete::new());
    Ok(())
}

fn describe(client: &mut Client, target: &Target) -> Result<(), Failure> {
    match target {
        Target::Statement(name) => {
            let Some(statement) = client.statements.get(name).cloned() else {
                return Err(no_statement(name));
            };
            let types = statement.parameters.iter().map(|(oid, _)| *oid).collect();
            client.wire.put(&ParameterDescription::new(types));
            put_columns(client, statement.fields.as_ref(), &[])
        }
        Target::Portal(name) => {
            let Some(portal) = client.portals.get(name) else {
                return Err(no_portal(name));
            };
            let (fields, codes) = (portal.statement.fields.clone(), portal.column_formats.clone());
            put_columns(client, fields.as_ref(), &codes)
        }
    }
}

fn put_columns(
    client: &mut Client,
    fields: Option<&SchemaRef>,
    codes: &[i16],
) -> Result<(), Failure> {
    match fields {
        None => client.wire.put(&NoData::new()),
        Some(schema) => {
            let formats = formats(codes, schema.fields().len())?;
            client.wire.put(&rows::describe(schema, &formats));
        }
    }
    Ok(())
}

async fn execute(client: &mut Client, name: String, rows_max: usize) -> Result<(), Failure> {
    // Out of the map while it runs: a portal that fails is gone.
    let Some(mut portal) = client.portals.remove(&name) else {
        return Err(no_portal(&name));
    };
    if !client.implicit && !client.wire.sync_is_next().await {
        client.session.begin_implicit();
        client.implicit = true;
    }
    let mut running = client.begin();
    let ran = run(client, &mut portal, &name, rows_max, &mut running).await;
    client.end();
    ran?;
    client.portals.insert(name, portal);
    Ok(())
}

async fn run(
    client: &mut Client,
    portal: &mut Portal,
    name: &str,
    rows_max: usize,
    running: &mut Running,
) -> Result<(), Failure> {
    match &mut portal.state {
        State::Bound => start(client, portal, rows_max, running).await,
        State::Running(_) => advance(client, portal, rows_max, running).await,
        State::Exhausted(tag) => {
            client.complete(tag.clone());
            Ok(())
        }
        State::Done => {
            Err(Report::error("55000", format!("portal \"{name}\" cannot be run")).into())
        }
    }
}

/// Runs a portal's statement for the first time.
async fn start(
    client: &mut Client,
    portal: &mut Portal,
    rows_max: usize,
    running: &mut Running,
) -> Result<(), Failure> {
    let statement = Arc::clone(&portal.statement);
    let Some(prepared) = &statement.prepared else {
        client.complete_empty();
        return Ok(());
    };
    let values = portal.values.clone();
    portal.state = State::Done;
    match client.execute(running, prepared, values).await? {
        Outcome::Rows(result) => {
            let described = statement.fields.as_ref().map_or(0, |fields| fields.fields().len());
            if described != result.schema.fields().len() {
                // The client was told of other columns and would misread these.
                return Err(
                    Report::error("0A000", "cached plan must not change result type").into()
                );
            }
            let formats = formats(&portal.column_formats, result.schema.fields().len())?;
            portal.state = State::Running(Cursor::new(result, formats));
            advance(client, portal, rows_max, running).await
        }
        Outcome::Done(tag) => {
            client.complete(tag);
            Ok(())
        }
        Outcome::Empty => {
            client.complete_empty();
            Ok(())
        }
        Outcome::CopyIn(copy) => {
            let tag = copy::from_client(client, copy, running).await?;
            client.complete(tag);
            Ok(())
        }
        Outcome::CopyOut(copy) => {
            let tag = copy::to_client(client, copy, running).await?;
            client.complete(tag);
            Ok(())
        }
    }
}

/// Sends the next rows of a running portal.
async fn advance(
    client: &mut Client,
    portal: &mut Portal,
    rows_max: usize,
    running: &mut Running,
) -> Result<(), Failure> {
    let State::Running(cursor) = &mut portal.state else {
        return Ok(());
    };
    match cursor.send(&mut client.wire, running, rows_max).await? {
        (Progress::Suspended, _) => client.wire.put(&PortalSuspended::new()),
        (Progress::Finished, sent) => {
            let tag = cursor.tag(sent);
            portal.state = State::Exhausted(cursor.tag(0));
            client.complete(tag);
        }
    }
    Ok(())
}

/// One format per column from a message's codes: none, one for all, or one each.
fn formats(codes: &[i16], columns: usize) -> Result<Vec<Format>, Report> {
    if codes.len() > 1 && codes.len() != columns {
        let message = format!(
            "bind message has {} result formats but query has {columns} columns",
            codes.len()
        );
        return Err(Report::error("08P01", message));
    }
    (0..columns).map(|at| format_at(codes, at)).collect()
}

fn format_at(codes: &[i16], at: usize) -> Result<Format, Report> {
    let code = match codes {
        [] => 0,
        [one] => *one,
        many => many.get(at).copied().unwrap_or(0),
    };
    match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(Report::error("22023", format!("unsupported format code: {other}"))),
    }
}

fn no_statement(name: &str) -> Failure {
    let message = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    Report::error("26000", message).into()
}

fn no_portal(name: &str) -> Failure {
    Report::error("34000", format!("portal \"{name}\" does not exist")).into()
}
