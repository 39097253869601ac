//! Arrow values as psql prints them.
//!
//! An encoder of its own, apart from the server's: where both agree with PostgreSQL, both are right.
//!
//! | value | text |
//! |---|---|
//! | NULL, empty string | `NULL`, `(empty)` |
//! | boolean | `t`, `f` |
//! | float | shortest digits that read back, `1e+20`, `NaN`, `Infinity` |
//! | bytea | `\x6162` |
//! | date, time, timestamp, timestamptz (UTC) | ISO |
//! | interval | `1 year 2 mons 3 days 04:05:06` |
//! | list, struct | `{1,2}`, `(1,x)` |

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Float16Type, Float32Type, Float64Type,
    IntervalDayTimeType, IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// The rows of a batch, one line each, values apart by a blank.
#[must_use]
pub fn lines(batch: &RecordBatch) -> Vec<String> {
    rows(batch).iter().map(|row| line(row)).collect()
}

/// One row as a line.
#[must_use]
pub fn line(row: &[Option<String>]) -> String {
    let values: Vec<String> = row.iter().map(|v| value_in_line(v.as_deref())).collect();
    values.join(" ")
}

fn value_in_line(value: Option<&str>) -> String {
    match value {
        None => "NULL".to_owned(),
        Some("") => "(empty)".to_owned(),
        Some(text) => text.replace('\n', "\\n"),
    }
}

/// The rows of a batch as texts; [`None`] is NULL.
#[must_use]
pub fn rows(batch: &RecordBatch) -> Vec<Vec<Option<String>>> {
    (0..batch.num_rows())
        .map(|i| batch.columns().iter().map(|column| value(column, i)).collect())
        .collect()
}

/// The letter of a type in a `query` directive.
#[must_use]
pub fn letter(data_type: &DataType) -> char {
    match data_type {
        DataType::Boolean => 'B',
        DataType::Date32 | DataType::Date64 => 'D',
        DataType::Timestamp(_, _) => 'P',
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => 'T',
        DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => 'R',
        t if t.is_integer() => 'I',
        _ => '?',
    }
}

/// The text of one value; [`None`] is NULL.
#[must_use]
pub fn value(column: &ArrayRef, i: usize) -> Option<String> {
    if column.is_null(i) || column.data_type() == &DataType::Null {
        return None;
    }
    Some(match column.data_type() {
        DataType::Boolean => if column.as_boolean().value(i) { "t" } else { "f" }.to_owned(),
        DataType::Float16 => float4(column.as_primitive::<Float16Type>().value(i).to_f32()),
        DataType::Float32 => float4(column.as_primitive::<Float32Type>().value(i)),
        DataType::Float64 => float8(column.as_primitive::<Float64Type>().value(i)),
        DataType::Binary => hex(column.as_binary::<i32>().value(i)),
        DataType::LargeBinary => hex(column.as_binary::<i64>().value(i)),
        DataType::BinaryView => hex(column.as_binary_view().value(i)),
        DataType::FixedSizeBinary(_) => hex(column.as_fixed_size_binary().value(i)),
        DataType::Date32 => date(i64::from(column.as_primitive::<Date32Type>().value(i))),
        DataType::Date64 => {
            date(column.as_primitive::<Date64Type>().value(i).div_euclid(86_400_000))
        }
        DataType::Time32(_) | DataType::Time64(_) => time_of_day(time_micros(column, i)),
        DataType::Timestamp(unit, zone) => {
            let text = timestamp(timestamp_micros(column, *unit, i));
            if zone.is_some() { format!("{text}+00") } else { text }
        }
        DataType::Interval(_) | DataType::Duration(_) => interval(column, i),
        DataType::List(_) => list(&column.as_list::<i32>().value(i)),
        DataType::LargeList(_) => list(&column.as_list::<i64>().value(i)),
        DataType::FixedSizeList(_, _) => list(&column.as_fixed_size_list().value(i)),
        DataType::Struct(_) => record(column, i),
        _ => {
            let options = FormatOptions::new();
            ArrayFormatter::try_new(column, &options).map_or_else(
                |e| format!("unprintable: {e}"),
                |formatter| formatter.value(i).to_string(),
            )
        }
    })
}

fn float8(v: f64) -> String {
    float(v.is_nan(), v.is_infinite(), v.is_sign_negative(), &format!("{v:e}"), 15)
}

fn float4(v: f32) -> String {
    float(v.is_nan(), v.is_infinite(), v.is_sign_negative(), &format!("{v:e}"), 6)
}

/// PostgreSQL's shape for the shortest digits: plain between 1e-4 and 10^digits, else scientific.
#[expect(clippy::fn_params_excessive_bools, reason = "what a float is besides its digits")]
fn float(nan: bool, infinite: bool, negative: bool, shortest: &str, digits: i32) -> String {
    if nan {
        return "NaN".to_owned();
    }
    if infinite {
        return if negative { "-Infinity" } else { "Infinity" }.to_owned();
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let figures: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let sign = if negative { "-" } else { "" };
    if figures == "0" {
        return format!("{sign}0");
    }
    if !(-4..digits).contains(&exponent) {
        let (first, rest) = figures.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{first}{point}{rest}e{exponent_sign}{:02}", exponent.abs());
    }
    if exponent < 0 {
        let zeros = "0".repeat(usize::try_from(-exponent - 1).unwrap_or(0));
        return format!("{sign}0.{zeros}{figures}");
    }
    let whole = usize::try_from(exponent + 1).unwrap_or(1);
    if figures.len() <= whole {
        let zeros = "0".repeat(whole - figures.len());
        return format!("{sign}{figures}{zeros}");
    }
    let (left, right) = figures.split_at(whole);
    format!("{sign}{left}.{right}")
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("\\x{}", digits.concat())
}

/// Days since 1970 as an ISO date; years before 1 carry `BC`.
fn date(days: i64) -> String {
    // Howard Hinnant's civil_from_days: eras of 400 years that start on 1 March.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if year > 0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{:04}-{month:02}-{day:02} BC", 1 - year)
    }
}

fn time_of_day(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    let fraction = micros % 1_000_000;
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if fraction == 0 {
        return clock;
    }
    let digits = format!("{fraction:06}");
    format!("{clock}.{}", digits.trim_end_matches('0'))
}

fn timestamp(micros: i64) -> String {
    let day = date(micros.div_euclid(MICROS_PER_DAY));
    let time = time_of_day(micros.rem_euclid(MICROS_PER_DAY));
    match day.strip_suffix(" BC") {
        Some(day) => format!("{day} {time} BC"),
        None => format!("{day} {time}"),
    }
}

fn time_micros(column: &ArrayRef, i: usize) -> i64 {
    match column.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            i64::from(column.as_primitive::<Time32SecondType>().value(i)) * 1_000_000
        }
        DataType::Time32(_) => {
            i64::from(column.as_primitive::<Time32MillisecondType>().value(i)) * 1_000
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            column.as_primitive::<Time64NanosecondType>().value(i) / 1_000
        }
        _ => column.as_primitive::<Time64MicrosecondType>().value(i),
    }
}

fn timestamp_micros(column: &ArrayRef, unit: TimeUnit, i: usize) -> i64 {
    match unit {
        TimeUnit::Second => column.as_primitive::<TimestampSecondType>().value(i) * 1_000_000,
        TimeUnit::Millisecond => column.as_primitive::<TimestampMillisecondType>().value(i) * 1_000,
        TimeUnit::Microsecond => column.as_primitive::<TimestampMicrosecondType>().value(i),
        TimeUnit::Nanosecond => {
            column.as_primitive::<TimestampNanosecondType>().value(i).div_euclid(1_000)
        }
    }
}

fn interval(column: &ArrayRef, i: usize) -> String {
    let (months, days, micros) = match column.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            (column.as_primitive::<IntervalYearMonthType>().value(i), 0, 0)
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            let v = column.as_primitive::<IntervalDayTimeType>().value(i);
            (0, v.days, i64::from(v.milliseconds) * 1_000)
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let v = column.as_primitive::<IntervalMonthDayNanoType>().value(i);
            (v.months, v.days, v.nanoseconds / 1_000)
        }
        DataType::Duration(TimeUnit::Second) => {
            (0, 0, column.as_primitive::<DurationSecondType>().value(i) * 1_000_000)
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            (0, 0, column.as_primitive::<DurationMillisecondType>().value(i) * 1_000)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            (0, 0, column.as_primitive::<DurationMicrosecondType>().value(i))
        }
        _ => (0, 0, column.as_primitive::<DurationNanosecondType>().value(i) / 1_000),
    };
    interval_text(months, days, micros)
}

/// The `postgres` interval style.
fn interval_text(months: i32, days: i32, micros: i64) -> String {
    let mut parts = Vec::new();
    let mut after_negative = false;
    let mut part = |n: i32, one: &str, many: &str| {
        if n != 0 {
            let plus = if after_negative && n > 0 { "+" } else { "" };
            parts.push(format!("{plus}{n} {}", if n == 1 { one } else { many }));
            after_negative = n < 0;
        }
    };
    part(months / 12, "year", "years");
    part(months % 12, "mon", "mons");
    part(days, "day", "days");
    if micros != 0 || parts.is_empty() {
        let sign = match (micros < 0, after_negative) {
            (true, _) => "-",
            (false, true) => "+",
            (false, false) => "",
        };
        parts.push(format!("{sign}{}", time_of_day(micros.abs())));
    }
    parts.join(" ")
}

fn list(values: &ArrayRef) -> String {
    let items: Vec<String> = (0..values.len())
        .map(|i| match value(values, i) {
            None => "NULL".to_owned(),
            Some(text) if matches!(values.data_type(), DataType::List(_)) => text,
            Some(text) => quoted_item(&text),
        })
        .collect();
    format!("{{{}}}", items.join(","))
}

fn quoted_item(text: &str) -> String {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.chars().any(|c| c.is_whitespace() || "{}\",\\".contains(c));
    if plain {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn record(column: &ArrayRef, i: usize) -> String {
    let fields: Vec<String> = column
        .as_struct()
        .columns()
        .iter()
        .map(|field| match value(field, i) {
            None => String::new(),
            Some(text) if text.is_empty() => "\"\"".to_owned(),
            Some(text) if text.chars().any(|c| c.is_whitespace() || "(),\"\\".contains(c)) => {
                format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\"\""))
            }
            Some(text) => text,
        })
        .collect();
    format!("({})", fields.join(","))
}

#[cfg(test)]
mod tests {
    use super::{date, float4, float8, interval_text, quoted_item, timestamp};

    #[test]
    fn floats_have_the_shortest_digits_in_the_shape_of_postgresql() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (100.0, "100"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.5e20, "1.5e+20"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5e-7, "-2.5e-07"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
            (0.1 + 0.2, "0.30000000000000004"),
        ];
        for (v, text) in cases {
            assert_eq!(float8(v), text);
        }
        assert_eq!(float4(1e6), "1e+06");
        assert_eq!(float4(0.1), "0.1");
    }

    #[test]
    fn days_are_iso_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(-1), "1969-12-31");
        assert_eq!(date(19_782), "2024-02-29");
        assert_eq!(date(-719_162), "0001-01-01");
        assert_eq!(date(-719_163), "0001-12-31 BC");
        assert_eq!(timestamp(-1), "1969-12-31 23:59:59.999999");
    }

    #[test]
    fn intervals_mix_signs_like_postgresql() {
        assert_eq!(interval_text(14, 3, 14_706_000_000), "1 year 2 mons 3 days 04:05:06");
        assert_eq!(interval_text(0, 0, 0), "00:00:00");
        assert_eq!(interval_text(0, -1, 3_600_000_000), "-1 days +01:00:00");
        assert_eq!(interval_text(0, 1, -500_000), "1 day -00:00:00.5");
    }

    #[test]
    fn array_items_are_quoted_where_needed() {
        assert_eq!(quoted_item("a b"), "\"a b\"");
        assert_eq!(quoted_item("ab"), "ab");
        assert_eq!(quoted_item("null"), "\"null\"");
    }
}
