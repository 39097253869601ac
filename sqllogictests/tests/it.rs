//! All integration tests of the workspace, in one binary.
//!
//! | module | proves |
//! |---|---|
//! | `backfill` | views are filled while others write |
//! | `clients` | psql, SQLAlchemy, pgjdbc and DuckDB work |
//! | `clock` | views follow the time; a move that changes none is no epoch |
//! | `corpus` | queries of foreign scripts are maintained as views |
//! | `crash` | SIGKILL loses and duplicates nothing |
//! | `damage` | damaged views are made anew, damaged tables refused |
//! | `laws` | what must not matter does not: splits, cancellation, the order of tables, when a view is made |
//! | `random` | random views over random tables equal their queries |
//! | `slt` | scripts in four modes, over the wire, and against PostgreSQL |
//! | `ties` | views and their checks put equal rows in one order |

#![expect(clippy::disallowed_methods, reason = "tests own their files, tasks and clocks")]
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "what is left out is printed with its reason")]

#[path = "it/backfill.rs"]
mod backfill;
#[path = "it/clients.rs"]
mod clients;
#[path = "it/clock.rs"]
mod clock;
#[path = "it/corpus.rs"]
mod corpus;
#[path = "it/crash.rs"]
mod crash;
#[path = "it/damage.rs"]
mod damage;
#[path = "it/laws.rs"]
mod laws;
#[path = "it/random.rs"]
mod random;
#[path = "it/runtime.rs"]
mod runtime;
#[path = "it/slt.rs"]
mod slt;
#[path = "it/ties.rs"]
mod ties;
