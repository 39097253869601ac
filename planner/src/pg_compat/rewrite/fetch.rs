//! `FETCH FIRST n ROWS { ONLY | WITH TIES }` as `LIMIT`.
//!
//! With ties the number becomes `with_ties(n)`, which is expanded where the order is known.

use std::mem::take;

use datafusion::sql::sqlparser::ast::{LimitClause, Query};

use super::build;
use crate::with_ties::WITH_TIES;

/// Rewrites the clause of a query; what has no `LIMIT` for it stays.
pub(super) fn rewrite(query: &mut Query) {
    let has_limit = match &query.limit_clause {
        None => false,
        Some(LimitClause::LimitOffset { limit, limit_by, .. }) => {
            limit.is_some() || !limit_by.is_empty()
        }
        Some(LimitClause::OffsetCommaLimit { .. }) => true,
    };
    let Some(fetch) = query.fetch.take_if(|fetch| !fetch.percent && !has_limit) else { return };
    let mut rows = fetch.quantity.unwrap_or_else(|| build::number(1));
    if fetch.with_ties {
        rows = build::call(WITH_TIES, vec![rows]);
    }
    let offset = match take(&mut query.limit_clause) {
        Some(LimitClause::LimitOffset { offset, .. }) => offset,
        _ => None,
    };
    let limit_by = Vec::new();
    query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(rows), offset, limit_by });
}
