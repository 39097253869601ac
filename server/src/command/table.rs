//! Rows in aligned columns, like psql's.

use std::fmt::{self, Display};

use postgres_types::Type;

/// Rows to be aligned. Widths depend on every cell, so all rows are held.
#[derive(Debug)]
pub(super) struct Table {
    names: Vec<String>,
    to_the_right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new<'a>(columns: impl Iterator<Item = (&'a String, Type)>) -> Self {
        let (names, to_the_right) = columns
            .map(|(name, ty)| {
                let number = matches!(
                    ty,
                    Type::INT2
                        | Type::INT4
                        | Type::INT8
                        | Type::FLOAT4
                        | Type::FLOAT8
                        | Type::NUMERIC
                        | Type::OID
                );
                (name.clone(), number)
            })
            .unzip();
        Self { names, to_the_right, rows: Vec::new() }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Writes a row of any height; `+` marks cells that go on in the next line.
    fn line(&self, f: &mut fmt::Formatter<'_>, cells: &[String], widths: &[usize]) -> fmt::Result {
        let cells: Vec<Vec<&str>> = cells.iter().map(|cell| cell.split('\n').collect()).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(1);
        for level in 0..height {
            for (at, cell) in cells.iter().enumerate() {
                let part = cell.get(level).copied().unwrap_or("");
                let padding = " ".repeat(widths[at].saturating_sub(part.chars().count()));
                let last = at + 1 == cells.len();
                let more = level + 1 < cell.len();
                let separator = if at == 0 { "" } else { "|" };
                if self.to_the_right[at] {
                    write!(f, "{separator} {padding}{part}")?;
                } else if last && !more {
                    write!(f, "{separator} {part}")?;
                } else {
                    write!(f, "{separator} {part}{padding}")?;
                }
                match (more, last) {
                    (true, _) => write!(f, "+")?,
                    (false, false) => write!(f, " ")?,
                    (false, true) => {}
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = |text: &String| text.split('\n').map(|l| l.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = self
            .names
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let cells = self.rows.iter().filter_map(|row| row.get(at)).map(widest);
                cells.chain([widest(name)]).max().unwrap_or(0)
            })
            .collect();
        for (at, name) in self.names.iter().enumerate() {
            let separator = if at == 0 { "" } else { "|" };
            let width = widths[at];
            write!(f, "{separator} {name:^width$} ")?;
        }
        writeln!(f)?;
        for (at, width) in widths.iter().enumerate() {
            let separator = if at == 0 { "" } else { "+" };
            write!(f, "{separator}{}", "-".repeat(width + 2))?;
        }
        writeln!(f)?;
        for row in &self.rows {
            self.line(f, row, &widths)?;
        }
        match self.rows.len() {
            1 => writeln!(f, "(1 row)\n"),
            count => writeln!(f, "({count} rows)\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_like_in_psql() {
        let names = ["n".to_owned(), "name".to_owned()];
        let mut table = Table::new(names.iter().zip([Type::INT8, Type::TEXT]));
        table.push(vec!["1".to_owned(), "a".to_owned()]);
        table.push(vec!["20".to_owned(), "two\nlines".to_owned()]);
        let expected = " n  | name  \n\
                        ----+-------\n  1 | a\n \
                        20 | two  +\n    | lines\n\
                        (2 rows)\n\n";
        assert_eq!(table.to_string(), expected, "psql's layout");
    }
}
