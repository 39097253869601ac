//! From SQL text to an incremental plan.

pub mod delta_plan;
