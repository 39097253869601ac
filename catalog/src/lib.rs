//! Levada catalog.
