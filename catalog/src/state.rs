//! The catalog in memory: an immutable value per version, cheap to clone.
//!
//! Objects are found by identifier or by (schema, name). Relations, sinks and pipelines share one name
//! space per schema; schemas have their own. A pipeline `p` in `public` owns schema `p`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::change::{Change, ChangeSet};
use crate::error::{Error, Result};
use crate::object::{
    Detail, FIRST_USER_OID, INFORMATION_SCHEMA_OID, Object, ObjectId, ObjectKind, PG_CATALOG_OID,
    PUBLIC_OID, SYS_OID,
};

/// Everything that exists at one epoch.
#[derive(Clone, Debug)]
pub struct Catalog {
    objects: BTreeMap<ObjectId, Arc<Object>>,
    names: BTreeMap<(ObjectId, String), ObjectId>,
    dependents: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
    next_id: ObjectId,
    version: u64,
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new()
    }
}

impl Catalog {
    /// A catalog with the system schemas and `public`.
    #[must_use]
    pub fn new() -> Self {
        let mut catalog = Self {
            objects: BTreeMap::new(),
            names: BTreeMap::new(),
            dependents: BTreeMap::new(),
            next_id: FIRST_USER_OID,
            version: 0,
        };
        for (id, name) in [
            (PG_CATALOG_OID, "pg_catalog"),
            (PUBLIC_OID, "public"),
            (INFORMATION_SCHEMA_OID, "information_schema"),
            (SYS_OID, "sys"),
        ] {
            catalog.put(Object {
                id,
                name: name.to_owned(),
                schema: 0,
                owner: "admin".to_owned(),
                comment: None,
                definition: format!("CREATE SCHEMA {name}"),
                depends_on: Vec::new(),
                detail: Detail::Schema { pipeline: None },
            });
        }
        catalog
    }

    /// The next free identifier; the caller must create an object with it or lose it.
    pub fn allocate(&mut self) -> ObjectId {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// The identifier the next [`Self::allocate`] returns; persisted so that none is reused.
    #[must_use]
    pub fn next_id(&self) -> ObjectId {
        self.next_id
    }

    /// Makes sure no identifier below `next` is given out again.
    pub fn reserve_ids_below(&mut self, next: ObjectId) {
        self.next_id = self.next_id.max(next);
    }

    /// Grows with each applied change set.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// All objects by identifier.
    pub fn objects(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values()
    }

    /// All objects, each behind those it depends on.
    #[must_use]
    pub fn in_order(&self) -> Vec<Arc<Object>> {
        let mut order = Vec::with_capacity(self.objects.len());
        let mut seen = BTreeSet::new();
        let mut stack: Vec<(ObjectId, bool)> =
            self.objects.keys().rev().map(|id| (*id, false)).collect();
        while let Some((id, ready)) = stack.pop() {
            let Some(object) = self.objects.get(&id) else { continue };
            if ready {
                order.push(Arc::clone(object));
            } else if seen.insert(id) {
                stack.push((id, true));
                stack.extend(object.depends_on.iter().map(|needed| (*needed, false)));
            }
        }
        order
    }

    /// All objects of one kind by identifier.
    pub fn objects_of(&self, kind: ObjectKind) -> impl Iterator<Item = &Arc<Object>> {
        self.objects.values().filter(move |o| o.kind() == kind)
    }

    /// The object with that identifier.
    #[must_use]
    pub fn get(&self, id: ObjectId) -> Option<&Arc<Object>> {
        self.objects.get(&id)
    }

    /// The schema of that name.
    ///
    /// # Errors
    /// [`Error::SchemaNotFound`].
    pub fn schema(&self, name: &str) -> Result<&Arc<Object>> {
        self.find(0, name).ok_or_else(|| Error::SchemaNotFound(name.to_owned()))
    }

    /// The object of that name in that schema.
    #[must_use]
    pub fn find(&self, schema: ObjectId, name: &str) -> Option<&Arc<Object>> {
        self.names.get(&(schema, name.to_owned())).and_then(|id| self.objects.get(id))
    }

    /// Resolves `[schema.]name`; without a schema the first hit on `search_path` wins.
    ///
    /// # Errors
    /// [`Error::SchemaNotFound`] for an unknown explicit schema, else [`Error::NotFound`] with the
    /// nearest name.
    pub fn resolve(
        &self,
        schema: Option<&str>,
        name: &str,
        search_path: &[String],
    ) -> Result<&Arc<Object>> {
        let found = match schema {
            Some(schema) => self.find(self.schema(schema)?.id, name),
            None => search_path
                .iter()
                .filter_map(|s| self.find(0, s))
                .find_map(|s| self.find(s.id, name)),
        };
        found.ok_or_else(|| Error::NotFound {
            kind: None,
            name: schema.map_or_else(|| name.to_owned(), |s| format!("{s}.{name}")),
            nearest: self.nearest(name),
        })
    }

    /// `schema.name`, or `name` alone for schemas and objects of `public`.
    #[must_use]
    pub fn qualified_name(&self, object: &Object) -> String {
        match self.objects.get(&object.schema) {
            Some(schema) if schema.id != PUBLIC_OID => format!("{}.{}", schema.name, object.name),
            _ => object.name.clone(),
        }
    }

    /// Kind and qualified name, such as `view delays.clean`.
    #[must_use]
    pub fn describe(&self, object: &Object) -> String {
        format!("{} {}", object.kind().words(), self.qualified_name(object))
    }

    /// Objects that need `id` directly.
    pub fn dependents(&self, id: ObjectId) -> impl Iterator<Item = &Arc<Object>> {
        self.dependents.get(&id).into_iter().flatten().filter_map(|d| self.objects.get(d))
    }

    /// What dropping `ids` drops, dependents first; a pipeline takes its schema and steps along.
    ///
    /// # Errors
    /// [`Error::Dependents`] when others need them and `cascade` is not set; [`Error::System`].
    pub fn plan_drop(&self, ids: &[ObjectId], cascade: bool) -> Result<Vec<ObjectId>> {
        let mut owned = BTreeSet::new();
        for &id in ids {
            self.collect_owned(id, &mut owned);
        }
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for &id in &owned {
            self.collect_dependents(id, &mut seen, &mut order);
        }
        let foreign: Vec<ObjectId> = order.iter().copied().filter(|d| !owned.contains(d)).collect();
        if let Some(system) = order.iter().find(|id| **id < FIRST_USER_OID) {
            let name = self.objects.get(system).map_or_else(String::new, |o| o.name.clone());
            return Err(Error::System(name));
        }
        if !foreign.is_empty() && !cascade {
            let first = self.objects[&ids[0]].as_ref();
            return Err(Error::Dependents {
                kind: first.kind(),
                name: self.qualified_name(first),
                dependents: self.describe_dependents(&foreign, &seen),
            });
        }
        Ok(order)
    }

    /// Applies the changes of one epoch.
    pub fn apply(&mut self, set: &ChangeSet) {
        for change in &set.changes {
            match change {
                Change::Create(object) | Change::Replace(object) => {
                    self.remove(object.id);
                    self.put(object.clone());
                }
                Change::Drop(id) => self.remove(*id),
            }
        }
        self.version += 1;
    }

    /// All user objects as one change set, for a checkpoint.
    #[must_use]
    pub fn snapshot(&self) -> ChangeSet {
        ChangeSet {
            changes: self.objects.values().map(|o| Change::Create(o.as_ref().clone())).collect(),
        }
    }

    /// The existing relation name closest to `name`, if any is close.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<String> {
        let all = self.objects.values().filter(|o| o.kind() != ObjectKind::Schema);
        let best = all.map(|o| (distance(&o.name, name), o)).min_by_key(|(d, o)| (*d, o.id))?;
        (best.0 <= name.chars().count().div_ceil(3)).then(|| self.qualified_name(best.1))
    }

    fn put(&mut self, object: Object) {
        self.next_id = self.next_id.max(object.id + 1);
        self.names.insert((object.schema, object.name.clone()), object.id);
        for &needed in &object.depends_on {
            self.dependents.entry(needed).or_default().insert(object.id);
        }
        self.objects.insert(object.id, Arc::new(object));
    }

    fn remove(&mut self, id: ObjectId) {
        let Some(object) = self.objects.remove(&id) else { return };
        self.names.remove(&(object.schema, object.name.clone()));
        for needed in &object.depends_on {
            if let Some(set) = self.dependents.get_mut(needed) {
                set.remove(&id);
            }
        }
    }

    fn collect_owned(&self, id: ObjectId, owned: &mut BTreeSet<ObjectId>) {
        if !owned.insert(id) {
            return;
        }
        if let Some(Detail::Pipeline { steps_schema, .. }) =
            self.objects.get(&id).map(|o| &o.detail)
        {
            self.collect_owned(*steps_schema, owned);
            for step in self.objects.values().filter(|o| o.schema == *steps_schema) {
                owned.insert(step.id);
            }
        }
    }

    fn collect_dependents(
        &self,
        id: ObjectId,
        seen: &mut BTreeSet<ObjectId>,
        order: &mut Vec<ObjectId>,
    ) {
        if !seen.insert(id) {
            return;
        }
        let direct: Vec<ObjectId> = self.dependents(id).map(|o| o.id).collect();
        let members = self.objects.values().filter(|o| o.schema == id && id != 0).map(|o| o.id);
        for next in direct.into_iter().chain(members) {
            self.collect_dependents(next, seen, order);
        }
        order.push(id);
    }

    /// What `foreign` objects need of what is `dropped`.
    fn describe_dependents(
        &self,
        foreign: &[ObjectId],
        dropped: &BTreeSet<ObjectId>,
    ) -> Vec<String> {
        let line = |id: &ObjectId| {
            let object = &self.objects[id];
            let owner = std::iter::once(&object.schema).filter(|s| **s >= FIRST_USER_OID);
            let needs = object.depends_on.iter().chain(owner).filter(|d| dropped.contains(d));
            let needs = needs.filter_map(|d| self.objects.get(d));
            needs
                .map(|n| format!("{} depends on {}", self.describe(object), self.describe(n)))
                .collect::<Vec<_>>()
        };
        foreign.iter().rev().flat_map(line).collect()
    }
}

/// Levenshtein distance in characters, for hints.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
