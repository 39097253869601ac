//! Functions, rules and settings that every plan is made with.
//!
//! Two optimizers stand side by side. The **batch** one is DataFusion's own, for ad-hoc queries and
//! recomputation. The **delta** one is an allow-list: nothing that reads statistics (a changing statistic
//! must never change a maintained plan), nothing that turns a maintained operator into one that is not.

use std::sync::Arc;

use datafusion::execution::context::{SessionConfig, SessionState};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::functions::datetime;
use datafusion::optimizer::optimizer::Optimizer;
use datafusion::optimizer::{OptimizerContext, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

use crate::aggregate::aggregate_functions;
use crate::aggregate::order::TotalOrder;
use crate::aggregate::order_once::OrderOnce;
use crate::aggregate::zero::OneZero;
use crate::arithmetic::CheckIntegers;
use crate::bounded;
use crate::bytea::Bytea;
use crate::clock::{self, KeepCalls};
use crate::error::Result;
use crate::fallible::PushDownFilter;
use crate::grouping_input::GroupingInput;
use crate::not_in::CorrelatedNotIn;
use crate::set_operation::CountCopies;
use crate::sort_keys::SortKeys;
use crate::temporal::TemporalText;
use crate::window::window_functions;
use crate::with_ties;

/// Rules of the delta optimizer, by DataFusion's names, in DataFusion's order.
const DELTA_RULES: [&str; 16] = [
    "rewrite_set_comparison",
    "simplify_expressions",
    "decorrelate_predicate_subquery",
    "correlated_not_in",
    "scalar_subquery_to_join",
    "decorrelate_lateral_join",
    "extract_equijoin_predicate",
    "eliminate_duplicated_expr",
    "eliminate_filter",
    "eliminate_cross_join",
    "eliminate_outer_join",
    "push_down_filter",
    "eliminate_group_by_constant",
    "common_sub_expression_eliminate",
    "optimize_projections",
    "order_once",
];

/// The state that plans are made in, with the memory and disk of `runtime`; cheap enough to clone once per
/// session.
#[must_use]
pub fn session_state(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut builder = SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features();
    builder.aggregate_functions().get_or_insert_default().extend(aggregate_functions());
    builder.scalar_functions().get_or_insert_default().extend(bounded::functions());
    builder.scalar_functions().get_or_insert_default().push(with_ties::function());
    builder.scalar_functions().get_or_insert_default().extend(clock::functions());
    builder.window_functions().get_or_insert_default().extend(window_functions());
    builder
        .with_analyzer_rule(Arc::new(CountCopies))
        .with_analyzer_rule(Arc::new(OneZero))
        .with_analyzer_rule(Arc::new(CheckIntegers))
        .with_analyzer_rule(Arc::new(Bytea))
        .with_analyzer_rule(Arc::new(TemporalText))
        .with_analyzer_rule(Arc::new(TotalOrder))
        .with_optimizer_rules(rules())
        .with_physical_optimizer_rules(physical_rules())
        .build()
}

/// DataFusion's rules, with conditions that may fail kept in place, and without the one that splits an
/// aggregation in two where an argument is distinct: sums would be summed again, in a wider type.
fn rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::new();
    for rule in Optimizer::new().rules {
        match rule.name() {
            "single_distinct_aggregation_to_group_by" => {}
            "push_down_filter" => rules.push(Arc::new(PushDownFilter::default())),
            "eliminate_duplicated_expr" => rules.push(Arc::new(SortKeys::default())),
            "common_sub_expression_eliminate" => rules.push(Arc::new(KeepCalls(rule))),
            "decorrelate_predicate_subquery" => {
                rules.push(rule);
                rules.push(Arc::new(CorrelatedNotIn));
            }
            _ => rules.push(rule),
        }
    }
    rules.push(Arc::new(OrderOnce));
    rules
}

/// DataFusion's physical rules without those that move filters down: our scans take none, and conditions that
/// may fail would pass below joins.
fn physical_rules() -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let all = PhysicalOptimizer::new().rules.into_iter();
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> =
        vec![Arc::new(GroupingInput)];
    rules.extend(all.filter(|rule| !rule.name().starts_with("FilterPushdown")));
    rules
}

/// The settings of a session's plans.
#[must_use]
pub fn session_config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(1)
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.sql_parser.collect_spans = true;
    options.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    // Counts of correlated subqueries change in what is said of their NULLs, not in what they are.
    options.execution.skip_physical_aggregate_schema_check = true;
    config
}

/// Sets the time that `current_date` and the like give in plans of `state`, in microseconds since 1970 UTC.
/// Maintained plans have none: there they call the [clock](crate::clock).
///
/// # Errors
/// When the state refuses a function.
pub fn set_time(state: &mut SessionState, micros: i64) -> Result<()> {
    let time = arrow::temporal_conversions::timestamp_us_to_datetime(micros);
    state.execution_props_mut().query_execution_start_time = time.map(|time| time.and_utc());
    for function in [datetime::current_date(), datetime::current_time()] {
        state.register_udf(function)?;
    }
    Ok(())
}

/// Analyses (coerces types of) a plan and runs the delta optimizer on it.
///
/// # Errors
/// When a type does not fit.
pub fn optimize_for_delta(
    state: &SessionState,
    plan: datafusion::logical_expr::LogicalPlan,
) -> Result<datafusion::logical_expr::LogicalPlan> {
    let options = state.config_options();
    let analyzed = state.analyzer().execute_and_check(plan, options, |_, _| {})?;
    let allowed = rules().into_iter().filter(|rule| DELTA_RULES.contains(&rule.name())).collect();
    let context = OptimizerContext::new_with_config_options(Arc::new(options.as_ref().clone()))
        .without_query_execution_start_time();
    Ok(Optimizer::with_rules(allowed).optimize(analyzed, &context, |_, _| {})?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_allowed_rule_exists() {
        let names: Vec<String> = rules().iter().map(|r| r.name().to_owned()).collect();
        for rule in DELTA_RULES {
            assert!(names.iter().any(|n| n == rule), "no rule {rule} among {names:?}");
        }
        assert_eq!(names.len(), Optimizer::new().rules.len() + 1, "one is left out, two are added");
        let physical = PhysicalOptimizer::new().rules.len();
        assert_eq!(physical_rules().len() + 1, physical, "two rules are left out, one is added");
    }
}
