//! `CREATE OR REPLACE MATERIALIZED VIEW` of a view that exists.
//!
//! | the new query | what happens |
//! |---|---|
//! | computes the same | the catalog has the new text |
//! | has the same columns | the view stays: its rows change by the difference, and so do those of its readers |
//! | has other columns | the view is dropped and made anew; refused while something depends on it |

use std::collections::BTreeSet;
use std::sync::Arc;

use levada_catalog::{Catalog, Change, Column, Detail, Object, ObjectId, ObjectKind};
use levada_planner::delta_plan::{DeltaPlan, Fingerprint};
use levada_planner::statement::{CreateMaterializedView, IfExists};

use super::definition::ViewRequest;
use super::transaction::Stage;
use super::{Session, lineage};
use crate::error::{Error, Result};

impl Session {
    /// The view that a statement gives another query; [`None`] when it makes a new one.
    pub(super) fn revisable(
        &self,
        stage: &Stage,
        s: &CreateMaterializedView,
    ) -> Result<Option<Arc<Object>>> {
        if s.if_exists != IfExists::Replace {
            return Ok(None);
        }
        let path = self.settings.search_path(&self.options.user);
        let schema = match &s.name.schema {
            Some(schema) => Some(stage.catalog.schema(schema)?),
            None => path.iter().find_map(|schema| stage.catalog.schema(schema).ok()),
        };
        let found = schema.and_then(|schema| stage.catalog.find(schema.id, &s.name.name));
        let committed = &self.inner.shared.snapshot().catalog;
        let usable = |object: &&Arc<Object>| {
            object.kind() == ObjectKind::MaterializedView && committed.get(object.id).is_some()
        };
        Ok(found.filter(usable).map(Arc::clone))
    }

    /// Gives `view` another query; `false` when it has to be made anew.
    pub(super) fn revise(
        &mut self,
        stage: &mut Stage,
        view: &Arc<Object>,
        request: &ViewRequest<'_>,
    ) -> Result<bool> {
        let Detail::MaterializedView { columns, revision, .. } = &view.detail else {
            return Ok(false);
        };
        let planned = self.planned(stage, &view.name, request)?;
        let name = stage.catalog.qualified_name(view);
        if needs(&stage.catalog, &planned.bound.depends_on, view.id) {
            let message = format!("materialized view \"{name}\" cannot read itself");
            return Err(Error::statement("42P17", message)
                .with_detail("Its new query reads it, or something that reads it."));
        }
        if !are_same(columns, &planned.bound.columns) {
            return match stage.catalog.dependents(view.id).next() {
                None => Ok(false),
                Some(reader) => Err(Error::statement(
                    "2BP01",
                    format!("cannot change the columns of materialized view \"{name}\""),
                )
                .with_detail(format!("{} depends on it.", stage.catalog.describe(reader)))
                .with_hint(
                    "Drop what depends on it first, or keep the names and types of the columns.",
                )),
            };
        }
        if stage.is_revised(view.id) {
            let message = format!("\"{name}\" was replaced in this transaction already");
            return Err(Error::statement("0A000", message).with_hint("Commit first."));
        }
        let same = self.root_of(stage, view)? == root(&planned.plan);
        let was_append = self.is_append(stage, view.id);
        let mut object = view.as_ref().clone();
        object.definition.clone_from(&request.definition);
        object.depends_on.clone_from(&planned.bound.depends_on);
        object.detail = planned.detail(request, if same { *revision } else { revision + 1 });
        let catalog = stage.catalog.clone();
        self.retract_lineage(stage, &catalog, &[view.id])?;
        stage.change(Change::Replace(object.clone()));
        lineage::write(stage, &object, Some(&planned.lineage))?;
        if !same {
            stage.revise(view.id, planned.plan);
            if was_append {
                self.revise_readers(stage, view.id)?;
            }
        }
        Ok(true)
    }

    /// Whether the stage leaves a relation insert-only.
    fn is_append(&self, stage: &Stage, id: ObjectId) -> bool {
        let snapshot = self.inner.shared.snapshot();
        let published = || snapshot.relation(id).is_some_and(|relation| relation.append);
        stage.is_append(id).unwrap_or_else(published)
    }

    /// Plans readers anew that counted on rows that never go, those of this transaction too.
    fn revise_readers(&self, stage: &mut Stage, view: ObjectId) -> Result<()> {
        let mut changed = BTreeSet::from([view]);
        for reader in stage.catalog.in_order() {
            if !reads_one_of(&stage.catalog, &reader, &changed) {
                continue;
            }
            match &reader.detail {
                Detail::Sink { .. } => {
                    let message = format!(
                        "sink \"{}\" only takes added rows, and the new query takes rows away",
                        stage.catalog.qualified_name(&reader)
                    );
                    return Err(Error::statement("55006", message)
                        .with_hint("Drop the sink, replace the view and create the sink again."));
                }
                Detail::MaterializedView { .. } => {
                    let was_append = self.is_append(stage, reader.id);
                    let plan = self.plan_of(stage, &reader)?;
                    if stage.creates(reader.id) || stage.is_revised(reader.id) {
                        stage.replan(reader.id, plan);
                        if was_append && !self.is_append(stage, reader.id) {
                            changed.insert(reader.id);
                        }
                        continue;
                    }
                    let mut object = reader.as_ref().clone();
                    if let Detail::MaterializedView { revision, .. } = &mut object.detail {
                        *revision += 1;
                    }
                    stage.change(Change::Replace(object));
                    stage.revise(reader.id, plan);
                    if was_append {
                        changed.insert(reader.id);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn root_of(&self, stage: &Stage, view: &Object) -> Result<Fingerprint> {
        Ok(root(&self.plan_of(stage, view)?))
    }

    /// The plan of a view's query as the stage will have it.
    fn plan_of(&self, stage: &Stage, view: &Object) -> Result<DeltaPlan> {
        let bound = self.bound_view(&stage.catalog, view)?;
        self.delta_plan(stage, &bound)
    }
}

fn root(plan: &DeltaPlan) -> Fingerprint {
    plan.nodes[plan.root].fingerprint
}

fn are_same(old: &[Column], new: &[Column]) -> bool {
    let pair = |column: &Column| (column.name.clone(), column.data_type.clone());
    old.iter().map(pair).eq(new.iter().map(pair))
}

/// Whether one of `ids` is `wanted` or depends on it.
fn needs(catalog: &Catalog, ids: &[ObjectId], wanted: ObjectId) -> bool {
    let mut seen = BTreeSet::new();
    let mut todo = ids.to_vec();
    while let Some(id) = todo.pop() {
        if id == wanted {
            return true;
        }
        if seen.insert(id) {
            todo.extend(catalog.get(id).into_iter().flat_map(|object| object.depends_on.clone()));
        }
    }
    false
}

/// Whether an object reads one of `relations`, directly or through plain views.
fn reads_one_of(catalog: &Catalog, object: &Object, relations: &BTreeSet<ObjectId>) -> bool {
    object.depends_on.iter().any(|id| {
        let view = catalog.get(*id).filter(|needed| needed.kind() == ObjectKind::View);
        relations.contains(id) || view.is_some_and(|view| reads_one_of(catalog, view, relations))
    })
}
