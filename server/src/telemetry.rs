//! The process's log, on standard error.

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Starts logging what a filter such as `warn` or `levada_engine=debug` lets through.
///
/// # Errors
/// When the filter cannot be read.
pub fn start(filter: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("invalid log filter \"{filter}\""))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An embedding process may log already; its way stands.
    if subscriber.try_init().is_err() {
        tracing::debug!("logging was set up already");
    }
    Ok(())
}
