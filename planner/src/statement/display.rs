//! The canonical form of each statement: it parses back to an equal one.
//!
//! Keywords are upper case, one blank apart; clauses stand in the order of the grammar, those of
//! default value are left out; names are quoted where they have to be.

use std::fmt::{Display, Formatter, Result};

use crate::parse::is_reserved;
use crate::statement::{
    Access, AlterSource, AlterSourceAction, ColumnName, Comment, Connector, Copy, CopyFormat,
    CopyHeader, CopyRows, CopyTarget, CreateMaterializedView, CreatePipeline, CreateSchema,
    CreateSink, CreateSource, CreateView, DeclareCursor, Discard, Drop, Execute, Explain,
    ExplainFormat, Fetch, FetchDirection, ForcedColumns, Format, IfExists, Incremental, Maintain,
    Name, Notify, OnRecordError, Opt, OptValue, Prepare, QueryText, Setting, SettingValue, Show,
    Statement, Step, Subject, Transaction, TransactionModes, Trigger, WaitFor,
};

/// A name, quoted where it would not be read back as it is.
struct Identifier<'a>(&'a str);

impl Display for Identifier<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        let bare = self.0.starts_with(plain)
            && self.0.chars().all(|c| plain(c) || c.is_ascii_digit() || c == '$')
            && !is_reserved(self.0);
        if bare { f.write_str(self.0) } else { write!(f, "\"{}\"", self.0.replace('"', "\"\"")) }
    }
}

/// A string literal.
struct Literal<'a>(&'a str);

impl Display for Literal<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

/// Items with `, ` between them.
struct Commas<'a, T>(&'a [T]);

impl<T: Display> Display for Commas<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, item) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

/// ` WORDS (items)`, or nothing when there are none.
fn clause<T: Display>(f: &mut Formatter<'_>, words: &str, items: &[T]) -> Result {
    if items.is_empty() {
        return Ok(());
    }
    f.write_str(words)?;
    write!(f, " ({})", Commas(items))
}

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for part in self.database.iter().chain(&self.schema) {
            write!(f, "{}.", Identifier(part))?;
        }
        write!(f, "{}", Identifier(&self.name))
    }
}

impl Display for ColumnName {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", Identifier(&self.name))
    }
}

impl Display for QueryText {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.query)
    }
}

impl Display for Opt {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, word) in self.key.split('.').enumerate() {
            let dot = if index > 0 { "." } else { "" };
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            let bare = word.starts_with(plain)
                && word.chars().all(|c| plain(c) || c.is_ascii_digit() || c == '$');
            if bare {
                write!(f, "{dot}{word}")?;
            } else {
                write!(f, "{dot}{}", Identifier(word))?;
            }
        }
        match &self.value {
            OptValue::Absent => Ok(()),
            value => write!(f, " {value}"),
        }
    }
}

impl Display for OptValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Absent => f.write_str("true"),
            Self::Text(text) => write!(f, "{}", Literal(text)),
            Self::Number(number) | Self::Word(number) => f.write_str(number),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::List(values) => write!(f, "({})", Commas(values)),
        }
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Sql(sql) => write!(f, "{sql}"),
            Self::CreateSchema(statement) => write!(f, "{statement}"),
            Self::CreateSource(statement) => write!(f, "{statement}"),
            Self::CreateView(statement) => write!(f, "{statement}"),
            Self::CreateMaterializedView(statement) => write!(f, "{statement}"),
            Self::CreatePipeline(statement) => write!(f, "{statement}"),
            Self::CreateSink(statement) => write!(f, "{statement}"),
            Self::AlterSource(statement) => write!(f, "{statement}"),
            Self::Drop(statement) => write!(f, "{statement}"),
            Self::Comment(statement) => write!(f, "{statement}"),
            Self::Explain(statement) => write!(f, "{statement}"),
            Self::CheckIncremental(name) => write!(f, "CHECK INCREMENTAL {name}"),
            Self::Show(statement) => write!(f, "{statement}"),
            Self::Describe(name) => write!(f, "DESCRIBE {name}"),
            Self::Refresh(name) => write!(f, "REFRESH MATERIALIZED VIEW {name}"),
            Self::WaitFor(statement) => write!(f, "{statement}"),
            Self::Checkpoint => f.write_str("CHECKPOINT"),
            Self::Maintain(statement) => write!(f, "{statement}"),
            Self::Copy(statement) => write!(f, "{statement}"),
            Self::Transaction(statement) => write!(f, "{statement}"),
            Self::Setting(statement) => write!(f, "{statement}"),
            Self::Discard(what) => write!(f, "DISCARD {what}"),
            Self::Prepare(statement) => write!(f, "{statement}"),
            Self::Execute(statement) => write!(f, "{statement}"),
            Self::Deallocate(name) => all_or(f, "DEALLOCATE", name.as_deref(), "ALL"),
            Self::DeclareCursor(statement) => write!(f, "{statement}"),
            Self::Fetch(statement) => write!(f, "{statement}"),
            Self::CloseCursor(name) => all_or(f, "CLOSE", name.as_deref(), "ALL"),
            Self::Listen(channel) => write!(f, "LISTEN {}", Identifier(channel)),
            Self::Unlisten(channel) => all_or(f, "UNLISTEN", channel.as_deref(), "*"),
            Self::Notify(statement) => write!(f, "{statement}"),
        }
    }
}

fn all_or(f: &mut Formatter<'_>, verb: &str, name: Option<&str>, all: &str) -> Result {
    match name {
        Some(name) => write!(f, "{verb} {}", Identifier(name)),
        None => write!(f, "{verb} {all}"),
    }
}

/// `CREATE [OR REPLACE] KIND [IF NOT EXISTS] `.
fn create(f: &mut Formatter<'_>, kind: &str, if_exists: IfExists) -> Result {
    match if_exists {
        IfExists::Fail => write!(f, "CREATE {kind} "),
        IfExists::Skip => write!(f, "CREATE {kind} IF NOT EXISTS "),
        IfExists::Replace => write!(f, "CREATE OR REPLACE {kind} "),
    }
}

impl Display for CreateSchema {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        create(f, "SCHEMA", self.if_exists)?;
        write!(f, "{}", self.name)
    }
}

impl Display for CreateSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        create(f, "SOURCE", self.if_exists)?;
        write!(f, "{}", self.name)?;
        if let Some(columns) = &self.columns {
            write!(f, " ({}", Commas(columns))?;
            if !self.primary_key.is_empty() {
                write!(f, ", PRIMARY KEY ({})", Commas(&self.primary_key))?;
            }
            f.write_str(")")?;
        }
        f.write_str(" FROM ")?;
        if self.connector.name == "generator" {
            generator(f, &self.connector)?;
        } else {
            files(f, &self.connector)?;
        }
        if let Some(format) = &self.format {
            write!(f, " {format}")?;
        }
        match self.on_error {
            None => Ok(()),
            Some(OnRecordError::Quarantine) => f.write_str(" ON ERROR QUARANTINE"),
            Some(OnRecordError::Skip) => f.write_str(" ON ERROR SKIP"),
            Some(OnRecordError::Fail) => f.write_str(" ON ERROR FAIL"),
        }
    }
}

fn generator(f: &mut Formatter<'_>, connector: &Connector) -> Result {
    f.write_str("GENERATOR")?;
    for name in &connector.arguments {
        write!(f, " {}", Identifier(name))?;
    }
    clause(f, "", &connector.options)
}

fn files(f: &mut Formatter<'_>, connector: &Connector) -> Result {
    let uris: Vec<Literal<'_>> = connector.arguments.iter().map(|uri| Literal(uri)).collect();
    write!(f, "FILES ({})", Commas(&uris))?;
    clause(f, "", &connector.options)
}

impl Display for Format {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "FORMAT {}", self.name.to_ascii_uppercase())?;
        clause(f, "", &self.options)
    }
}

impl Display for CreateView {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        create(f, "VIEW", self.if_exists)?;
        write!(f, "{}", self.name)?;
        clause(f, "", &self.columns)?;
        write!(f, " AS {}", self.query)
    }
}

impl Display for CreateMaterializedView {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        create(f, "MATERIALIZED VIEW", self.if_exists)?;
        write!(f, "{}", self.name)?;
        clause(f, "", &self.columns)?;
        clause(f, " KEY", &self.key)?;
        if self.incremental == Incremental::Strict {
            f.write_str(" INCREMENTAL STRICT")?;
        }
        write!(f, " AS {}", self.query)
    }
}

impl Display for CreatePipeline {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        create(f, "PIPELINE", self.if_exists)?;
        write!(f, "{}", self.name)?;
        if let Some(version) = &self.version {
            write!(f, " VERSION {}", Literal(version))?;
        }
        write!(f, " ({})", Commas(&self.steps))?;
        match self.trigger {
            Trigger::Continuous => f.write_str(" TRIGGER CONTINUOUS"),
        }
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Query(step) => {
                write!(f, "{}", step.name)?;
                if step.materialized {
                    f.write_str(" MATERIALIZED")?;
                }
                clause(f, " KEY", &step.key)?;
                write!(f, " AS ({})", step.query)
            }
            Self::Sink(sink) => {
                write!(f, "SINK {}", Identifier(&sink.name.name))?;
                sink_body(f, sink)
            }
        }
    }
}

impl Display for CreateSink {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        create(f, "SINK", self.if_exists)?;
        write!(f, "{}", self.name)?;
        sink_body(f, self)
    }
}

fn sink_body(f: &mut Formatter<'_>, sink: &CreateSink) -> Result {
    write!(f, " FROM {} INTO ", sink.from)?;
    match sink.connector.arguments.as_slice() {
        [uri] => {
            write!(f, "FILES {}", Literal(uri))?;
            clause(f, "", &sink.connector.options)?;
        }
        _ => files(f, &sink.connector)?,
    }
    match &sink.format {
        Some(format) => write!(f, " {format}"),
        None => Ok(()),
    }
}

impl Display for AlterSource {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let action = match self.action {
            AlterSourceAction::Pause => "PAUSE",
            AlterSourceAction::Resume => "RESUME",
        };
        write!(f, "ALTER SOURCE {} {action}", self.name)
    }
}

impl Display for Drop {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let if_exists = if self.if_exists { " IF EXISTS" } else { "" };
        let cascade = if self.cascade { " CASCADE" } else { "" };
        let kind = self.kind.words().to_ascii_uppercase();
        write!(f, "DROP {kind}{if_exists} {}{cascade}", Commas(&self.names))
    }
}

impl Display for Comment {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let kind = self.kind.words().to_ascii_uppercase();
        write!(f, "COMMENT ON {kind} {} IS ", self.name)?;
        match &self.text {
            Some(text) => write!(f, "{}", Literal(text)),
            None => f.write_str("NULL"),
        }
    }
}

impl Display for Subject {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Relation(name) => write!(f, "FOR {name}"),
            Self::Query(query) => write!(f, "{query}"),
        }
    }
}

impl Display for Explain {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Incremental(subject) => write!(f, "EXPLAIN INCREMENTAL {subject}"),
            Self::Maintained(name) => write!(f, "EXPLAIN ANALYZE MATERIALIZED VIEW {name}"),
            Self::Lineage { column: Some(column), subject } => {
                write!(f, "EXPLAIN LINEAGE COLUMN {column} {subject}")
            }
            Self::Lineage { column: None, subject } => write!(f, "EXPLAIN LINEAGE {subject}"),
            Self::Plan { options, statement } => {
                let mut words = Vec::new();
                if options.analyze {
                    words.push("ANALYZE");
                }
                if options.verbose {
                    words.push("VERBOSE");
                }
                match options.format {
                    ExplainFormat::Text => {}
                    ExplainFormat::Tree => words.push("FORMAT TREE"),
                    ExplainFormat::Json => words.push("FORMAT JSON"),
                    ExplainFormat::Dot => words.push("FORMAT DOT"),
                }
                f.write_str("EXPLAIN")?;
                clause(f, "", &words)?;
                write!(f, " {}", statement.statement)
            }
        }
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Setting(name) => write!(f, "SHOW {}", Dotted(&name.name)),
            Self::All => f.write_str("SHOW ALL"),
            Self::Objects { kind, schema, like } => {
                write!(f, "SHOW {}S", kind.words().to_ascii_uppercase())?;
                if let Some(schema) = schema {
                    write!(f, " IN {schema}")?;
                }
                match like {
                    Some(like) => write!(f, " LIKE {}", Literal(like)),
                    None => Ok(()),
                }
            }
            Self::Create { kind, name } => {
                write!(f, "SHOW CREATE {} {name}", kind.words().to_ascii_uppercase())
            }
        }
    }
}

/// The name of a setting, with dots between its parts.
struct Dotted<'a>(&'a str);

impl Display for Dotted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, part) in self.0.split('.').enumerate() {
            let dot = if index > 0 { "." } else { "" };
            write!(f, "{dot}{}", Identifier(part))?;
        }
        Ok(())
    }
}

impl Display for WaitFor {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "WAIT FOR {}", self.name)?;
        match self.epoch {
            Some(epoch) => write!(f, " UNTIL EPOCH {epoch}"),
            None => Ok(()),
        }
    }
}

impl Display for Maintain {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match (self.vacuum, self.analyze) {
            (true, true) => "VACUUM ANALYZE",
            (true, false) => "VACUUM",
            (false, _) => "ANALYZE",
        })?;
        if self.tables.is_empty() { Ok(()) } else { write!(f, " {}", Commas(&self.tables)) }
    }
}

impl Display for Copy {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.rows {
            CopyRows::Relation { name, columns } => {
                write!(f, "COPY {name}")?;
                clause(f, "", columns)?;
            }
            CopyRows::Query(query) => write!(f, "COPY ({query})")?,
        }
        match &self.target {
            CopyTarget::FromClient => f.write_str(" FROM STDIN")?,
            CopyTarget::ToClient => f.write_str(" TO STDOUT")?,
            CopyTarget::FromUri(uri) => write!(f, " FROM {}", Literal(uri))?,
            CopyTarget::ToUri(uri) => write!(f, " TO {}", Literal(uri))?,
        }
        clause(f, "", &copy_options(self))
    }
}

fn copy_options(copy: &Copy) -> Vec<String> {
    let options = &copy.options;
    let mut words = Vec::new();
    match options.format {
        CopyFormat::Text => {}
        CopyFormat::Csv => words.push("FORMAT csv".to_owned()),
        CopyFormat::Binary => words.push("FORMAT binary".to_owned()),
        CopyFormat::Json => words.push("FORMAT json".to_owned()),
        CopyFormat::Parquet => words.push("FORMAT parquet".to_owned()),
        CopyFormat::Arrow => words.push("FORMAT arrow".to_owned()),
    }
    match options.header {
        CopyHeader::Absent => {}
        CopyHeader::Present => words.push("HEADER".to_owned()),
        CopyHeader::Match => words.push("HEADER match".to_owned()),
    }
    let text = |c: &Option<char>| c.map(String::from);
    for (key, value) in [
        ("DELIMITER", text(&options.delimiter)),
        ("NULL", options.null.clone()),
        ("DEFAULT", options.default.clone()),
        ("QUOTE", text(&options.quote)),
        ("ESCAPE", text(&options.escape)),
    ] {
        words.extend(value.map(|value| format!("{key} {}", Literal(&value))));
    }
    for (key, columns) in [
        ("FORCE_QUOTE", &options.force_quote),
        ("FORCE_NOT_NULL", &options.force_not_null),
        ("FORCE_NULL", &options.force_null),
    ] {
        match columns {
            ForcedColumns::None => {}
            ForcedColumns::All => words.push(format!("{key} *")),
            ForcedColumns::Columns(columns) => words.push(format!("{key} ({})", Commas(columns))),
        }
    }
    words
}

impl Display for Transaction {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let chain = |chain: bool| if chain { " AND CHAIN" } else { "" };
        match self {
            Self::Begin(modes) => write!(f, "BEGIN{}", Spaced(modes)),
            Self::Commit { chain: next } => write!(f, "COMMIT{}", chain(*next)),
            Self::Rollback { chain: next } => write!(f, "ROLLBACK{}", chain(*next)),
            Self::Savepoint(name) => write!(f, "SAVEPOINT {}", Identifier(name)),
            Self::Release(name) => write!(f, "RELEASE SAVEPOINT {}", Identifier(name)),
            Self::RollbackTo(name) => write!(f, "ROLLBACK TO SAVEPOINT {}", Identifier(name)),
        }
    }
}

/// Modes with a blank before each.
struct Spaced<'a>(&'a TransactionModes);

impl Display for Spaced<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut words = Vec::new();
        if let Some(isolation) = self.0.isolation {
            words.push(format!("ISOLATION LEVEL {}", isolation.words().to_ascii_uppercase()));
        }
        words.extend(self.0.access.map(|access| match access {
            Access::ReadOnly => "READ ONLY".to_owned(),
            Access::ReadWrite => "READ WRITE".to_owned(),
        }));
        words.extend(self.0.deferrable.map(|deferrable| {
            if deferrable { "DEFERRABLE".to_owned() } else { "NOT DEFERRABLE".to_owned() }
        }));
        if words.is_empty() { Ok(()) } else { write!(f, " {}", words.join(", ")) }
    }
}

impl Display for Setting {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Set { name, value, local } => {
                let local = if *local { "LOCAL " } else { "" };
                write!(f, "SET {local}{} TO ", Dotted(&name.name))?;
                match value {
                    SettingValue::Default => f.write_str("DEFAULT"),
                    SettingValue::Values(values) => {
                        let values: Vec<Literal<'_>> =
                            values.iter().map(|value| Literal(value)).collect();
                        write!(f, "{}", Commas(&values))
                    }
                }
            }
            Self::Transaction(modes) => write!(f, "SET TRANSACTION{}", Spaced(modes)),
            Self::Session(modes) => {
                write!(f, "SET SESSION CHARACTERISTICS AS TRANSACTION{}", Spaced(modes))
            }
            Self::Reset(name) => write!(f, "RESET {}", Dotted(&name.name)),
            Self::ResetAll => f.write_str("RESET ALL"),
        }
    }
}

impl Display for Discard {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::All => "ALL",
            Self::Plans => "PLANS",
            Self::Sequences => "SEQUENCES",
            Self::Temporary => "TEMP",
        })
    }
}

impl Display for Prepare {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "PREPARE {}", self.name)?;
        clause(f, "", &self.types)?;
        write!(f, " AS {}", self.statement.statement)
    }
}

impl Display for Execute {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "EXECUTE {}", self.name)?;
        clause(f, "", &self.parameters)
    }
}

impl Display for DeclareCursor {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "DECLARE {}", self.name)?;
        if self.binary {
            f.write_str(" BINARY")?;
        }
        match self.scroll {
            None => {}
            Some(true) => f.write_str(" SCROLL")?,
            Some(false) => f.write_str(" NO SCROLL")?,
        }
        let hold = if self.hold { " WITH HOLD" } else { "" };
        write!(f, " CURSOR{hold} FOR {}", self.query)
    }
}

impl Display for Fetch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(if self.only_move { "MOVE " } else { "FETCH " })?;
        match self.direction {
            FetchDirection::Forward(count) => write!(f, "FORWARD {count}")?,
            FetchDirection::ForwardAll => f.write_str("FORWARD ALL")?,
            FetchDirection::BackwardAll => f.write_str("BACKWARD ALL")?,
            FetchDirection::Absolute(number) => write!(f, "ABSOLUTE {number}")?,
            FetchDirection::Relative(number) => write!(f, "RELATIVE {number}")?,
        }
        write!(f, " FROM {}", self.cursor)
    }
}

impl Display for Notify {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "NOTIFY {}", Identifier(&self.channel))?;
        match &self.payload {
            Some(payload) => write!(f, ", {}", Literal(payload)),
            None => Ok(()),
        }
    }
}
