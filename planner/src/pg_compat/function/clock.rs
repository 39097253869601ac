//! The time: that of the transaction or the statement, which stays while it runs.

use datafusion::common::Result;

use super::{Cell, Kind, Snapshot, Spec, argument, spec};

pub(super) const FUNCTIONS: &[Spec] = &[
    spec("now", 0..=0, Kind::Timestamptz, transaction),
    spec("transaction_timestamp", 0..=0, Kind::Timestamptz, transaction),
    spec("statement_timestamp", 0..=0, Kind::Timestamptz, statement),
    spec("current_timestamp", 0..=1, Kind::Timestamptz, transaction),
    spec("localtimestamp", 0..=1, Kind::Timestamp, transaction),
];

/// Digits of a second that are kept.
const DIGITS_MAX: u32 = 6;

/// When the transaction began; an argument is the number of digits wanted of the seconds.
fn transaction(snapshot: &Snapshot, row: &[Cell]) -> Result<Cell> {
    let digits = argument(row, 0).int().and_then(|digits| u32::try_from(digits).ok());
    Ok(rounded(snapshot.context().transaction_at, digits.unwrap_or(DIGITS_MAX)).into())
}

fn statement(snapshot: &Snapshot, _: &[Cell]) -> Result<Cell> {
    Ok(snapshot.context().statement_at.into())
}

/// Microseconds with so many digits of the seconds.
fn rounded(micros: i64, digits: u32) -> i64 {
    let unit = 10_i64.pow(DIGITS_MAX.saturating_sub(digits));
    (micros + unit / 2).div_euclid(unit) * unit
}

#[cfg(test)]
mod tests {
    use super::rounded;

    #[test]
    fn digits_round_to_the_nearest() {
        assert_eq!(rounded(1_234_567, 6), 1_234_567);
        assert_eq!(rounded(1_234_567, 3), 1_235_000);
        assert_eq!(rounded(-1_600_000, 0), -2_000_000);
        assert_eq!(rounded(7, 9), 7);
    }
}
