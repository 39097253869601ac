//! Nodes of a [`DeltaPlan`] and what each needs to run.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue, UnnestOptions};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::WindowExpr;

use crate::aggregate::moments::Statistic;

/// Position of a node in its plan.
pub type NodeId = usize;

/// 128-bit identity of a node: what it computes, down to the relations it reads.
///
/// Equal fingerprints mean equal output on equal input, so state saved under one can be loaded by any
/// node that carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

/// A maintained query as a graph of nodes, inputs before users.
#[derive(Clone, Debug)]
pub struct DeltaPlan {
    /// The nodes in topological order.
    pub nodes: Vec<Node>,
    /// The node whose output is the query's result.
    pub root: NodeId,
}

impl DeltaPlan {
    /// The stored relations it reads.
    pub fn reads(&self) -> impl Iterator<Item = u32> + '_ {
        self.nodes.iter().filter_map(|node| match &node.op {
            Op::Relation { id, .. } => Some(*id),
            _ => None,
        })
    }

    /// Whether a move of the clock touches every row that meets it: where the clock is more than what rows are
    /// compared with in a condition.
    #[must_use]
    pub fn moves_all_rows(&self) -> bool {
        let clocks = self.nodes.iter().enumerate().filter(|(_, n)| matches!(n.op, Op::Clock(_)));
        clocks.map(|(id, _)| id).any(|clock| self.meets_rows(clock))
    }

    /// Whether the rows of a node stand beside those of others, in a node that uses it.
    fn meets_rows(&self, id: NodeId) -> bool {
        let users = self.nodes.iter().enumerate().filter(|(_, node)| node.inputs.contains(&id));
        let mut users = users.map(|(user, node)| match &node.op {
            Op::Project(_) | Op::Filter(_) => self.meets_rows(user),
            Op::Threshold(threshold) => node.inputs[0] == id || threshold.shows_value(),
            _ => true,
        });
        users.any(|meets| meets)
    }

    /// Reasons of the recomputed nodes, each once; empty when all of it is maintained by deltas.
    #[must_use]
    pub fn recompute_reasons(&self) -> Vec<&str> {
        let mut reasons: Vec<&str> = Vec::new();
        for node in &self.nodes {
            if let Op::Recompute(recompute) = &node.op
                && !reasons.contains(&recompute.reason.as_str())
            {
                reasons.push(&recompute.reason);
            }
        }
        reasons
    }
}

/// One operator of the plan.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// The nodes it reads, in the order the operator expects.
    pub inputs: Vec<NodeId>,
    /// Schema of its output rows.
    pub schema: SchemaRef,
    /// What is known of its output.
    pub properties: Properties,
    /// Identity.
    pub fingerprint: Fingerprint,
}

/// What is known of a node's output without looking at data.
#[derive(Clone, Debug, Default)]
pub struct Properties {
    /// Whether no row is ever retracted.
    pub insert_only: bool,
    /// Sets of columns whose values are unique among the output rows.
    pub unique_keys: Vec<Vec<usize>>,
}

/// What a node computes.
#[derive(Clone, Debug)]
pub enum Op {
    /// The delta of a stored relation (table, source or materialized view).
    Relation {
        /// Its OID.
        id: u32,
        /// Its name, for display.
        name: String,
        /// Columns of the stored relation that the plan reads, in output order.
        columns: Vec<usize>,
    },
    /// Fixed rows, emitted once with weight 1.
    Constant(RecordBatch),
    /// One row of expressions over the [clock's relation](crate::clock::schema).
    Clock(Vec<Expression>),
    /// Rows for which the predicate is true (not false, not NULL).
    Filter(Expression),
    /// One output column per expression.
    Project(Vec<Expression>),
    /// All rows of all inputs (`UNION ALL`).
    Union,
    /// Every row that occurs, once.
    Distinct,
    /// A row for each element of lists.
    Unnest(Unnest),
    /// Groups.
    Aggregate(Aggregate),
    /// Equi-join.
    Join(Join),
    /// Rows beside one that is compared with them.
    Threshold(Threshold),
    /// Rows on one side of a bound that rises with the clock.
    Temporal(Temporal),
    /// The first rows of each partition.
    TopK(TopK),
    /// Window functions.
    Window(Window),
    /// A query that is run again when one of its relations changes.
    Recompute(Recompute),
}

/// A compiled expression over the input's columns, with its text for plans.
#[derive(Clone)]
pub struct Expression {
    /// The compiled form.
    pub physical: Arc<dyn PhysicalExpr>,
    /// Canonical text.
    pub text: String,
}

/// `GROUP BY` over plain input columns.
///
/// Output: the key columns in order, then one column per call.
#[derive(Clone, Debug)]
pub struct Aggregate {
    /// Input columns that form the key; empty for one global group, which always exists.
    pub keys: Vec<usize>,
    /// The calls, in output order.
    pub calls: Vec<AggregateCall>,
}

/// One aggregate call over plain input columns.
#[derive(Clone, Debug)]
pub struct AggregateCall {
    /// The function.
    pub function: AggregateFunction,
    /// Argument column; `None` for `count(*)`.
    pub argument: Option<usize>,
    /// Boolean column of a `FILTER (WHERE ...)`; rows where it is not true are not counted.
    pub filter: Option<usize>,
    /// Whether equal argument values of a group count once.
    pub distinct: bool,
    /// Type of the argument column (`Int64` for `count(*)`).
    pub input_type: DataType,
    /// Type of the result column.
    pub output_type: DataType,
}

/// The aggregate functions that are maintained by deltas.
#[derive(Clone, Debug)]
pub enum AggregateFunction {
    /// Rows, or rows with a non-NULL argument.
    Count,
    /// Exact sum; NULL without a non-NULL argument.
    Sum,
    /// Exact sum divided by count; NULL without a non-NULL argument.
    Avg,
    /// Least non-NULL argument.
    Min,
    /// Greatest non-NULL argument.
    Max,
    /// Whether all non-NULL arguments are true.
    BoolAnd,
    /// Whether a non-NULL argument is true.
    BoolOr,
    /// The bits that all non-NULL arguments have.
    BitAnd,
    /// The bits that a non-NULL argument has.
    BitOr,
    /// The bits that an odd number of non-NULL arguments have.
    BitXor,
    /// A statistic of exact sums over the rows without a NULL argument.
    Moment {
        /// Which.
        statistic: Statistic,
        /// The column of the second argument, if it has two.
        second: Option<usize>,
    },
    /// The non-NULL argument at a place in their order, or a value between two of them.
    Quantile(Quantile),
    /// A column of the first or last row in an order.
    End(RowEnd),
    /// Any other function: the rows of a group are kept, and it is evaluated again when they change.
    Holistic(Holistic),
}

/// A place in the order of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantile {
    /// The middle one, or the mean of the two in the middle.
    Median,
    /// That part of the way from the least to the greatest, between 0 and 1.
    Continuous(f64),
}

/// A column of the first or last row of a group, in the order of some columns.
#[derive(Clone, Debug)]
pub struct RowEnd {
    /// Whether the last row is asked for.
    pub last: bool,
    /// The columns, the first one first.
    pub order: Vec<(usize, SortOptions)>,
    /// Which of them is the result.
    pub result: usize,
    /// Whether rows without a result take no part.
    pub ignore_nulls: bool,
}

/// A call that is evaluated over all rows of a group.
#[derive(Clone)]
pub struct Holistic {
    /// DataFusion's form of it, the same as in a batch plan but for the positions of columns.
    pub call: Arc<AggregateFunctionExpr>,
    /// What its accumulators read: the arguments, then the expressions it sorts by.
    pub inputs: Vec<HolisticInput>,
    /// Canonical text.
    pub text: String,
}

/// What a holistic call reads.
#[derive(Clone, Debug, PartialEq)]
pub enum HolisticInput {
    /// An input column.
    Column(usize),
    /// The same for all rows.
    Constant(ScalarValue),
}

/// Which rows a join gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// The pairs.
    Inner,
    /// The pairs, and each left row without a partner beside NULLs.
    Left,
    /// The pairs, and each right row without a partner beside NULLs.
    Right,
    /// The pairs, and each row of either side without a partner beside NULLs.
    Full,
    /// The left rows with a partner, once each.
    Semi,
    /// The left rows without a partner.
    Anti,
    /// Every left row, with a column that says whether it has a partner.
    Mark,
}

impl JoinKind {
    /// Whether it gives columns of both sides.
    #[must_use]
    pub fn gives_pairs(self) -> bool {
        matches!(self, Self::Inner | Self::Left | Self::Right | Self::Full)
    }

    /// Whether it depends on a row of side 0 (left) or 1 (right) having no partner at all.
    #[must_use]
    pub fn watches(self, side: usize) -> bool {
        match self {
            Self::Inner => false,
            Self::Full => true,
            Self::Right => side == 1,
            Self::Left | Self::Semi | Self::Anti | Self::Mark => side == 0,
        }
    }
}

impl fmt::Display for JoinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inner => "inner",
            Self::Left => "left",
            Self::Right => "right",
            Self::Full => "full",
            Self::Semi => "semi",
            Self::Anti => "anti",
            Self::Mark => "mark",
        })
    }
}

/// Equi-join of input 0 (left) and input 1 (right) on plain columns of equal types.
#[derive(Clone, Debug)]
pub struct Join {
    /// Which rows it gives.
    pub kind: JoinKind,
    /// Key columns of the left input.
    pub left_keys: Vec<usize>,
    /// Key columns of the right input, same length; empty on both sides means a cross join.
    pub right_keys: Vec<usize>,
    /// Whether NULL equals NULL; otherwise rows with a NULL in the key match nothing.
    pub null_equals_null: bool,
    /// Condition over the concatenated columns (left, then right) that must be true as well.
    pub residual: Option<Expression>,
    /// Columns of the concatenation that are output, in order; the one behind all of them is the mark.
    pub output: Vec<usize>,
}

/// Lists whose elements become rows, and structs whose fields become columns.
#[derive(Clone, Debug)]
pub struct Unnest {
    /// Input columns of lists, each with the levels that are taken off; several zip up.
    pub lists: Vec<(usize, usize)>,
    /// Input columns of structs.
    pub structs: Vec<usize>,
    /// What becomes of NULL and empty lists.
    pub options: UnnestOptions,
}

/// A column that rows are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The column.
    pub column: usize,
    /// Its direction, and where its NULLs go.
    pub options: SortOptions,
}

/// Rows of input 0 beside the row of input 1, which has one at most, where a comparison of the two is true.
#[derive(Clone, Debug)]
pub struct Threshold {
    /// All columns of input 0: the one that is compared first, ascending and NULLs last.
    pub order: Vec<SortKey>,
    /// How it is compared.
    pub comparison: Comparison,
    /// The column of input 1 that it is compared with, of the same type.
    pub value: usize,
    /// Columns of the concatenation that are output, in order.
    pub output: Vec<usize>,
}

impl Threshold {
    /// Whether columns of input 1 are output.
    #[must_use]
    pub fn shows_value(&self) -> bool {
        self.output.iter().any(|column| *column >= self.order.len())
    }
}

/// Rows that a comparison with a bound lets through. The bound never falls as time passes: a row leaves, or
/// enters, once.
#[derive(Clone, Debug)]
pub struct Temporal {
    /// All columns of the input: the one that is compared first, ascending and NULLs last.
    pub order: Vec<SortKey>,
    /// How it is compared.
    pub comparison: Comparison,
    /// The bound, of the same type, over the [clock's relation](crate::clock::schema).
    pub bound: Expression,
    /// Columns that are output, in order.
    pub output: Vec<usize>,
}

/// Where a row must be, seen from a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `>`
    Above,
    /// `>=`
    NotBelow,
    /// `<`
    Below,
    /// `<=`
    NotAbove,
}

impl Comparison {
    /// The comparison that an operator with the row on its left is.
    #[must_use]
    pub fn of(op: Operator) -> Option<Self> {
        Some(match op {
            Operator::Gt => Self::Above,
            Operator::GtEq => Self::NotBelow,
            Operator::Lt => Self::Below,
            Operator::LtEq => Self::NotAbove,
            _ => return None,
        })
    }

    /// Whether rows before a place in the order of what is compared pass, and not those behind it.
    #[must_use]
    pub fn passes_before(self) -> bool {
        matches!(self, Self::Below | Self::NotAbove)
    }

    /// Whether rows can be kept in the order of `row`, an expression over `schema`, to be compared with
    /// `value`: both are of one type, of which comparisons and sorting agree.
    pub(crate) fn orders(row: &Expr, schema: &DFSchema, value: &Expr, other: &DFSchema) -> bool {
        let types = (row.get_type(schema), value.get_type(other));
        matches!(types, (Ok(row), Ok(value)) if row == value && has_one_order(&row))
    }
}

/// Whether comparisons and sorting agree.
fn has_one_order(data_type: &DataType) -> bool {
    let is_number = data_type.is_numeric() && *data_type != DataType::Float16;
    is_number
        || data_type.is_string()
        || matches!(
            data_type,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) | DataType::Boolean
        )
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Above => ">",
            Self::NotBelow => ">=",
            Self::Below => "<",
            Self::NotAbove => "<=",
        })
    }
}

/// How the rows of an order are numbered, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// Each by itself.
    Row,
    /// Rows that are equal in what was asked for have the number of the first of them.
    Rank,
    /// As ranks, without gaps.
    DenseRank,
}

/// Some rows of each partition, by their place in an order.
#[derive(Clone, Debug)]
pub struct TopK {
    /// Input columns that form the partition; empty for one.
    pub partition: Vec<usize>,
    /// All other input columns, in the order that decides.
    pub order: Vec<SortKey>,
    /// How many of `order` were asked for; the others break ties.
    pub asked: usize,
    /// How rows are numbered.
    pub numbering: Numbering,
    /// Numbers that are left out at the start of each partition.
    pub skip: usize,
    /// Numbers of each partition that are shown behind those; all when `None`.
    pub fetch: Option<usize>,
    /// Input columns that are output, in order; the one behind all of them is the row's number from 1.
    pub output: Vec<usize>,
}

/// Window functions over one partitioning and order. Output: all input columns, then one per call.
#[derive(Clone, Debug)]
pub struct Window {
    /// Input columns that form the partition; empty for one.
    pub partition: Vec<usize>,
    /// All other input columns: those of `ORDER BY` first.
    pub order: Vec<SortKey>,
    /// How many of `order` are those of `ORDER BY`: rows that are equal in them are peers.
    pub asked: usize,
    /// The calls, in output order.
    pub calls: Vec<WindowCall>,
}

/// A compiled window function over the input's columns.
#[derive(Clone)]
pub struct WindowCall {
    /// The compiled form; it takes the rows of one partition in order.
    pub physical: Arc<dyn WindowExpr>,
    /// The condition of `FILTER (WHERE ...)`.
    pub filter: Option<Arc<dyn PhysicalExpr>>,
    /// Whether NULLs are passed over.
    pub ignore_nulls: bool,
    /// The rows that decide its value.
    pub reach: Reach,
    /// Canonical text.
    pub text: String,
}

/// Rows of its partition that decide the value of a window function for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// So many rows before it and after it.
    Rows {
        /// How many before.
        before: u64,
        /// How many after.
        after: u64,
    },
    /// All rows before it, and itself.
    Before {
        /// What is carried from row to row.
        running: Running,
        /// Whether the rows that are equal to it in the order count as well.
        peers: bool,
    },
    /// All rows.
    Partition,
}

/// What a window function carries from row to row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Running {
    /// The number of rows.
    Number,
    /// The number of rows before the peers.
    Rank,
    /// The number of groups of peers.
    DenseRank,
    /// The first value.
    First,
    /// The last value.
    Last,
    /// The state of an aggregate function.
    Aggregate,
}

/// A query that is recomputed; the engine's batch module runs it.
#[derive(Clone)]
pub struct Recompute {
    /// Why it is not maintained by deltas.
    pub reason: String,
    /// The relations it reads: a change of any of them runs it again. Equal to the node's inputs.
    pub relations: Vec<u32>,
    /// The plan as text, for display and identity.
    pub text: String,
    /// The optimised logical plan over those relations.
    pub query: Arc<datafusion::logical_expr::LogicalPlan>,
    /// Whether it calls the clock: then a move of that runs it again, too.
    pub reads_clock: bool,
}

/// How the work of a tick grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CostClass {
    /// With the rows of the delta.
    Delta,
    /// With the rows of the delta, each found in an order.
    Ordered,
    /// With the rows of the changed groups or partitions.
    Group,
    /// With the rows of the delta and their matches.
    Output,
    /// With the rows of the delta, each found in an order, and the rows shown of the changed partitions.
    Top,
    /// With the rows of the delta, each found in an order, and so many rows around each.
    Reach,
    /// With the rows of the delta, each found in an order, and the rows behind the first of each partition.
    Behind,
    /// With the rows of the delta, each found in an order, and the rows that a moved bound passes.
    Crossing,
    /// With the whole input.
    Recompute,
}

impl Op {
    /// Whether it calls the clock: its output may change without its inputs.
    #[must_use]
    pub fn reads_clock(&self) -> bool {
        match self {
            Self::Clock(_) | Self::Temporal(_) => true,
            Self::Recompute(recompute) => recompute.reads_clock,
            _ => false,
        }
    }

    /// Whether it may give many rows for few, or for none.
    #[must_use]
    pub fn makes_rows(&self) -> bool {
        matches!(self, Self::Recompute(_) | Self::Unnest(_))
    }

    /// The cost class of one tick of this node.
    #[must_use]
    pub fn cost(&self) -> CostClass {
        match self {
            Self::Relation { .. }
            | Self::Constant(_)
            | Self::Clock(_)
            | Self::Filter(_)
            | Self::Project(_)
            | Self::Union
            | Self::Unnest(_)
            | Self::Distinct => CostClass::Delta,
            Self::Aggregate(aggregate) => aggregate.cost(),
            Self::Join(_) => CostClass::Output,
            Self::Threshold(threshold) if threshold.shows_value() => CostClass::Output,
            Self::Threshold(_) | Self::Temporal(_) => CostClass::Crossing,
            Self::TopK(_) => CostClass::Top,
            Self::Window(window) => window.cost(),
            Self::Recompute(_) => CostClass::Recompute,
        }
    }
}

impl fmt::Display for CostClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delta => "O(delta)",
            Self::Ordered => "O(delta log n)",
            Self::Group => "O(group)",
            Self::Output => "O(delta + matches)",
            Self::Top => "O(delta log n + shown)",
            Self::Reach => "O(delta log n + reach)",
            Self::Behind => "O(delta log n + rows behind)",
            Self::Crossing => "O(delta log n + crossing)",
            Self::Recompute => "RECOMPUTE",
        })
    }
}

impl Aggregate {
    /// The cost of the most expensive call.
    fn cost(&self) -> CostClass {
        if self.is_holistic() {
            CostClass::Group
        } else if self.is_ordered() {
            CostClass::Ordered
        } else {
            CostClass::Delta
        }
    }

    /// Whether a call asks for values at any place in their order.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        self.calls.iter().any(|call| matches!(call.function, AggregateFunction::Quantile(_)))
    }

    /// Whether a call keeps the rows of its groups.
    #[must_use]
    pub fn is_holistic(&self) -> bool {
        self.calls.iter().any(|call| matches!(call.function, AggregateFunction::Holistic(_)))
    }
}

impl Window {
    /// The cost of the call that looks furthest.
    fn cost(&self) -> CostClass {
        let costs = self.calls.iter().map(|call| match call.reach {
            Reach::Rows { .. } => CostClass::Reach,
            Reach::Before { .. } => CostClass::Behind,
            Reach::Partition => CostClass::Group,
        });
        let all: Vec<CostClass> = costs.collect();
        [CostClass::Group, CostClass::Behind]
            .into_iter()
            .find(|cost| all.contains(cost))
            .unwrap_or(CostClass::Reach)
    }
}

impl fmt::Debug for Holistic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {:?}", self.text, self.inputs)
    }
}

impl fmt::Display for HolisticInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(column) => write!(f, "#{column}"),
            Self::Constant(value) => match value.try_as_str().flatten() {
                Some(text) => write!(f, "'{text}'"),
                None => write!(f, "{value}"),
            },
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for WindowCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Recompute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recompute")
            .field("reason", &self.reason)
            .field("relations", &self.relations)
            .field("text", &self.text)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
