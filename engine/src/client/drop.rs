//! `DROP`: what others need is refused, or goes with it.

use std::sync::Arc;

use levada_catalog::{Change, Error as CatalogError, ObjectId, ObjectKind};
use levada_planner::statement::Drop as DropStatement;

use super::transaction::Stage;
use super::{Notice, Outcome, Session};
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
            let others = dropped.iter().rev().filter(|id| !ids.contains(id));
            let others: Vec<String> =
                others.filter_map(|id| before.get(*id)).map(|o| before.describe(o)).collect();
            self.tell_cascade(&others);
        }
        for id in &dropped {
            stage.change(Change::Drop(*id));
        }
        self.retract_lineage(stage, &before, &dropped)
    }

    /// Names what goes along with a drop, as PostgreSQL does.
    fn tell_cascade(&mut self, others: &[String]) {
        let (message, detail) = match others {
            [] => return,
            [one] => (format!("drop cascades to {one}"), None),
            all => {
                let lines: Vec<String> =
                    all.iter().map(|o| format!("drop cascades to {o}")).collect();
                (format!("drop cascades to {} other objects", all.len()), Some(lines.join("\n")))
            }
        };
        self.notices.push(Notice {
            severity: "NOTICE",
            sqlstate: "00000",
            message,
            detail,
            hint: None,
        });
    }
}
