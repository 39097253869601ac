//! Levada engine.
