//! Settings of a test run, from the environment.
//!
//! | variable | meaning |
//! |---|---|
//! | `LEVADA_SLT` | only scripts whose path holds this text |
//! | `LEVADA_SEED` | the seed, where a run is seeded |
//! | `LEVADA_SEEDS` | how many seeds to try |
//! | `LEVADA_COMPLETE` | `1`: rewrite expectations with the answers; `fill`: only those that are empty |
//! | `LEVADA_POSTGRES` | URL of a PostgreSQL for the second oracle |
//! | `LEVADA_VIEWS` | views of the random generator |
//! | `LEVADA_DEPTH` | how deep its queries are nested at most |
//! | `LEVADA_CORPUS` | a folder of scripts whose queries become views |
//! | `LEVADA_KILLS` | kills of the crash test |
//! | `CI` | `true`: a client that cannot be installed fails the test |

/// The value of a variable; [`None`] when it is unset or empty.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one door of the harness to the environment")]
pub fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|v| !v.is_empty())
}

/// The value of a variable as a number.
#[must_use]
pub fn number(name: &str) -> Option<u64> {
    text(name)?.parse().ok()
}
