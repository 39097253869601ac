//! Rows of `sys.lineage` and `sys.column_lineage`: written with an object, retracted when it is dropped.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, RecordBatch, StringViewArray};
use arrow::compute::filter_record_batch;
use levada_catalog::{Catalog, Object, ObjectId};
use levada_planner::lineage::{Input, Kind, Lineage};
use levada_storage::delta::DeltaBatch;

use super::Session;
use super::transaction::Stage;
use crate::error::{Error, Result};
use crate::system::{self, COLUMN_LINEAGE_ID, LINEAGE_ID};

/// Adds what `object` depends on, and with a lineage what its columns come from.
pub(super) fn write(stage: &mut Stage, object: &Object, lineage: Option<&Lineage>) -> Result<()> {
    let name = stage.catalog.qualified_name(object);
    let edges: Vec<[String; 4]> = object
        .depends_on
        .iter()
        .filter_map(|id| stage.catalog.get(*id))
        .map(|input| {
            let (kind, other) = (object.kind().words(), input.kind().words());
            [name.clone(), kind.to_owned(), stage.catalog.qualified_name(input), other.to_owned()]
        })
        .collect();
    stage.write(LINEAGE_ID, DeltaBatch::inserts(rows(LINEAGE_ID, &edges)?));
    let Some(lineage) = lineage else { return Ok(()) };
    let mut edges: Vec<[String; 6]> = Vec::new();
    let mut add = |column: &str, input: &Input, kind: Kind, expression: &str| {
        edges.push([
            name.clone(),
            column.to_owned(),
            input.relation_name.clone(),
            input.column.clone(),
            kind.word().to_owned(),
            expression.to_owned(),
        ]);
    };
    for output in &lineage.outputs {
        for (input, kind) in &output.inputs {
            add(&output.column, input, *kind, &output.expression);
        }
        for (input, kind) in &lineage.rows {
            add(&output.column, input, *kind, "");
        }
    }
    stage.write(COLUMN_LINEAGE_ID, DeltaBatch::inserts(rows(COLUMN_LINEAGE_ID, &edges)?));
    Ok(())
}

impl Session {
    /// Retracts the lineage of dropped objects.
    pub(super) fn retract_lineage(
        &mut self,
        stage: &mut Stage,
        catalog: &Catalog,
        dropped: &[ObjectId],
    ) -> Result<()> {
        let names: Vec<String> = dropped
            .iter()
            .filter_map(|id| catalog.get(*id))
            .map(|object| catalog.qualified_name(object))
            .collect();
        let snapshot = self.inner.shared.snapshot();
        for id in [LINEAGE_ID, COLUMN_LINEAGE_ID] {
            let Some(relation) = snapshot.relation(id) else { continue };
            for batch in relation.rows.batches() {
                let batch = batch?;
                let outputs = batch
                    .column(0)
                    .as_any()
                    .downcast_ref::<StringViewArray>()
                    .ok_or_else(|| Error::unfit("lineage"))?;
                let gone: BooleanArray = outputs
                    .iter()
                    .map(|o| Some(o.is_some_and(|o| names.iter().any(|n| n == o))))
                    .collect();
                stage.write(id, DeltaBatch::retractions(filter_record_batch(&batch, &gone)?));
            }
        }
        Ok(())
    }
}

fn rows<const N: usize>(id: u32, edges: &[[String; N]]) -> Result<RecordBatch> {
    let (_, _, schema, _) = system::stored()
        .into_iter()
        .find(|(stored, ..)| *stored == id)
        .ok_or_else(|| Error::unfit("lineage"))?;
    let column = |i: usize| -> Arc<dyn Array> {
        Arc::new(StringViewArray::from_iter_values(edges.iter().map(|e| e[i].as_str())))
    };
    Ok(RecordBatch::try_new(schema, (0..N).map(column).collect())?)
}
