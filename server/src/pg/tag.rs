//! The words of `CommandComplete`.

use levada_engine::client::RowsTag;

/// The tag of a result with rows, of which `rows` were sent.
pub(crate) fn of_rows(tag: &RowsTag, rows: u64) -> String {
    match tag {
        RowsTag::Counted(words) => format!("{words} {rows}"),
        RowsTag::Fixed(words) => (*words).to_owned(),
    }
}

/// The tag of a finished COPY.
pub(crate) fn of_copy(rows: u64) -> String {
    format!("COPY {rows}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_tags_end_with_the_number_of_rows() {
        assert_eq!(of_rows(&RowsTag::Counted("INSERT 0"), 3), "INSERT 0 3", "returning");
        assert_eq!(of_rows(&RowsTag::Fixed("SHOW"), 1), "SHOW", "show");
    }
}
