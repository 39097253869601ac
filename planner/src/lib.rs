//! From SQL text to an incremental plan.
//!
//! The life of a statement in this crate:
//!
//! ```text
//! text --parse--> Statement --bind--> LogicalPlan --optimize_for_delta--> LogicalPlan --delta_plan--> DeltaPlan
//! ```
//!
//! [`parse`] tokenises once and keeps positions. [`bind`] resolves names in the catalog and expands plain
//! views. [`environment::optimize_for_delta`] runs an allow-list of rules. [`incremental`] turns each
//! operator into a node of the [`delta_plan::DeltaPlan`], or into a recompute with its reason.
//! [`lineage`] reads column lineage off the same logical plan; [`explain`] prints the result.

pub mod aggregate;
mod arithmetic;
pub mod bind;
mod bounded;
mod bytea;
pub mod clock;
pub mod delta_plan;
pub mod environment;
pub mod error;
pub mod explain;
mod fallible;
mod grouping_input;
pub mod incremental;
pub mod lineage;
mod named;
mod not_in;
pub mod origin;
pub mod parse;
pub mod pg_compat;
pub mod relation;
mod set_operation;
mod shift_time;
mod sort_keys;
pub mod statement;
mod table_function;
mod temporal;
mod types;
mod window;
mod with_ties;

pub use error::{Error, Result};
