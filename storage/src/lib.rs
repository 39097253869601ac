//! Levada storage.
