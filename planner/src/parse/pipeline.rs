//! `CREATE PIPELINE`: steps in parentheses, then clauses.

use crate::error::{Error, Result};
use crate::parse::stream::Stream;
use crate::parse::{connector, fixed, refuse};
use crate::statement::{ColumnName, CreatePipeline, Name, QueryStep, Statement, Step, Trigger};

/// Reads `[IF NOT EXISTS] name [VERSION 'label'] (steps) clauses`.
pub(super) fn pipeline(stream: &mut Stream<'_>, or_replace: bool) -> Result<Statement> {
    let if_exists = stream.if_not_exists(or_replace)?;
    let name = stream.identifier()?;
    let version = if stream.accept("VERSION") { Some(stream.string()?) } else { None };
    let position = stream.position();
    if stream.at("FROM TEMPLATE") {
        return refuse("CREATE PIPELINE ... FROM TEMPLATE", position);
    }
    let steps = stream.in_parentheses(step)?;
    unique(&steps)?;
    let mut trigger = None;
    while !stream.at_end() {
        let position = stream.position();
        if trigger.is_none() && stream.accept("TRIGGER") {
            trigger = Some(read_trigger(stream, position)?);
        } else if !fixed::accept(stream, &fixed::PIPELINE)? {
            return Err(stream.expected(&["TRIGGER"]));
        }
    }
    let trigger = trigger.unwrap_or_default();
    Ok(Statement::CreatePipeline(CreatePipeline { name, if_exists, version, steps, trigger }))
}

fn read_trigger(stream: &mut Stream<'_>, position: usize) -> Result<Trigger> {
    let triggers = [
        "CONTINUOUS",
        "MANUAL",
        "EVERY",
        "CRON",
        "ON CHANGE OF",
        "ON FILES IN",
        "ON SUCCESS OF",
        "WEBHOOK",
    ];
    match stream.expect_one(&triggers)? {
        0 => Ok(Trigger::Continuous),
        index => Err(Error::Unsupported {
            construct: format!("TRIGGER {}", triggers[index]),
            position,
            hint: Some("TRIGGER CONTINUOUS advances the pipeline with every epoch.".to_owned()),
        }),
    }
}

/// Reads one step. The words that start other sorts of steps may be names of steps too: a name is
/// followed by `AS`, `MATERIALIZED`, `EPHEMERAL`, `KEY` or `PARTITION`.
fn step(stream: &mut Stream<'_>) -> Result<Step> {
    let position = stream.position();
    let named = ["AS", "MATERIALIZED", "EPHEMERAL", "KEY", "PARTITION BY"]
        .iter()
        .any(|phrase| stream.at_offset(1, phrase));
    if !named {
        for (index, word) in ["SINK", "EXPECT", "RUN", "TEST", "ALERT"].iter().enumerate() {
            if stream.accept(word) {
                return if index == 0 {
                    sink(stream)
                } else {
                    refuse(format!("{word} in a pipeline"), position)
                };
            }
        }
    }
    let name = stream.identifier()?;
    let materialized = match stream.accept_one(&["MATERIALIZED", "EPHEMERAL"]) {
        Some(index) => index == 0,
        None => false,
    };
    let key = if stream.accept("KEY") { stream.columns()? } else { Vec::new() };
    let position = stream.position();
    if stream.at("PARTITION BY") {
        return refuse("PARTITION BY", position);
    }
    if !stream.accept("AS") {
        return Err(stream.expected(&["AS", "MATERIALIZED", "KEY"]));
    }
    let query = stream.query_in_parentheses()?;
    Ok(Step::Query(QueryStep { name, materialized, key, query }))
}

fn sink(stream: &mut Stream<'_>) -> Result<Step> {
    let ColumnName { name, position } = stream.identifier()?;
    let name = Name { position, ..Name::new(None, &name) };
    Ok(Step::Sink(Box::new(connector::sink_body(stream, name)?)))
}

/// Fails at a name that two steps have.
fn unique(steps: &[Step]) -> Result<()> {
    let name = |step: &Step| match step {
        Step::Query(step) => (step.name.name.clone(), step.name.position),
        Step::Sink(sink) => (sink.name.name.clone(), sink.name.position),
    };
    for (index, step) in steps.iter().enumerate() {
        let (own, position) = name(step);
        if steps.iter().take(index).any(|other| name(other).0 == own) {
            let message = format!("step \"{own}\" specified more than once");
            return Err(Error::InvalidDefinition { message, position, hint: None });
        }
    }
    Ok(())
}
