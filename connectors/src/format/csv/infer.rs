//! The columns of CSV files that nobody declared.
//!
//! Each column keeps a set of types that every value seen so far could be; the first of
//! boolean, bigint, double precision, date, timestamp that is left wins, else it is text. A column
//! without any value is text. The columns are those of the header that most files have, the first of
//! equally frequent ones: a stray file is told of later, and does not change what the others are. Files with
//! more columns than these count for the types of the common ones. What would lose something stays text: numbers with leading zeros such as
//! postal codes, and integers beyond bigint.

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::{Parser, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, TimeUnit};

use crate::error::Result;
use crate::format::csv::column::{Cells, zone_of};
use crate::format::csv::scan::{Bounds, Scan};
use crate::format::csv::{Dialect, bom};
use crate::format::number;

/// The types that are looked for, the first that is left wins.
const TYPES: [DataType; 5] = [
    DataType::Boolean,
    DataType::Int64,
    DataType::Float64,
    DataType::Date32,
    DataType::Timestamp(TimeUnit::Microsecond, None),
];

/// What a column may be.
#[derive(Clone, Copy, Debug)]
struct Candidates {
    seen: bool,
    /// Which of [`TYPES`] fit all values so far.
    left: [bool; TYPES.len()],
}

/// Collects what the columns of some files may be.
#[derive(Debug)]
pub(crate) struct Inference {
    kinds: Vec<Kind>,
    zone: Tz,
}

/// The files of one header, whatever its order.
#[derive(Debug)]
struct Kind {
    names: Vec<String>,
    columns: Vec<Candidates>,
    files: usize,
}

impl Inference {
    /// Nothing seen.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { kinds: Vec::new(), zone: zone_of(None)? })
    }

    /// Takes the first `records` records of a file in; `whole` says that `head` is all of it.
    pub(crate) fn add(&mut self, head: &[u8], whole: bool, dialect: &Dialect, records: usize) {
        let text = String::from_utf8_lossy(&head[bom(head)..]);
        let mut scan = Scan::default();
        let mut rest = text.as_ref();
        let mut names = None;
        if dialect.header {
            let Some((found, header)) = dialect.names(rest.as_bytes(), whole) else { return };
            rest = rest.get(header.bytes..).unwrap_or_default();
            names = Some(unique(found));
        }
        let width = names.as_ref().map(Vec::len);
        scan.run(rest.as_bytes(), dialect.marks, Bounds { width, records, last: whole });
        let Some(width) = width.or_else(|| usual_width(&scan, rest, dialect, whole)) else {
            return;
        };
        let names = names.unwrap_or_else(|| (1..=width).map(|i| format!("column{i}")).collect());
        let bounds = Bounds { width: Some(width), records, last: whole };
        scan.run(rest.as_bytes(), dialect.marks, bounds);
        let zone = self.zone;
        let kind = self.kind(&names);
        let at: Vec<Option<usize>> = names.iter().map(|name| kind.column(name)).collect();
        let null = dialect.null.as_deref();
        let cells = Cells { text: rest, scan: &scan, width, null, marks: dialect.marks };
        for record in 0..scan.records.len() {
            for (cell, column) in at.iter().enumerate() {
                if let (Some(column), Some(value)) = (column, cells.value(record, cell)) {
                    kind.columns[*column].see(value.trim(), &zone);
                }
            }
        }
    }

    /// The schema, unless no column was found.
    pub(crate) fn schema(&self) -> Option<Schema> {
        let usual = self.kinds.iter().rev().max_by_key(|kind| kind.files)?;
        let like = self.kinds.iter().filter(|k| usual.names.iter().all(|n| k.column(n).is_some()));
        let fields = usual.names.iter().map(|name| {
            let seen = like.clone().filter_map(|kind| Some(kind.columns[kind.column(name)?]));
            Field::new(name, seen.fold(Candidates::all(), Candidates::and).best(), true)
        });
        let fields: Vec<Field> = fields.collect();
        (!fields.is_empty()).then(|| Schema::new(fields))
    }

    /// The files with these columns, one more of them.
    fn kind(&mut self, names: &[String]) -> &mut Kind {
        let same = |kind: &Kind| {
            kind.names.len() == names.len() && names.iter().all(|n| kind.column(n).is_some())
        };
        let at = self.kinds.iter().position(same).unwrap_or_else(|| {
            let columns = vec![Candidates::all(); names.len()];
            self.kinds.push(Kind { names: names.to_vec(), columns, files: 0 });
            self.kinds.len() - 1
        });
        self.kinds[at].files += 1;
        &mut self.kinds[at]
    }
}

impl Kind {
    fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|n| n == name)
    }
}

impl Candidates {
    fn all() -> Self {
        Self { seen: false, left: [true; TYPES.len()] }
    }

    fn see(&mut self, value: &str, zone: &Tz) {
        self.seen = true;
        let fits = fits(value, zone);
        self.left.iter_mut().zip(fits).for_each(|(left, fits)| *left &= fits);
    }

    fn and(mut self, other: Self) -> Self {
        self.seen |= other.seen;
        self.left.iter_mut().zip(other.left).for_each(|(left, other)| *left &= other);
        self
    }

    fn best(self) -> DataType {
        let found = self.left.iter().position(|left| self.seen && *left);
        found.map_or(DataType::Utf8View, |i| TYPES[i].clone())
    }
}

/// Which of [`TYPES`] hold `value` without loss.
fn fits(value: &str, zone: &Tz) -> [bool; TYPES.len()] {
    let boolean = value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false");
    let digits = value.strip_prefix('-').unwrap_or(value);
    let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let zeros = matches!(digits.as_bytes(), [b'0', second, ..] if second.is_ascii_digit());
    let integer = only_digits && !zeros && value.parse::<i64>().is_ok();
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !zeros;
    let float = numeric && (integer || !only_digits) && number::float::<f64>(value).is_some();
    let dashed = value.len() >= 10 && value.as_bytes().get(4) == Some(&b'-');
    let date = dashed && value.len() == 10 && Date32Type::parse(value).is_some();
    let timestamp = dashed && string_to_datetime(zone, value).is_ok();
    [boolean, integer, float, date, timestamp]
}

/// The width of the first record of a file without a header.
fn usual_width(scan: &Scan, text: &str, dialect: &Dialect, whole: bool) -> Option<usize> {
    scan.records.first()?;
    let mut first = Scan::default();
    let bounds = Bounds { width: None, records: 1, last: whole };
    first.run(text.as_bytes(), dialect.marks, bounds);
    Some(first.cells.len())
}

/// Names that differ: an empty one becomes `column<n>`, a repeated one gets a number.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut out: Vec<String> = Vec::with_capacity(names.len());
    for (i, name) in names.into_iter().enumerate() {
        let base = if name.trim().is_empty() { format!("column{}", i + 1) } else { name };
        let mut candidate = base.clone();
        let mut n = 2;
        while out.contains(&candidate) {
            candidate = format!("{base}_{n}");
            n += 1;
        }
        out.push(candidate);
    }
    out
}
