//! Every connector and format by name: the one list that SQL, SHOW and the docs read.
//!
//! A connector is one line in [`CONNECTORS`] and one arm in [`source`] or [`sink`]; a format is one line
//! in [`FORMATS`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::error::{Error, Result};
use crate::file::listing::path_of;
use crate::file::owner::resolved;
use crate::file::sink::{self as file_sink, FileSink};
use crate::file::source::FileSource;
use crate::format::{self, Format};
use crate::generator;
use crate::option::{self, OptionSpec, nearest};
use crate::sink::{Sink, Writer};
use crate::source::Source;

/// A connector as users see it.
#[derive(Clone, Copy, Debug)]
pub struct ConnectorSpec {
    /// Name, as in `FROM <name>`.
    pub name: &'static str,
    /// The first argument that selects it among those of one name; empty when there is none.
    pub variant: &'static str,
    /// The roles it plays.
    pub roles: Roles,
    /// Its options as a source.
    pub options: &'static [OptionSpec],
    /// Its options as a sink.
    pub sink_options: &'static [OptionSpec],
    /// One sentence for the reference page.
    pub doc: &'static str,
}

/// What a connector can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roles {
    /// Source only.
    Source,
    /// Source and sink.
    SourceAndSink,
}

/// A format as users see it.
#[derive(Clone, Copy, Debug)]
pub struct FormatSpec {
    /// Name, as in `FORMAT <name>`.
    pub name: &'static str,
    /// Its options.
    pub options: &'static [OptionSpec],
    /// One sentence for the reference page.
    pub doc: &'static str,
}

/// What to read, as a statement says it.
#[derive(Clone, Debug, Default)]
pub struct SourceRequest<'a> {
    /// Connector name, in any case.
    pub connector: &'a str,
    /// Positional arguments: uris of `FILES`, the kind of `GENERATOR`.
    pub arguments: &'a [String],
    /// Options of the connector.
    pub options: &'a [(String, String)],
    /// Format name, empty when none is given.
    pub format: &'a str,
    /// Options of the format.
    pub format_options: &'a [(String, String)],
    /// Declared columns.
    pub declared: Option<SchemaRef>,
}

/// Where to write, as a statement says it.
#[derive(Clone, Debug)]
pub struct SinkRequest<'a> {
    /// Connector name, in any case.
    pub connector: &'a str,
    /// Positional arguments: the folder of `FILES`.
    pub arguments: &'a [String],
    /// Options of the connector.
    pub options: &'a [(String, String)],
    /// Format name, empty when none is given.
    pub format: &'a str,
    /// Options of the format.
    pub format_options: &'a [(String, String)],
    /// Columns of the relation.
    pub schema: SchemaRef,
    /// The sink, as its target remembers it.
    pub writer: Writer,
}

/// Every connector.
pub const CONNECTORS: &[ConnectorSpec] = &[
    ConnectorSpec {
        name: "files",
        variant: "",
        roles: Roles::SourceAndSink,
        options: &[],
        sink_options: file_sink::OPTIONS,
        doc: "Files of a folder or pattern; new files and files that grow are found while it runs.",
    },
    ConnectorSpec {
        name: "generator",
        variant: "nexmark",
        roles: Roles::Source,
        options: generator::nexmark::OPTIONS,
        sink_options: &[],
        doc: "Auction events of the Nexmark benchmark, the same for the same seed.",
    },
    ConnectorSpec {
        name: "generator",
        variant: "counter",
        roles: Roles::Source,
        options: generator::counter::OPTIONS,
        sink_options: &[],
        doc: "The numbers from 0 on.",
    },
];

/// Every format.
pub const FORMATS: &[FormatSpec] = &[
    FormatSpec {
        name: "csv",
        options: format::csv::OPTIONS,
        doc: "Comma-separated values (RFC 4180).",
    },
    FormatSpec { name: "json", options: &[], doc: "JSON lines: one object per line." },
    FormatSpec { name: "parquet", options: &[], doc: "Apache Parquet." },
];

/// Builds the source that `request` asks for. Does no I/O.
///
/// # Errors
/// Kinds `User` and `Unsupported`: unknown names, wrong options or arguments.
pub fn source(request: &SourceRequest<'_>) -> Result<Arc<dyn Source>> {
    let spec = connector(request.connector, request.arguments)?;
    let options = option::parse(spec.title(), spec.options, request.options)?;
    if spec.name == "generator" {
        if !request.format.is_empty() {
            return Err(Error::Unsupported { construct: "FORMAT of a generator".into() });
        }
        let [_] = request.arguments else {
            return Err(Error::Arguments { connector: "generator", expected: "one kind" });
        };
        return match spec.variant {
            "nexmark" => generator::nexmark::source(&options, request.declared.as_ref()),
            _ => generator::counter::source(&options, request.declared.as_ref()),
        };
    }
    let format = format_of(request.format, request.format_options, request.arguments)?;
    Ok(Arc::new(FileSource::new(request.arguments, format, request.declared.clone())?))
}

/// Builds the sink that `request` asks for. Does no I/O.
///
/// # Errors
/// Kinds `User` and `Unsupported`: unknown names, wrong options or arguments, column types that the
/// format cannot hold.
pub fn sink(request: &SinkRequest<'_>) -> Result<Box<dyn Sink>> {
    let spec = connector(request.connector, request.arguments)?;
    if spec.roles == Roles::Source {
        let construct = format!("connector \"{}\" as a sink", spec.name).into();
        return Err(Error::Unsupported { construct });
    }
    let options = option::parse(spec.title(), spec.sink_options, request.options)?;
    let [uri] = request.arguments else {
        return Err(Error::Arguments { connector: "files", expected: "one folder to write to" });
    };
    let default = if request.format.is_empty() { "parquet" } else { request.format };
    let format = format_of(default, request.format_options, &[])?;
    let (schema, writer) = (Arc::clone(&request.schema), request.writer.clone());
    Ok(Box::new(FileSink::new(uri, &options, format, schema, writer)?))
}

/// The folder of this machine that a sink with these arguments writes to, its links followed.
///
/// # Errors
/// When the argument names no folder.
pub fn sink_folder(arguments: &[String]) -> Result<Option<PathBuf>> {
    let path = arguments.first().map(|uri| path_of(uri)).transpose()?;
    Ok(path.map(|path| resolved(Path::new(path))))
}

impl ConnectorSpec {
    /// The name in errors and docs.
    #[must_use]
    pub fn title(&self) -> &'static str {
        if self.variant.is_empty() { self.name } else { self.variant }
    }
}

fn connector(name: &str, arguments: &[String]) -> Result<&'static ConnectorSpec> {
    let mut named = CONNECTORS.iter().filter(|c| c.name.eq_ignore_ascii_case(name)).peekable();
    if named.peek().is_none() {
        let nearest = nearest(name, CONNECTORS.iter().map(|c| c.name));
        return Err(Error::UnknownConnector { name: name.to_owned(), nearest });
    }
    let given = arguments.first().map_or("", String::as_str);
    let variants: Vec<_> = named.collect();
    if given.is_empty() && variants.iter().all(|c| !c.variant.is_empty()) {
        let expected = "the kind of rows, such as NEXMARK";
        return Err(Error::Arguments { connector: variants[0].name, expected });
    }
    let found =
        variants.iter().find(|c| c.variant.is_empty() || c.variant.eq_ignore_ascii_case(given));
    found.copied().ok_or_else(|| Error::UnknownConnector {
        name: format!("{name} {given}"),
        nearest: nearest(given, variants.iter().map(|c| c.variant)),
    })
}

/// The named format, or the one that the first uri's ending tells.
fn format_of(name: &str, options: &[(String, String)], uris: &[String]) -> Result<Format> {
    let ending = uris.first().and_then(|uri| uri.rsplit_once('.')).map_or("", |(_, e)| e);
    let name = match (name, ending) {
        ("", "csv") => "csv",
        ("", "json" | "jsonl" | "ndjson") => "json",
        ("", "parquet") => "parquet",
        ("", _) => return Err(Error::MissingOption { name: "format", owner: "files" }),
        (name, _) => name,
    };
    let Some(spec) = FORMATS.iter().find(|f| f.name.eq_ignore_ascii_case(name)) else {
        let nearest = nearest(name, FORMATS.iter().map(|f| f.name));
        return Err(Error::UnknownFormat { name: name.to_owned(), nearest });
    };
    let options = option::parse(spec.name, spec.options, options)?;
    Ok(match spec.name {
        "csv" => Format::Csv(format::csv::Dialect::new(&options)?),
        "json" => Format::Json,
        _ => Format::Parquet,
    })
}

#[cfg(test)]
mod tests {
    use super::{CONNECTORS, FORMATS, SinkRequest, SourceRequest, sink, source};
    use crate::error::{Error, Kind};
    use crate::option::parse;
    use crate::sink::Writer;
    use arrow::datatypes::{DataType, Field, Schema};
    use std::sync::Arc;

    fn error_of(request: &SourceRequest<'_>) -> Error {
        source(request).expect_err("the request is wrong")
    }

    fn text(error: &Error) -> String {
        format!("{error}; {}", error.hint().unwrap_or_default())
    }

    #[test]
    fn every_default_is_valid() {
        for spec in CONNECTORS {
            parse(spec.name, spec.options, &[]).expect("defaults of connectors are valid");
        }
        for spec in FORMATS {
            parse(spec.name, spec.options, &[]).expect("defaults of formats are valid");
        }
    }

    #[test]
    fn unknown_names_meet_the_nearest_one() {
        let uris = ["a.csv".to_owned()];
        let request = SourceRequest { connector: "file", arguments: &uris, ..Default::default() };
        let expected = "connector \"file\" does not exist; Perhaps you meant \"files\".";
        assert_eq!(text(&error_of(&request)), expected);
        let request = SourceRequest { connector: "files", format: "paquet", ..request };
        let expected = "format \"paquet\" does not exist; Perhaps you meant \"parquet\".";
        assert_eq!(text(&error_of(&request)), expected);
        let options = [("headers".to_owned(), "true".to_owned())];
        let request = SourceRequest { format: "csv", format_options: &options, ..request };
        let expected = "option \"headers\" does not exist for csv; Perhaps you meant \"header\".";
        assert_eq!(text(&error_of(&request)), expected);
        let kinds = ["NEXMRK".to_owned()];
        let request =
            SourceRequest { connector: "generator", arguments: &kinds, ..Default::default() };
        let expected =
            "connector \"generator NEXMRK\" does not exist; Perhaps you meant \"nexmark\".";
        assert_eq!(text(&error_of(&request)), expected);
    }

    #[test]
    fn what_cannot_be_done_is_said_at_once() {
        let uris = ["s3://bucket/a.csv".to_owned()];
        let request = SourceRequest { connector: "files", arguments: &uris, ..Default::default() };
        assert_eq!(error_of(&request).to_string(), "scheme \"s3\" is not supported");
        let endless = ["counter".to_owned()];
        let request =
            SourceRequest { connector: "generator", arguments: &endless, ..Default::default() };
        assert_eq!(error_of(&request).kind(), Kind::User, "an endless source needs a rate");
    }

    #[test]
    fn a_sink_refuses_columns_that_its_format_cannot_hold() {
        let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
        let schema = Arc::new(Schema::new(vec![Field::new("l", list, true)]));
        let folder = ["out".to_owned()];
        let request = SinkRequest {
            connector: "files",
            arguments: &folder,
            options: &[],
            format: "csv",
            format_options: &[],
            schema,
            writer: Writer::default(),
        };
        let error = sink(&request).expect_err("CSV has no lists");
        assert_eq!(error.kind(), Kind::Unsupported);
        let generator = ["counter".to_owned()];
        let request = SinkRequest { connector: "generator", arguments: &generator, ..request };
        assert_eq!(
            sink(&request).expect_err("nobody can write to a generator").to_string(),
            "connector \"generator\" as a sink is not supported"
        );
    }
}
