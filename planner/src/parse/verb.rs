//! The first words of a statement decide who reads it.

use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::Token;

use crate::error::{Error, Result};
use crate::parse::stream::Stream;
use crate::parse::{
    alter, copy, create, explain, option, prepared, refuse, setting, show, transaction, unsupported,
};
use crate::statement::{Maintain, Statement, WaitFor};

/// First words of all statements, for hints.
const VERBS: &str = "\
    SELECT WITH VALUES TABLE INSERT UPDATE DELETE MERGE TRUNCATE CREATE ALTER DROP COMMENT \
    EXPLAIN CHECK SHOW DESCRIBE REFRESH WAIT CHECKPOINT COPY BEGIN START COMMIT END ROLLBACK \
    ABORT SAVEPOINT RELEASE SET RESET DISCARD PREPARE EXECUTE DEALLOCATE DECLARE FETCH MOVE \
    CLOSE LISTEN UNLISTEN NOTIFY GRANT REVOKE ANALYZE VACUUM LOCK CALL";

/// Reads one statement.
pub(super) fn statement(stream: &mut Stream<'_>) -> Result<Statement> {
    unsupported::check(stream)?;
    if stream.at_sign(&Token::LParen) {
        return query(stream);
    }
    let Some(verb) = stream.bare_word(stream.index()).map(str::to_ascii_uppercase) else {
        return Err(stream.unexpected());
    };
    match verb.as_str() {
        "SELECT" | "WITH" | "VALUES" | "TABLE" => query(stream),
        "INSERT" => sql_behind(stream, "INTO"),
        "DELETE" => sql_behind(stream, "FROM"),
        "UPDATE" | "MERGE" | "TRUNCATE" | "GRANT" | "REVOKE" | "LOCK" | "CALL" => sql(stream),
        "VACUUM" | "ANALYZE" => maintain(stream),
        "CREATE" => create::create(stream),
        "ALTER" => alter::alter(stream),
        "DROP" => alter::drop(stream),
        "COMMENT" => alter::comment(stream),
        "EXPLAIN" => explain::explain(stream),
        "CHECK" => check(stream),
        "SHOW" => show::show(stream),
        "DESCRIBE" => {
            stream.skip(1);
            Ok(Statement::Describe(stream.name()?))
        }
        "REFRESH" => refresh(stream),
        "WAIT" => wait(stream),
        "CHECKPOINT" => {
            stream.skip(1);
            Ok(Statement::Checkpoint)
        }
        "COPY" => copy::copy(stream),
        "BEGIN" | "START" | "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "SAVEPOINT" | "RELEASE" => {
            transaction::transaction(stream)
        }
        "SET" => setting::set(stream),
        "RESET" => setting::reset(stream),
        "DISCARD" => setting::discard(stream),
        "PREPARE" => prepared::prepare(stream),
        "EXECUTE" => prepared::execute(stream),
        "DEALLOCATE" => prepared::deallocate(stream),
        "DECLARE" => prepared::declare(stream),
        "FETCH" | "MOVE" => prepared::fetch(stream),
        "CLOSE" => prepared::close(stream),
        "LISTEN" | "UNLISTEN" | "NOTIFY" => prepared::channel(stream),
        _ => Err(unknown(stream)),
    }
}

fn unknown(stream: &Stream<'_>) -> Error {
    let verbs: Vec<&str> = VERBS.split(' ').collect();
    match stream.expected(&verbs) {
        Error::Syntax { message, position, hint } => {
            let hint = hint.filter(|hint| hint.starts_with("Perhaps"));
            Error::Syntax { message, position, hint }
        }
        other => other,
    }
}

/// Reads a query of any sort, `WITH ... INSERT` too.
fn query(stream: &mut Stream<'_>) -> Result<Statement> {
    let query = stream.tree(Parser::parse_query)?;
    Ok(Statement::Sql(Box::new(ast::Statement::Query(query))))
}

/// Reads a statement of sqlparser's whose second word must be there.
fn sql_behind(stream: &mut Stream<'_>, word: &str) -> Result<Statement> {
    if !stream.at_offset(1, word) {
        stream.skip(1);
        return Err(stream.expected(&[word]));
    }
    sql(stream)
}

/// Reads a statement that is sqlparser's alone.
pub(super) fn sql(stream: &mut Stream<'_>) -> Result<Statement> {
    let start = stream.index();
    let statement = stream.tree(Parser::parse_statement)?;
    let foreign = matches!(
        statement,
        ast::Statement::CreateSecret { .. }
            | ast::Statement::CreateConnector(_)
            | ast::Statement::CreateMacro { .. }
            | ast::Statement::CreateStage { .. }
            | ast::Statement::CreateVirtualTable { .. }
            | ast::Statement::CreateView(_)
    );
    if foreign {
        stream.seek(start + 1);
        return Err(stream.unexpected());
    }
    Ok(Statement::Sql(Box::new(statement)))
}

/// `VACUUM [options] [tables]` and `ANALYZE [options] [tables]`; options and columns change nothing.
fn maintain(stream: &mut Stream<'_>) -> Result<Statement> {
    let vacuum = stream.expect_one(&["VACUUM", "ANALYZE"])? == 0;
    let mut analyze = !vacuum;
    if stream.at_sign(&Token::LParen) {
        let options = option::options(stream)?;
        analyze |=
            options.iter().any(|option| option.key == "analyze" && option.value.text() != "false");
    }
    while let Some(index) = stream.accept_one(&["FULL", "FREEZE", "VERBOSE", "ANALYZE"]) {
        analyze |= index == 3;
    }
    let tables = if stream.at_end() {
        Vec::new()
    } else {
        stream.list(|stream| {
            let name = stream.name()?;
            stream.optional_columns()?;
            Ok(name)
        })?
    };
    Ok(Statement::Maintain(Maintain { vacuum, analyze, tables }))
}

/// `CHECK INCREMENTAL view`.
fn check(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("CHECK INCREMENTAL")?;
    let name = stream.name()?;
    let position = stream.position();
    if stream.accept_one(&["SAMPLE", "AS OF"]).is_some() {
        return refuse("CHECK INCREMENTAL of a part", position);
    }
    Ok(Statement::CheckIncremental(name))
}

/// `REFRESH MATERIALIZED VIEW view`.
fn refresh(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("REFRESH MATERIALIZED VIEW")?;
    stream.accept("CONCURRENTLY");
    let name = stream.name()?;
    let position = stream.position();
    if stream.accept("WITH NO DATA") {
        return refuse("WITH NO DATA", position);
    }
    stream.accept("WITH DATA");
    Ok(Statement::Refresh(name))
}

/// `WAIT FOR view [UNTIL {FRESH | EPOCH n}]`.
fn wait(stream: &mut Stream<'_>) -> Result<Statement> {
    stream.expect("WAIT FOR")?;
    let name = stream.name()?;
    let mut epoch = None;
    if stream.accept("UNTIL") && stream.expect_one(&["FRESH", "EPOCH"])? == 1 {
        let position = stream.position();
        epoch = stream.accept_integer()?.and_then(|number| u64::try_from(number).ok());
        if epoch.is_none() {
            return Err(Error::syntax("EPOCH needs a number", position));
        }
    }
    Ok(Statement::WaitFor(WaitFor { name, epoch }))
}
