//! x
pub fn aggregate_functions() -> Vec<std::sync::Arc<datafusion::logical_expr::AggregateUDF>> { vec![] }
