//! Functions in FROM: `generate_series`, `range` and whatever the session's state holds.

use std::sync::Arc;

use datafusion::catalog::TableFunctionArgs;
use datafusion::common::{DFSchema, DataFusionError, Result};
use datafusion::datasource::provider_as_source;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{Expr, TableSource};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;

/// The table that `name(args)` stands for; the arguments must be constant.
///
/// # Errors
/// When there is no such function or its arguments do not fit.
pub(crate) fn source(
    state: &SessionState,
    name: &str,
    args: Vec<Expr>,
) -> Result<Arc<dyn TableSource>> {
    let function = state.table_functions().get(name).ok_or_else(|| {
        DataFusionError::Plan(format!("table function \"{name}\" does not exist"))
    })?;
    let context =
        SimplifyContext::builder().with_config_options(Arc::clone(state.config_options())).build();
    let simplifier = ExprSimplifier::new(context);
    let schema = DFSchema::empty();
    let args = args
        .into_iter()
        .map(|arg| simplifier.coerce(arg, &schema).and_then(|e| simplifier.simplify(e)))
        .collect::<Result<Vec<_>>>()?;
    let table = function.create_table_provider_with_args(TableFunctionArgs::new(&args, state))?;
    Ok(provider_as_source(table))
}
