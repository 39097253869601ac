//! `levada-bench report`: result lines of one or more systems as tables.
//!
//! There is a table for each measure of each bench. Rows are queries, columns are systems (the key `id`); a
//! cell is the best of its runs, with a star where the answer differs from that of most. Ratios say how many
//! times faster than the base system one is: geometric means over the rows that both have.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::Deserialize;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub(crate) struct Report {
    /// Files of JSON lines.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The system that the others are compared with; the first that is seen if not given.
    #[arg(long)]
    base: Option<String>,
}

/// A line, as far as tables need it.
#[derive(Clone, Debug, Deserialize)]
struct Entry {
    id: Option<String>,
    peer: Option<String>,
    bench: Option<String>,
    query: String,
    what: Option<String>,
    delta: Option<u64>,
    events_per_s: Option<f64>,
    wall_ms: Option<f64>,
    ms: Option<f64>,
    refresh_ms_median: Option<f64>,
    peak_rss_mb: Option<u64>,
    rows: Option<i64>,
    check: Option<i64>,
}

/// What a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    Rate,
    Run,
    FirstLoad,
    Refresh,
    Rows,
}

const MEASURES: [Measure; 5] =
    [Measure::Rate, Measure::Run, Measure::FirstLoad, Measure::Refresh, Measure::Rows];

/// A cell: the best value of a system.
#[derive(Clone, Copy, Debug)]
struct Cell {
    value: f64,
    answer: Option<(i64, i64)>,
    peak_mb: u64,
}

/// The cells of one measure by row (number, name) and system.
#[derive(Default)]
struct Grid {
    systems: Vec<String>,
    rows: BTreeMap<(u64, String), BTreeMap<String, Cell>>,
}

impl Report {
    /// Prints the tables.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let mut grids: BTreeMap<(String, Measure), Grid> = BTreeMap::new();
        for entry in self.entries()? {
            let bench = entry.bench.clone().unwrap_or_else(|| "nexmark".to_owned());
            for measure in MEASURES {
                if let Some(value) = measure.of(&entry) {
                    grids.entry((bench.clone(), measure)).or_default().take(&entry, measure, value);
                }
            }
        }
        let mut out = std::io::stdout().lock();
        for ((bench, measure), grid) in &grids {
            writeln!(out, "### {bench}: {}\n", measure.title())?;
            grid.write(&mut out, *measure, self.base.as_deref())?;
        }
        Ok(())
    }

    /// The lines of all files; what is no result is passed over.
    fn entries(&self) -> anyhow::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for path in &self.files {
            let text = fs::read_to_string(path)
                .with_context(|| format!("could not read \"{}\"", path.display()))?;
            entries.extend(text.lines().filter_map(|line| serde_json::from_str(line).ok()));
        }
        Ok(entries)
    }
}

impl Measure {
    fn title(self) -> &'static str {
        match self {
            Self::Rate => "million events a second",
            Self::Run => "milliseconds, best run",
            Self::FirstLoad => "milliseconds, first load",
            Self::Refresh => "milliseconds, median refresh",
            Self::Rows => "rows at the end",
        }
    }

    fn of(self, entry: &Entry) -> Option<f64> {
        match self {
            Self::Rate => entry.events_per_s.map(|rate| rate / 1e6),
            Self::Run => entry.wall_ms,
            Self::FirstLoad => entry.ms,
            Self::Refresh => entry.refresh_ms_median,
            #[expect(clippy::cast_precision_loss, reason = "for display")]
            Self::Rows => {
                entry.what.as_deref().filter(|what| *what == "final")?;
                entry.rows.map(|rows| rows as f64)
            }
        }
    }

    /// How many times faster `own` is than `base`.
    fn ratio(self, own: f64, base: f64) -> f64 {
        if self == Self::Rate { own / base } else { base / own }
    }
}

impl Grid {
    fn take(&mut self, entry: &Entry, measure: Measure, value: f64) {
        let named = entry.id.clone().or_else(|| entry.peer.clone());
        let system = named.unwrap_or_else(|| "unknown".to_owned());
        if !self.systems.contains(&system) {
            self.systems.push(system.clone());
        }
        let name = match entry.delta {
            Some(delta) => format!("{} delta {delta}", entry.query),
            None => entry.query.clone(),
        };
        let key = (number(&entry.query), name);
        let answer = entry.rows.zip(entry.check);
        let cell = Cell { value, answer, peak_mb: entry.peak_rss_mb.unwrap_or(0) };
        let cells = self.rows.entry(key).or_default();
        if cells.get(&system).is_none_or(|best| measure.ratio(value, best.value) > 1.0) {
            cells.insert(system, cell);
        }
    }

    fn write(
        &self,
        out: &mut impl Write,
        measure: Measure,
        base: Option<&str>,
    ) -> anyhow::Result<()> {
        writeln!(out, "| | {} |", self.systems.join(" | "))?;
        writeln!(out, "|{}", "---|".repeat(self.systems.len() + 1))?;
        for ((_, name), cells) in &self.rows {
            let usual = usual_answer(cells);
            let cell = |system: &String| {
                let Some(cell) = cells.get(system) else { return String::new() };
                let star = if cell.answer.is_some() && cell.answer != usual { "*" } else { "" };
                format!("{:.2}{star}", cell.value)
            };
            let cells: Vec<String> = self.systems.iter().map(cell).collect();
            writeln!(out, "| {name} | {} |", cells.join(" | "))?;
        }
        let named = base.filter(|base| self.systems.iter().any(|system| system == base));
        let first = self.systems.first().map(String::as_str);
        let (Some(base), true) = (named.or(first), measure != Measure::Rows) else {
            return Ok(writeln!(out)?);
        };
        writeln!(out, "\n| system | rows | times {base} | at worst | peak MB |")?;
        writeln!(out, "|---|---|---|---|---|")?;
        for system in &self.systems {
            let own = self.rows.values().filter_map(|cells| cells.get(system));
            let (count, peak) = own.fold((0, 0), |(n, peak), cell| (n + 1, cell.peak_mb.max(peak)));
            let both = self.rows.values().filter_map(|c| Some((c.get(system)?, c.get(base)?)));
            let ratios: Vec<f64> =
                both.map(|(own, base)| measure.ratio(own.value, base.value)).collect();
            let worst = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let mean = geometric_mean(&ratios);
            writeln!(out, "| {system} | {count} | {mean:.2} | {worst:.2} | {peak} |")?;
        }
        Ok(writeln!(out)?)
    }
}

/// The answer that most systems give.
fn usual_answer(cells: &BTreeMap<String, Cell>) -> Option<(i64, i64)> {
    let mut counts: BTreeMap<(i64, i64), usize> = BTreeMap::new();
    for answer in cells.values().filter_map(|cell| cell.answer) {
        *counts.entry(answer).or_default() += 1;
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(answer, _)| answer)
}

#[expect(clippy::cast_precision_loss, reason = "a handful of queries")]
fn geometric_mean(values: &[f64]) -> f64 {
    let logarithms: f64 = values.iter().map(|value| value.ln()).sum();
    (logarithms / values.len() as f64).exp()
}

/// The first number in a query's name, to sort by.
fn number(query: &str) -> u64 {
    let from = query.trim_start_matches(|c: char| !c.is_ascii_digit());
    let digits: String = from.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_run_stands_in_the_table_and_a_strange_answer_has_a_star() {
        let line = |id: &str, rate: f64, check: i64| -> Entry {
            let text = format!(
                r#"{{"id": "{id}", "query": "q5", "events_per_s": {rate}, "rows": 1, "check": {check}}}"#
            );
            serde_json::from_str(&text).unwrap()
        };
        let mut grid = Grid::default();
        for entry in [line("a", 1e6, 7), line("a", 2e6, 7), line("b", 4e6, 8), line("c", 4e6, 7)] {
            grid.take(&entry, Measure::Rate, Measure::Rate.of(&entry).unwrap());
        }
        let mut out = Vec::new();
        grid.write(&mut out, Measure::Rate, None).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("| q5 | 2.00 | 4.00* | 4.00 |"), "{text}");
        assert!(text.contains("| b | 1 | 2.00 | 2.00 | 0 |"), "{text}");
    }
}
