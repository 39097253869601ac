//! SQL text to statements.

mod word;

pub use word::nearest;
