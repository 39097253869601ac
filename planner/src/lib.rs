//! From SQL text to an incremental plan.

pub mod aggregate;
pub mod delta_plan;
