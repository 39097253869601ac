//! What to do when the outside world fails: rules without clock, sleep or chance of their own.
//!
//! ```text
//! error --retry--> wait or give up      failures --breaker--> open, half-open, closed
//! rows --rate--> how many fit now       signs of life --health--> what SHOW SOURCES says
//! ```
//! Each rule is a value that is told what happened and when, and answers. The engine measures the time,
//! waits and draws the random numbers; so tests need no time to pass.

pub mod breaker;
pub mod health;
pub mod rate;
pub mod retry;
