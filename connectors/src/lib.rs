//! Levada connectors.
