//! Runs one operator over random ticks beside DataFusion.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::datasource::MemTable;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::prelude::SessionContext;
use levada_engine::arrangement::hash::HashWidth;
use levada_engine::lower::{lower, lower_with};
use levada_engine::operator::{Operator, StateRun, Tick};
use levada_engine::spill::SpillSpace;
use levada_engine::workers::Workers;
use levada_planner::aggregate::aggregate_functions;
use levada_planner::delta_plan::{DeltaPlan, Expression, Fingerprint, Node, Op, Properties};
use levada_storage::delta::Delta;
use levada_storage::epoch::Epoch;

use crate::rows::{Relation, Rng, batch, schema};

/// A bag of rows as text, with the sum of their weights.
pub(crate) type Bag = BTreeMap<String, i64>;

/// Makes the operator at the root of a plan.
type Made<'a> = dyn Fn(&DeltaPlan) -> levada_engine::Result<Box<dyn Operator>> + 'a;

/// An operator and the query that says what it means.
pub(crate) struct Case {
    pub(crate) op: Op,
    /// Number of relations it reads; a self join reads the same one twice.
    pub(crate) inputs: Vec<usize>,
    pub(crate) insert_only: bool,
    /// Over the tables `t0`, `t1`.
    pub(crate) sql: &'static str,
    /// Rows of state when the relations are empty.
    pub(crate) least_state: u64,
    pub(crate) ticks: usize,
    pub(crate) size: usize,
}

impl Case {
    pub(crate) fn new(op: Op, sql: &'static str) -> Self {
        let inputs = vec![0];
        Self { op, inputs, insert_only: false, sql, least_state: 0, ticks: 25, size: 12 }
    }

    /// The plan: its relations, then the operator.
    fn plan(&self, output: SchemaRef) -> DeltaPlan {
        let node = |op, inputs, schema| Node {
            op,
            inputs,
            schema,
            properties: Properties { insert_only: self.insert_only, unique_keys: Vec::new() },
            fingerprint: Fingerprint(0),
        };
        let relations = 1 + self.inputs.iter().max().copied().unwrap_or(0);
        let mut nodes: Vec<Node> = (0..relations)
            .map(|i| {
                let columns = (0..schema().fields().len()).collect();
                let id = u32::try_from(i).expect("few relations");
                node(Op::Relation { id, name: format!("t{i}"), columns }, Vec::new(), schema())
            })
            .collect();
        nodes.push(node(self.op.clone(), self.inputs.clone(), output));
        DeltaPlan { root: nodes.len() - 1, nodes }
    }

    /// Runs the case in all its variants.
    pub(crate) fn check(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            for (seed, width) in
                [HashWidth::Full, HashWidth::Bits(4), HashWidth::Bits(0)].into_iter().enumerate()
            {
                for restore_every in [0, 4] {
                    let made = |plan: &DeltaPlan| lower_with(plan, plan.root, width);
                    self.run(seed as u64 + 1, &made, &format!("{width:?}"), restore_every).await;
                }
            }
            let shared = Workers::new(Some(3)).sharing_from(1);
            for (seed, workers) in [Workers::alone(), shared].iter().enumerate() {
                for restore_every in [0, 4] {
                    let made = |plan: &DeltaPlan| lower(plan, plan.root, workers);
                    self.run(seed as u64 + 4, &made, "in shards", restore_every).await;
                }
            }
        });
    }

    async fn run(&self, seed: u64, made: &Made<'_>, how: &str, restore_every: usize) {
        let mut rng = Rng(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let relations = 1 + self.inputs.iter().max().copied().unwrap_or(0);
        let mut tables: Vec<Relation> =
            (0..relations).map(|_| Relation::new(self.insert_only)).collect();
        let plan = self.plan(self.oracle(&tables).await.0);
        let fresh = || made(&plan).expect("an operator");
        let mut operator = fresh();
        let folder = tempfile::tempdir().expect("a folder");
        let space = Arc::new(SpillSpace::new(folder.path().to_owned()));
        let mut runs: Vec<StateRun> = Vec::new();
        let mut sum = Bag::new();
        for number in 0..self.ticks {
            let last = number + 1 == self.ticks && !self.insert_only;
            let deltas: Vec<Delta> = tables
                .iter_mut()
                .map(|table| match (last, rng.below(4)) {
                    (true, _) => table.clear(&mut rng),
                    (_, 0) => Delta::default(),
                    _ => table.tick(&mut rng, self.size),
                })
                .collect();
            let inputs: Vec<&Delta> = self.inputs.iter().map(|i| &deltas[*i]).collect();
            let out = step(operator.as_mut(), number, &inputs);
            assert!(out.err.is_empty(), "{}: error rows {:?}", self.sql, out.err);
            add(&mut sum, &out);
            let (_, expected) = self.oracle(&tables).await;
            assert_eq!(sum, expected, "{} seed {seed} {how} tick {number}", self.sql);
            if rng.below(6) == 0 {
                operator.spill(&space, usize::MAX).expect("there is room on the disk");
            }
            if restore_every > 0 {
                let full = rng.below(10) == 0;
                if rng.below(2) == 0 {
                    take_in(&mut runs, frozen(operator.as_mut(), full));
                }
                if number % restore_every == restore_every - 1 {
                    take_in(&mut runs, frozen(operator.as_mut(), false));
                    let rows = operator.metrics().state_rows;
                    operator = fresh();
                    operator.restore(&runs).expect("own runs");
                    assert_eq!(operator.metrics().state_rows, rows, "{}: restored", self.sql);
                }
            }
        }
        if !self.insert_only {
            let rows = operator.metrics().state_rows;
            assert_eq!(rows, self.least_state, "{}: state is left", self.sql);
        }
    }

    /// What DataFusion computes from the tables: schema and rows.
    async fn oracle(&self, tables: &[Relation]) -> (SchemaRef, Bag) {
        let context = SessionContext::new();
        for function in aggregate_functions() {
            context.register_udaf(function.as_ref().clone());
        }
        for (i, table) in tables.iter().enumerate() {
            let parts = table.rows.chunks(7).map(batch).collect();
            let table = MemTable::try_new(schema(), vec![parts]).expect("a table");
            context.register_table(format!("t{i}"), Arc::new(table)).expect("a fresh name");
        }
        let frame = context.sql(self.sql).await.expect("a query");
        let fields = frame.schema().as_arrow().clone();
        let batches = frame.collect().await.expect("an answer");
        let mut bag = Bag::new();
        batches
            .iter()
            .for_each(|b| rows_of(b).into_iter().for_each(|r| *bag.entry(r).or_insert(0) += 1));
        (
            Arc::new(Schema::new(
                fields
                    .fields()
                    .iter()
                    .map(|f| f.as_ref().clone().with_nullable(true))
                    .collect::<Vec<_>>(),
            )),
            bag,
        )
    }
}

/// Adds runs as a checkpoint would: a replacing run drops the former ones of its part.
fn take_in(runs: &mut Vec<StateRun>, fresh: Vec<StateRun>) {
    for run in fresh {
        if run.replaces {
            runs.retain(|r| r.part != run.part);
        }
        runs.push(run);
    }
}

/// What an operator freezes.
pub(crate) fn frozen(operator: &mut dyn Operator, full: bool) -> Vec<StateRun> {
    let mut runs = Vec::new();
    let mut take = |run| {
        runs.push(run);
        Ok(())
    };
    operator.freeze(full, &mut take).expect("runs");
    runs
}

pub(crate) fn step(operator: &mut dyn Operator, number: usize, inputs: &[&Delta]) -> Delta {
    let epoch = Epoch(number as u64 + 1);
    operator.step(&Tick { epoch, now_us: 0 }, inputs).expect("a step")
}

/// Adds a delta to a bag; weights of zero leave it.
pub(crate) fn add(sum: &mut Bag, delta: &Delta) {
    for part in &delta.ok {
        for (i, row) in rows_of(&part.columns).into_iter().enumerate() {
            *sum.entry(row).or_insert(0) += part.weights.get(i);
        }
    }
    sum.retain(|_, weight| *weight != 0);
}

/// Each row as text; floats by their bits, one NaN.
pub(crate) fn rows_of(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let cell = |column: &ArrayRef, i: usize| -> String {
        match column.data_type() {
            _ if column.is_null(i) => "NULL".to_owned(),
            DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(i)),
            DataType::Float32 => format!("{:?}", column.as_primitive::<Float32Type>().value(i)),
            _ => {
                let format = ArrayFormatter::try_new(column, &options).expect("printable");
                format!("'{}'", format.value(i))
            }
        }
    };
    (0..batch.num_rows())
        .map(|i| batch.columns().iter().map(|c| cell(c, i)).collect::<Vec<_>>().join(" | "))
        .collect()
}

pub(crate) fn expression(physical: Arc<dyn PhysicalExpr>) -> Expression {
    Expression { text: physical.to_string(), physical }
}
