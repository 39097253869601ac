//! What a backfill needs of the catalog while it runs.
//!
//! | while one runs | another transaction |
//! |---|---|
//! | has relation `r` as an input | may change rows of `r`, but not drop it or give it another query |
//! | will create `n` | may not create `n` |
//! | will drop or change `o` | may not read, drop or change `o` |

use std::collections::BTreeSet;

use levada_catalog::{Catalog, Change, ObjectId};

use crate::error::{Error, Result};
use crate::transaction::Transaction;

/// What a transaction needs of the catalog to stay as it is.
pub(crate) struct Claim {
    reads: BTreeSet<ObjectId>,
    /// Dropped, or given another query.
    changes: BTreeSet<ObjectId>,
    /// Changed in other ways, such as by a comment.
    marks: BTreeSet<ObjectId>,
    /// Schema and name.
    names: BTreeSet<(ObjectId, String)>,
}

impl Claim {
    /// That of `transaction`.
    pub(crate) fn of(transaction: &Transaction, catalog: &Catalog) -> Self {
        let (mut reads, mut names) = (BTreeSet::new(), BTreeSet::new());
        let (mut changes, mut marks) = (BTreeSet::new(), BTreeSet::new());
        let revised = |id: ObjectId| transaction.views.iter().any(|(view, _)| *view == id);
        for change in &transaction.catalog.changes {
            match change {
                Change::Drop(id) => {
                    changes.insert(*id);
                }
                Change::Create(object) | Change::Replace(object) => {
                    if matches!(change, Change::Create(_)) {
                        names.insert((object.schema, object.name.clone()));
                    } else if revised(object.id) {
                        changes.insert(object.id);
                    } else {
                        marks.insert(object.id);
                    }
                    reads.insert(object.schema);
                    reads.extend(&object.depends_on);
                }
            }
        }
        // A plain view in between is needed as much as what it reads.
        let mut todo: Vec<ObjectId> = reads.iter().copied().collect();
        while let Some(id) = todo.pop() {
            let needs = catalog.get(id).map_or(&[][..], |object| &object.depends_on);
            todo.extend(needs.iter().filter(|id| reads.insert(**id)));
        }
        Self { reads, changes, marks, names }
    }

    /// Fails when this cannot go together with what `running` claims.
    ///
    /// # Errors
    /// 42P07, 55006.
    pub(crate) fn check(&self, running: &Self, catalog: &Catalog) -> Result<()> {
        if let Some((_, name)) = self.names.intersection(&running.names).next() {
            let message = format!("relation \"{name}\" is being created by another session");
            return Err(Error::statement("42P07", message));
        }
        let pairs = [
            (&self.changes, &running.changes),
            (&self.changes, &running.reads),
            (&self.reads, &running.changes),
            (&self.changes, &running.marks),
            (&self.marks, &running.changes),
            (&self.marks, &running.marks),
        ];
        let mut both = pairs.into_iter().flat_map(|(one, other)| one.intersection(other));
        let Some(object) = both.find_map(|id| catalog.get(*id)) else { return Ok(()) };
        let message = format!(
            "{} is being used by a materialized view that is being created",
            catalog.describe(object)
        );
        Err(Error::statement("55006", message)
            .with_hint("sys.backfill_progress shows how far it is. Try again when it is done."))
    }
}
