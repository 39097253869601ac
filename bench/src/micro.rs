//! `levada-bench micro`: what one change costs, in process and without a commit.
//!
//! | part | measures |
//! |---|---|
//! | `orders` | five views over 3 million lines: first load, then deltas of 1 to 100,000 rows |
//! | `inline` | a chain of 20 operators, for 1, 100 and 1,000 rows |
//! | `rows` | a row through a join and through an aggregate, in nanoseconds |
//! | `touched` | rows of state that a delta touches, at 1 and 100 times the state, per kind of operator |

mod inline;
mod orders;
mod rows;
mod touched;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// A part of the measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Orders,
    Inline,
    Rows,
    Touched,
}

/// Arguments of `micro`.
#[derive(Debug, Args)]
pub(crate) struct Micro {
    /// Parts, separated by commas; all if none is given.
    #[arg(long, value_enum, value_delimiter = ',')]
    part: Vec<Part>,
    /// Folder with the files of orders; they are made if it has none.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Number of orders to make; lines are four times as many.
    #[arg(long, default_value_t = 750_000)]
    orders: i64,
    /// Views of `orders`, separated by commas.
    #[arg(long, value_delimiter = ',')]
    view: Vec<String>,
    /// Threads of the views of `orders`.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Compares answers with a batch run over the same rows.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    verify: bool,
    /// Prints what each operator did to standard error.
    #[arg(long)]
    profile: bool,
}

impl Micro {
    /// Runs what was asked for.
    ///
    /// # Errors
    /// When a view cannot run or its answer is wrong.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let asked = |part| self.part.is_empty() || self.part.contains(&part);
        if asked(Part::Touched) {
            touched::run()?;
        }
        if asked(Part::Inline) {
            inline::run()?;
        }
        if asked(Part::Rows) {
            rows::run()?;
        }
        if asked(Part::Orders) {
            orders::run(&self).await?;
        }
        Ok(())
    }
}
