//! DataFusion by itself over the Parquet files: one run of a query, as shipped but for the threads.

use std::path::Path;

use arrow::array::RecordBatch;
use datafusion::execution::context::{SessionConfig, SessionContext};
use datafusion::execution::options::ParquetReadOptions;

/// DataFusion's own session over files.
pub(crate) struct Batch(SessionContext);

impl Batch {
    /// A session with the files `tables` of `folder`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) async fn open(
        folder: &Path,
        tables: &[&str],
        threads: usize,
    ) -> anyhow::Result<Self> {
        let config = SessionConfig::new().with_target_partitions(threads);
        let context = SessionContext::new_with_config(config);
        for table in tables {
            let path = folder.join(format!("{table}.parquet"));
            let options = ParquetReadOptions::default();
            context.register_parquet(*table, path.to_string_lossy().as_ref(), options).await?;
        }
        Ok(Self(context))
    }

    /// Plans and runs a query.
    ///
    /// # Errors
    /// Whatever it runs into.
    pub(crate) async fn run(&self, sql: &str) -> anyhow::Result<Vec<RecordBatch>> {
        Ok(self.0.sql(sql).await?.collect().await?)
    }
}
