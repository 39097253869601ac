//! Levada sqllogictests.
