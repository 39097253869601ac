//! The first rows of an order, of inputs that take rows back and of such that do not.

use arrow::compute::SortOptions;
use levada_planner::delta_plan::{Numbering, Op, SortKey, TopK};

use crate::harness::Case;
use crate::rows::{B, D, F, I, K, S, T};

/// All columns but the partition's: `i` descending, then the others as they break ties.
const ORDER: &str =
    "i DESC NULLS LAST, f NULLS LAST, s NULLS LAST, d NULLS LAST, b NULLS LAST, t NULLS LAST";

fn key(column: usize, descending: bool) -> SortKey {
    SortKey { column, options: SortOptions { descending, nulls_first: false } }
}

/// Rows `skip` to `skip + fetch` of each `k`, with all columns and, behind them, the number.
fn case(skip: usize, fetch: usize, asked: usize, output: Vec<usize>, sql: String) -> Case {
    let others = [F, S, D, B, T].map(|column| key(column, false));
    let order = std::iter::once(key(I, true)).chain(others).collect();
    let fetch = Some(fetch);
    let top =
        TopK { partition: vec![K], order, asked, numbering: Numbering::Row, skip, fetch, output };
    Case::new(Op::TopK(top), sql.leak())
}

fn numbered(columns: &str, condition: &str) -> String {
    let number = format!("row_number() OVER (PARTITION BY k ORDER BY {ORDER})");
    let inner = format!("SELECT *, CAST({number} AS BIGINT) AS n FROM t0");
    format!("SELECT {columns} FROM ({inner}) WHERE {condition}")
}

#[test]
fn the_first_rows_of_each_partition() {
    for insert_only in [false, true] {
        let size = if insert_only { 40 } else { 12 };
        for asked in [1, 3] {
            let one = case(0, 1, asked, vec![I, K, S, T], numbered("i, k, s, t", "n = 1"));
            Case { insert_only, size, ..one }.check();
        }
        let three = case(0, 3, 1, vec![K, I, F, 7], numbered("k, i, f, n", "n <= 3"));
        Case { insert_only, size, ..three }.check();
        let middle = case(1, 2, 1, vec![S, D], numbered("s, d", "n BETWEEN 2 AND 3"));
        Case { insert_only, size, ..middle }.check();
        let second = case(1, 2, 2, vec![S, D, 7], numbered("s, d, n", "n BETWEEN 2 AND 3"));
        Case { insert_only, size, ..second }.check();
        let many = case(0, 40, 1, vec![K, I, F, 7], numbered("k, i, f, n", "n <= 40"));
        Case { insert_only, size, ..many }.check();
    }
}
