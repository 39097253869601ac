//! Levada planner.
