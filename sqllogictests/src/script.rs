//! The `.slt` file: a list of records, read and written back.
//!
//! A file is cut into records by empty lines. Lines that start with `#` are comments. The first other
//! line of a record is its directive:
//!
//! | directive | meaning |
//! |---|---|
//! | `statement ok` | the statement succeeds |
//! | `statement count n` | it succeeds and its command tag ends with `n` |
//! | `statement error 42P01: relation "x" does not exist` | it fails with exactly this; a final `...` leaves the rest open |
//! | `query IRT rowsort` | it returns these rows; `rowsort` sorts both sides first |
//! | `query error ...` | like `statement error` |
//! | `file path` | writes the lines below `----` to a file in the script's folder |
//! | `append path` | adds them to the end of the file |
//! | `copy from to` | copies a file of the corpus into the script's folder |
//! | `remove path` | deletes a file of the script's folder |
//! | `parquet T rowsort path` | the rows of the Parquet files that match the pattern in the script's folder |
//! | `include path` | plays another file of the corpus; its expectations are compared, never rewritten |
//! | `clock +90s` | moves the clock, which stands still else, by days, hours, minutes or seconds (`d h m s`), and brings the views to that time |
//! | `reopen` | closes the database in order and opens it again |
//! | `halt` | the rest of the file is left out |
//!
//! `onlyif x` and `skipif x` before a directive name a mode or `postgres`. Column letters are `B`ool,
//! `D`ate, t`I`me, `I`nteger, `P`oint in time, `R`eal or numeric, `T`ext, `?` any other. `$DIR` in a
//! statement stands for the script's folder. Below `----` of a statement stand the messages it must
//! raise (`NOTICE: ...`, `HINT: ...`, `DETAIL: ...`, `POSITION: 8`); without `----` they are not
//! compared.

use std::fmt;

/// A whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Its records in order.
    pub records: Vec<Record>,
}

/// One record of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Line of the directive, from 1.
    pub line: usize,
    /// Comments above the directive, with their `#`.
    pub comments: Vec<String>,
    /// When it applies.
    pub conditions: Vec<Condition>,
    /// What it does; [`None`] for a record of comments only.
    pub action: Option<Action>,
}

/// `onlyif` and `skipif`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Only in this mode.
    OnlyIf(String),
    /// Not in this mode.
    SkipIf(String),
}

/// What a record does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Runs a statement.
    Statement(Statement),
    /// Runs a query and compares its rows.
    Query(Query),
    /// Writes a file.
    File(File),
    /// Copies a file of the corpus.
    Copy {
        /// Path in the corpus.
        from: String,
        /// Path in the script's folder.
        to: String,
    },
    /// Deletes a file.
    Remove(String),
    /// Reads Parquet files.
    Parquet(Parquet),
    /// Plays another file of the corpus.
    Include(String),
    /// Moves the clock.
    Clock(Moved),
    /// Closes and opens the database.
    Reopen,
    /// Ends the file.
    Halt,
}

/// How far a clock is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// As it is written.
    pub text: String,
    /// In microseconds.
    pub micros: i64,
}

impl Moved {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "d" => 86_400,
            "h" => 3_600,
            "m" => 60,
            "s" => 1,
            _ => return None,
        };
        let micros = number.parse::<i64>().ok()?.checked_mul(seconds * 1_000_000)?;
        Some(Self { text: text.to_owned(), micros })
    }
}

/// What a statement is expected to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It succeeds.
    Ok,
    /// It succeeds with this number of rows in its tag.
    Count(u64),
    /// It fails: SQLSTATE, colon, message; a final `...` stands for any rest.
    Error(String),
}

/// A statement without compared rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What it does.
    pub expected: Expected,
    /// Whether it was written as `query error`.
    pub is_query: bool,
    /// The SQL text.
    pub sql: String,
    /// Messages it raises, when they are compared.
    pub messages: Option<Vec<String>>,
}

/// A query and its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Column letters; empty when they are not compared.
    pub types: String,
    /// Whether both sides are sorted.
    pub sorted: bool,
    /// The SQL text.
    pub sql: String,
    /// One line per row.
    pub rows: Vec<String>,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path in the script's folder.
    pub path: String,
    /// Whether the lines go to the end of what is there.
    pub append: bool,
    /// The lines.
    pub lines: Vec<String>,
}

/// Parquet files to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parquet {
    /// Column letters.
    pub types: String,
    /// Whether both sides are sorted.
    pub sorted: bool,
    /// Pattern in the script's folder.
    pub path: String,
    /// One line per row.
    pub rows: Vec<String>,
}

/// A file that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

impl std::error::Error for ScriptError {}

impl Script {
    /// Whether it moves the clock, which then stands still in between.
    #[must_use]
    pub fn moves_clock(&self) -> bool {
        self.records.iter().any(|record| matches!(record.action, Some(Action::Clock(_))))
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// An unknown directive, with its line.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let lines: Vec<&str> = text.lines().collect();
        let mut records = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            if lines[at].trim().is_empty() {
                at += 1;
                continue;
            }
            let length =
                lines[at..].iter().position(|l| l.trim().is_empty()).unwrap_or(lines.len() - at);
            records.push(record(&lines[at..at + length], at + 1)?);
            at += length;
        }
        Ok(Self { records })
    }
}

impl Record {
    /// Whether the record applies where all of `labels` hold.
    #[must_use]
    pub fn applies(&self, labels: &[&str]) -> bool {
        self.conditions.iter().all(|c| match c {
            Condition::OnlyIf(label) => labels.contains(&label.as_str()),
            Condition::SkipIf(label) => !labels.contains(&label.as_str()),
        })
    }
}

fn record(lines: &[&str], first: usize) -> Result<Record, ScriptError> {
    let mut out =
        Record { line: first, comments: Vec::new(), conditions: Vec::new(), action: None };
    for (i, line) in lines.iter().enumerate() {
        if line.starts_with('#') {
            out.comments.push((*line).to_owned());
        } else if let Some(label) = line.strip_prefix("onlyif ") {
            out.conditions.push(Condition::OnlyIf(label.trim().to_owned()));
        } else if let Some(label) = line.strip_prefix("skipif ") {
            out.conditions.push(Condition::SkipIf(label.trim().to_owned()));
        } else {
            out.line = first + i;
            out.action = Some(action(line, &lines[i + 1..], out.line)?);
            break;
        }
    }
    Ok(out)
}

/// Text above and lines below `----`.
struct Body {
    sql: String,
    result: Option<Vec<String>>,
}

fn body(lines: &[&str]) -> Body {
    let cut = lines.iter().position(|l| *l == "----");
    let sql = lines[..cut.unwrap_or(lines.len())].join("\n");
    let result = cut.map(|c| lines[c + 1..].iter().map(|l| (*l).to_owned()).collect());
    Body { sql, result }
}

fn action(directive: &str, rest: &[&str], line: usize) -> Result<Action, ScriptError> {
    let fail = |message: String| ScriptError { line, message };
    let (word, arguments) = directive.split_once(' ').unwrap_or((directive, ""));
    let arguments = arguments.trim();
    let body = body(rest);
    match word {
        "statement" => {
            let expected = expected(arguments).ok_or_else(|| {
                fail(format!("statement is followed by ok, count or error, not \"{arguments}\""))
            })?;
            let statement =
                Statement { expected, is_query: false, sql: body.sql, messages: body.result };
            Ok(Action::Statement(statement))
        }
        "query" if arguments.starts_with("error") => {
            let expected = expected(arguments)
                .ok_or_else(|| fail("query error needs the error".to_owned()))?;
            let statement =
                Statement { expected, is_query: true, sql: body.sql, messages: body.result };
            Ok(Action::Statement(statement))
        }
        "query" => {
            let (types, sorted, path) = columns(arguments);
            if !path.is_empty() {
                return Err(fail(format!("unknown word \"{path}\" after query")));
            }
            let rows = body.result.unwrap_or_default();
            Ok(Action::Query(Query { types, sorted, sql: body.sql, rows }))
        }
        "parquet" => {
            let (types, sorted, path) = columns(arguments);
            Ok(Action::Parquet(Parquet {
                types,
                sorted,
                path,
                rows: body.result.unwrap_or_default(),
            }))
        }
        "file" | "append" => Ok(Action::File(File {
            path: arguments.to_owned(),
            append: word == "append",
            lines: body.result.unwrap_or_default(),
        })),
        "copy" => arguments
            .split_once(' ')
            .map(|(from, to)| Action::Copy { from: from.to_owned(), to: to.trim().to_owned() })
            .ok_or_else(|| fail("copy needs two paths".to_owned())),
        "remove" => Ok(Action::Remove(arguments.to_owned())),
        "include" => Ok(Action::Include(arguments.to_owned())),
        "clock" => match Moved::parse(arguments) {
            Some(moved) => Ok(Action::Clock(moved)),
            None => Err(fail(format!("a clock is moved by +90s or +1d, not \"{arguments}\""))),
        },
        "reopen" => Ok(Action::Reopen),
        "halt" => Ok(Action::Halt),
        _ => Err(fail(format!("unknown directive \"{word}\""))),
    }
}

fn expected(arguments: &str) -> Option<Expected> {
    if arguments == "ok" {
        return Some(Expected::Ok);
    }
    if let Some(n) = arguments.strip_prefix("count ") {
        return n.trim().parse().ok().map(Expected::Count);
    }
    let error = arguments.strip_prefix("error")?;
    Some(Expected::Error(error.trim().to_owned()))
}

/// Column letters, `rowsort`, and what follows.
fn columns(arguments: &str) -> (String, bool, String) {
    let mut types = String::new();
    let mut sorted = false;
    let mut rest = Vec::new();
    for word in arguments.split_whitespace() {
        if word == "rowsort" {
            sorted = true;
        } else if word != "nosort" {
            let letters = word.chars().all(|c| "BDIPRTM?".contains(c));
            if letters && types.is_empty() && rest.is_empty() {
                word.clone_into(&mut types);
            } else {
                rest.push(word);
            }
        }
    }
    (types, sorted, rest.join(" "))
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, record) in self.records.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{record}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.comments {
            writeln!(f, "{line}")?;
        }
        for condition in &self.conditions {
            match condition {
                Condition::OnlyIf(label) => writeln!(f, "onlyif {label}")?,
                Condition::SkipIf(label) => writeln!(f, "skipif {label}")?,
            }
        }
        self.action.as_ref().map_or(Ok(()), |action| write!(f, "{action}"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Statement(s) => {
                let word = if s.is_query { "query" } else { "statement" };
                match &s.expected {
                    Expected::Ok => writeln!(f, "{word} ok")?,
                    Expected::Count(n) => writeln!(f, "{word} count {n}")?,
                    Expected::Error(e) => writeln!(f, "{}", format!("{word} error {e}").trim())?,
                }
                writeln!(f, "{}", s.sql)?;
                s.messages.as_deref().map_or(Ok(()), |lines| result(f, lines))
            }
            Self::Query(q) => {
                writeln!(f, "{}", words(&["query", &q.types, sort(q.sorted)]))?;
                writeln!(f, "{}", q.sql)?;
                result(f, &q.rows)
            }
            Self::Parquet(p) => {
                writeln!(f, "{}", words(&["parquet", &p.types, sort(p.sorted), &p.path]))?;
                result(f, &p.rows)
            }
            Self::File(file) => {
                let word = if file.append { "append" } else { "file" };
                writeln!(f, "{word} {}", file.path)?;
                result(f, &file.lines)
            }
            Self::Copy { from, to } => writeln!(f, "copy {from} {to}"),
            Self::Remove(path) => writeln!(f, "remove {path}"),
            Self::Include(path) => writeln!(f, "include {path}"),
            Self::Clock(moved) => writeln!(f, "clock {}", moved.text),
            Self::Reopen => writeln!(f, "reopen"),
            Self::Halt => writeln!(f, "halt"),
        }
    }
}

fn sort(sorted: bool) -> &'static str {
    if sorted { "rowsort" } else { "" }
}

fn words(words: &[&str]) -> String {
    words.iter().filter(|w| !w.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

fn result(f: &mut fmt::Formatter<'_>, lines: &[String]) -> fmt::Result {
    writeln!(f, "----")?;
    lines.iter().try_for_each(|line| writeln!(f, "{line}"))
}

#[cfg(test)]
mod tests {
    use super::{Action, Expected, Script};

    const TEXT: &str = "# a table\nstatement ok\nCREATE TABLE t (a int)\n\nskipif postgres\n\
        statement error 42P01: relation \"x\" does not exist\nSELECT * FROM x\n----\nPOSITION: 15\n\n\
        query IT rowsort\nSELECT a, 'x y'\nFROM t\n----\n1 x y\n\nfile in/a.csv\n----\na,b\n1,2\n";

    #[test]
    fn printing_gives_the_text_back() {
        let script = Script::parse(TEXT).unwrap();
        assert_eq!(script.to_string(), TEXT);
        assert_eq!(script.records.len(), 4);
    }

    #[test]
    fn a_record_knows_its_line_and_conditions() {
        let script = Script::parse(TEXT).unwrap();
        let record = &script.records[1];
        assert_eq!(record.line, 6);
        assert!(record.applies(&["batch"]));
        assert!(!record.applies(&["postgres", "batch"]));
        let Some(Action::Statement(s)) = &record.action else { panic!("not a statement") };
        assert_eq!(s.expected, Expected::Error("42P01: relation \"x\" does not exist".to_owned()));
    }

    #[test]
    fn an_unknown_directive_is_refused_with_its_line() {
        let error = Script::parse("\n\nstatment ok\nSELECT 1\n").unwrap_err();
        assert_eq!(error.to_string(), "line 3: unknown directive \"statment\"");
    }
}
