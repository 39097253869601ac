//! `COPY`: rows in bulk, in or out.

use crate::statement::{ColumnName, Name, QueryText};

/// `COPY`.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// The rows, or where they go.
    pub rows: CopyRows,
    /// The other end, and with it the direction.
    pub target: CopyTarget,
    /// The form of the bytes.
    pub options: CopyOptions,
}

/// The relation side of a `COPY`.
#[derive(Clone, Debug, PartialEq)]
pub enum CopyRows {
    /// A relation.
    Relation {
        /// The relation.
        name: Name,
        /// Columns in the order of the data; empty is all, in order.
        columns: Vec<ColumnName>,
    },
    /// The rows of a query; only outwards.
    Query(QueryText),
}

/// The other side of a `COPY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CopyTarget {
    /// `FROM STDIN`: the client sends.
    FromClient,
    /// `TO STDOUT`: the client receives.
    ToClient,
    /// `FROM 'uri'`.
    FromUri(String),
    /// `TO 'uri'`.
    ToUri(String),
}

/// The form of the bytes of a `COPY`; [`None`] is the default of the format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// `FORMAT`.
    pub format: CopyFormat,
    /// `HEADER`.
    pub header: CopyHeader,
    /// `DELIMITER`: tab in text, comma in CSV.
    pub delimiter: Option<char>,
    /// `NULL`: `\N` in text, an unquoted empty string in CSV.
    pub null: Option<String>,
    /// `DEFAULT`: the text that stands for the column's default.
    pub default: Option<String>,
    /// `QUOTE`: the double quote; CSV only.
    pub quote: Option<char>,
    /// `ESCAPE`: the quote; CSV only.
    pub escape: Option<char>,
    /// `FORCE_QUOTE`: columns always quoted; CSV outwards only.
    pub force_quote: ForcedColumns,
    /// `FORCE_NOT_NULL`: columns never matched with the null text; CSV inwards only.
    pub force_not_null: ForcedColumns,
    /// `FORCE_NULL`: columns matched with the null text even if quoted; CSV inwards only.
    pub force_null: ForcedColumns,
}

/// The columns of a `FORCE_...` option.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ForcedColumns {
    /// None.
    #[default]
    None,
    /// `*`.
    All,
    /// These.
    Columns(Vec<ColumnName>),
}

/// The format of a `COPY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyFormat {
    /// `PostgreSQL`'s text format.
    #[default]
    Text,
    /// Comma separated values.
    Csv,
    /// `PostgreSQL`'s binary format.
    Binary,
    /// JSON lines.
    Json,
    /// Parquet.
    Parquet,
    /// Arrow IPC.
    Arrow,
}

/// The header line of a `COPY`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CopyHeader {
    /// There is none.
    #[default]
    Absent,
    /// Written outwards, passed over inwards.
    Present,
    /// Must name the columns in order; inwards only.
    Match,
}
