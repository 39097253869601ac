//! `DROP`: what others need is refused, or goes with it.

use std::sync::Arc;

use levada_catalog::{Change, Error as CatalogError, ObjectId, ObjectKind};
use levada_planner::statement::Drop as DropStatement;

use super::transaction::Stage;
use super::{Outcome, Session};
use crate::error::{Error, Result};

impl Session {
    /// `DROP kind name, ... [CASCADE]`.
    pub(super) async fn drop_objects(&mut self, s: &DropStatement) -> Result<Outcome> {
        let mut stage = self.stage()?;
        let path = self.settings.search_path(&self.options.user);
        let mut ids = Vec::with_capacity(s.names.len());
        for name in &s.names {
            let found = if s.kind == ObjectKind::Schema {
                stage.catalog.schema(&name.name).map(Arc::clone)
            } else {
                stage.catalog.resolve(name.schema.as_deref(), &name.name, &path).map(Arc::clone)
            };
            match found {
                Ok(object) if object.kind() == s.kind => ids.push(object.id),
                Ok(object) => {
                    let wrong = CatalogError::WrongKind {
                        name: object.name.clone(),
                        wanted: s.kind,
                        found: object.kind(),
                    };
                    return Err(Error::from(levada_planner::Error::from(wrong).at(name.position)));
                }
                Err(CatalogError::NotFound { .. } | CatalogError::SchemaNotFound(_))
                    if s.if_exists =>
                {
                    let text =
                        format!("{} \"{}\" does not exist, skipping", s.kind.words(), name.name);
                    self.notice("00000", text);
                }
                Err(CatalogError::NotFound { name: missing, nearest, .. }) => {
                    let missing =
                        CatalogError::NotFound { kind: Some(s.kind), name: missing, nearest };
                    return Err(Error::from(
                        levada_planner::Error::from(missing).at(name.position),
                    ));
                }
                Err(error) => {
                    return Err(Error::from(levada_planner::Error::from(error).at(name.position)));
                }
            }
        }
        if !ids.is_empty() {
            self.stage_drop(&mut stage, &ids, s.cascade)?;
            self.put(stage).await?;
        }
        Ok(Outcome::Done(format!("DROP {}", s.kind.words().to_uppercase())))
    }

    /// Adds the drop of objects, with what goes along.
    pub(super) fn stage_drop(
        &mut self,
        stage: &mut Stage,
        ids: &[ObjectId],
        cascade: bool,
    ) -> Result<()> {
        let dropped = stage.catalog.plan_drop(ids, cascade)?;
        let before = stage.catalog.clone();
        let owned = before.plan_drop(ids, false).map_or(0, |o| o.len());
        if owned == 0 && dropped.len() > ids.len() {
            let others = dropped.len() - ids.len();
            let word = if others == 1 { "object" } else { "objects" };
            self.notice("00000", format!("drop cascades to {others} other {word}"));
        }
        for id in &dropped {
            stage.change(Change::Drop(*id));
        }
        self.retract_lineage(stage, &before, &dropped)
    }
}
