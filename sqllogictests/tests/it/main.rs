//! The integration tests of the whole product, in one binary.

mod tidy;
