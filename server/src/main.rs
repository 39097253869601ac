//! The Levada process.
fn main() {}
