//! `CREATE` of schemas, tables, sources, views, materialized views and sinks; `COMMENT ON`.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use levada_catalog::object::{FIRST_USER_OID, PUBLIC_OID};
use levada_catalog::{Catalog, Change, Column, Detail, Object, ObjectId, ObjectKind};
use levada_connectors::registry::sink_folder;
use levada_planner::bind::Binder;
use levada_planner::delta_plan::DeltaPlan;
use levada_planner::explain::CLOCK_MOVES;
use levada_planner::lineage::Lineage;
use levada_planner::statement::{
    ColumnName, Comment, Connector, CreateMaterializedView, CreateSchema, CreateSink, CreateSource,
    CreateView, IfExists, Incremental, Name, Opt, Parsed, QueryText,
};

use super::transaction::Stage;
use super::{Notice, Outcome, Session, lineage};
use crate::definition::{BoundView, bind_view, is_storable};
use crate::emit::open_sink;
use crate::error::{Error, Result};
use crate::ingest::open_source;

/// How long CREATE SOURCE waits for what the source holds already.
const FIRST_LOAD: Duration = Duration::from_secs(1);

/// Where a new object goes.
pub(super) struct Place {
    pub(super) schema: ObjectId,
    pub(super) name: String,
}

impl Session {
    pub(super) async fn create_schema(&mut self, s: &CreateSchema) -> Result<Outcome> {
        let mut stage = self.stage()?;
        if stage.catalog.schema(&s.name.name).is_ok() {
            if s.if_exists == IfExists::Fail {
                let message = format!("schema \"{}\" already exists", s.name.name);
                return Err(Error::statement("42P06", message));
            }
            self.skip("schema", &s.name.name);
        } else {
            let place = Place { schema: 0, name: s.name.name.clone() };
            let detail = Detail::Schema { pipeline: None };
            let object = self.object(&mut stage, place, s.to_string(), Vec::new(), detail);
            stage.create(object);
            self.put(stage).await?;
        }
        Ok(Outcome::Done("CREATE SCHEMA".to_owned()))
    }

    /// `CREATE TABLE`, with `AS` or with columns.
    pub(super) async fn create_table(
        &mut self,
        table: &ast::CreateTable,
        parsed: &Parsed,
        values: Vec<ScalarValue>,
    ) -> Result<Outcome> {
        if table.temporary {
            return Err(Error::statement("0A000", "temporary tables are not supported yet"));
        }
        let name = name_of(&table.name)?;
        let if_exists = match (table.if_not_exists, table.or_replace) {
            (true, _) => IfExists::Skip,
            (false, true) => return Err(Error::statement("42601", "a table cannot be replaced")),
            (false, false) => IfExists::Fail,
        };
        let rows = match &table.query {
            None => None,
            Some(query) => {
                let query = ast::Statement::Query(query.clone());
                Some(self.collect(&query, values).await?)
            }
        };
        let mut stage = self.stage()?;
        let tag = if rows.is_some() { "CREATE TABLE AS" } else { "CREATE TABLE" };
        let Some(place) = self.place(&mut stage, &name, if_exists, ObjectKind::Table)? else {
            return Ok(Outcome::Done(tag.to_owned()));
        };
        let (columns, primary_key) = match &rows {
            Some((schema, _)) => {
                let columns: Vec<Column> =
                    schema.fields().iter().map(|f| f.as_ref().into()).collect();
                (columns, Vec::new())
            }
            None => self.table_columns(&stage, table)?,
        };
        refuse_unstorable(&columns)?;
        let detail = Detail::Table { columns, primary_key };
        let object = self.object(&mut stage, place, parsed.text.clone(), Vec::new(), detail);
        let schema = object.arrow_schema().ok_or_else(|| Error::unfit("table"))?;
        stage.create(object.clone());
        let Some((_, batches)) = rows else {
            self.put(stage).await?;
            return Ok(Outcome::Done(tag.to_owned()));
        };
        let mut count = 0;
        for batch in batches.iter().filter(|b| b.num_rows() > 0) {
            count += batch.num_rows();
            let rows =
                arrow::array::RecordBatch::try_new(Arc::clone(&schema), batch.columns().to_vec())?;
            stage.write(object.id, levada_storage::delta::DeltaBatch::inserts(rows));
        }
        self.put(stage).await?;
        Ok(Outcome::Done(format!("SELECT {count}")))
    }

    fn table_columns(
        &self,
        stage: &Stage,
        table: &ast::CreateTable,
    ) -> Result<(Vec<Column>, Vec<String>)> {
        let (mut columns, mut key) = self.columns(stage, &table.columns)?;
        for constraint in &table.constraints {
            match constraint {
                ast::TableConstraint::PrimaryKey(primary) => {
                    key = primary.columns.iter().map(|c| c.column.expr.to_string()).collect();
                    for name in &mut key {
                        *name = unquoted(name);
                    }
                }
                other => {
                    let text = other.to_string();
                    let word = text.split([' ', '(']).next().unwrap_or_default().to_owned();
                    let message = format!("{word} constraints are not supported yet");
                    return Err(Error::statement("0A000", message));
                }
            }
        }
        for name in &key {
            let column = columns.iter_mut().find(|c| &c.name == name).ok_or_else(|| {
                Error::statement("42703", format!("column \"{name}\" named in key does not exist"))
            })?;
            column.nullable = false;
        }
        Ok((columns, key))
    }

    /// Declared columns, and those declared as the key.
    fn columns(
        &self,
        stage: &Stage,
        defs: &[ast::ColumnDef],
    ) -> Result<(Vec<Column>, Vec<String>)> {
        let shared = &self.inner.shared;
        let path = self.settings.search_path(&self.options.user);
        let binder = Binder::new(&shared.state, &stage.catalog, &shared.system, path);
        let mut columns: Vec<Column> = Vec::with_capacity(defs.len());
        let mut key = Vec::new();
        for def in defs {
            let name = ident(&def.name);
            if columns.iter().any(|c| c.name == name) {
                let message = format!("column \"{name}\" specified more than once");
                return Err(Error::statement("42701", message));
            }
            let data_type = binder.data_type(&def.data_type)?;
            let mut column =
                Column { name: name.clone(), data_type, nullable: true, default: None };
            for option in &def.options {
                match &option.option {
                    ast::ColumnOption::Null => {}
                    ast::ColumnOption::NotNull => column.nullable = false,
                    ast::ColumnOption::Default(expr) => column.default = Some(expr.to_string()),
                    ast::ColumnOption::PrimaryKey(_) => {
                        column.nullable = false;
                        key.push(name.clone());
                    }
                    other => {
                        let text = other.to_string();
                        let word = text.split([' ', '(']).next().unwrap_or_default().to_owned();
                        let message = format!("column constraint {word} is not supported yet");
                        return Err(Error::statement("0A000", message));
                    }
                }
            }
            columns.push(column);
        }
        Ok((columns, key))
    }

    pub(super) async fn create_source(
        &mut self,
        s: &CreateSource,
        parsed: &Parsed,
    ) -> Result<Outcome> {
        let mut stage = self.stage()?;
        let Some(place) = self.place(&mut stage, &s.name, s.if_exists, ObjectKind::Source)? else {
            return Ok(Outcome::Done("CREATE SOURCE".to_owned()));
        };
        if s.on_error.is_some_and(|e| e != levada_planner::statement::OnRecordError::Quarantine) {
            return Err(Error::statement(
                "0A000",
                "ON ERROR other than QUARANTINE is not supported yet",
            ));
        }
        let (columns, _) = match &s.columns {
            None => (Vec::new(), Vec::new()),
            Some(defs) => self.columns(&stage, defs)?,
        };
        let format = s.format.as_ref();
        let primary_key: Vec<String> = s.primary_key.iter().map(|c| c.name.clone()).collect();
        if !primary_key.is_empty() {
            return Err(Error::statement("0A000", "PRIMARY KEY of a source is not supported yet")
                .with_hint("An append-only source has no key; put one on a materialized view."));
        }
        let mut detail = Detail::Source {
            columns,
            primary_key,
            connector: s.connector.name.clone(),
            arguments: absolute(&s.connector),
            options: pairs(&s.connector.options),
            format: format.map(|f| f.name.clone()).unwrap_or_default(),
            format_options: format.map(|f| pairs(&f.options)).unwrap_or_default(),
        };
        let text = parsed.text.clone();
        let mut object = self.object(&mut stage, place, text, Vec::new(), detail.clone());
        let source = open_source(&object)?;
        source.check().await?;
        if s.columns.is_none() {
            let shape = source.discover().await?;
            if let Detail::Source { columns, .. } = &mut detail {
                *columns = shape.schema.fields().iter().map(|f| f.as_ref().into()).collect();
                columns.iter_mut().for_each(|c| c.nullable = true);
            }
            object.detail = detail;
        }
        refuse_unstorable(object.columns().unwrap_or_default())?;
        let (id, name) = (object.id, object.name.clone());
        stage.create(object);
        self.put(stage).await?;
        if self.open.is_none() && source.rate().is_none() {
            self.await_first_load(id, &name).await;
        }
        Ok(Outcome::Done("CREATE SOURCE".to_owned()))
    }

    /// Waits a moment for what a new source holds already, so that the next statement sees it; a source that
    /// takes longer is left to itself, with a NOTICE.
    async fn await_first_load(&mut self, id: u32, name: &str) {
        let Some(status) = self.inner.shared.source(id) else { return };
        let clock = Arc::clone(&self.inner.shared.clock);
        tokio::select! {
            () = status.wait_until_drained() => {}
            () = clock.sleep(FIRST_LOAD) => self.notices.push(Notice {
                severity: "NOTICE",
                sqlstate: "00000",
                message: format!("source \"{name}\" is still loading"),
                detail: None,
                hint: Some(format!("WAIT FOR {} returns when it has caught up.", super::copy::quoted(name))),
            }),
        }
    }

    pub(super) async fn create_view(&mut self, s: &CreateView) -> Result<Outcome> {
        let mut stage = self.stage()?;
        if let Some(place) = self.place(&mut stage, &s.name, s.if_exists, ObjectKind::View)? {
            let request = ViewRequest {
                query: &s.query,
                names: names(&s.columns),
                key: &[],
                strict: false,
                search_path: self.settings.search_path(&self.options.user),
                definition: s.to_string(),
            };
            self.add_view(&mut stage, place, request)?;
            self.put(stage).await?;
        }
        Ok(Outcome::Done("CREATE VIEW".to_owned()))
    }

    pub(super) async fn create_materialized_view(
        &mut self,
        s: &CreateMaterializedView,
    ) -> Result<Outcome> {
        let mut stage = self.stage()?;
        let request = ViewRequest {
            query: &s.query,
            names: names(&s.columns),
            key: &s.key,
            strict: s.incremental == Incremental::Strict,
            search_path: self.settings.search_path(&self.options.user),
            definition: s.to_string(),
        };
        if let Some(existing) = self.revisable(&stage, s)?
            && self.revise(&mut stage, &existing, &request)?
        {
            self.put(stage).await?;
            return Ok(Outcome::Done("CREATE MATERIALIZED VIEW".to_owned()));
        }
        let kind = ObjectKind::MaterializedView;
        if let Some(place) = self.place(&mut stage, &s.name, s.if_exists, kind)? {
            self.add_materialized_view(&mut stage, place, request)?;
            self.put(stage).await?;
        }
        Ok(Outcome::Done("CREATE MATERIALIZED VIEW".to_owned()))
    }

    /// Adds a plain view.
    pub(super) fn add_view(
        &mut self,
        stage: &mut Stage,
        place: Place,
        request: ViewRequest<'_>,
    ) -> Result<()> {
        let path = request.search_path;
        let bound = self.bound(&stage.catalog, &request.query.query, &request.names, &path)?;
        let lineage = bound.lineage()?;
        let query = request.query.text.clone();
        let detail = Detail::View { columns: bound.columns, query, search_path: path };
        let object = self.object(stage, place, request.definition, bound.depends_on, detail);
        stage.create(object.clone());
        lineage::write(stage, &object, Some(&lineage))
    }

    /// Adds a materialized view with its plan.
    pub(super) fn add_materialized_view(
        &mut self,
        stage: &mut Stage,
        place: Place,
        request: ViewRequest<'_>,
    ) -> Result<()> {
        let planned = self.planned(stage, &place.name, &request)?;
        let detail = planned.detail(&request, 0);
        let definition = request.definition;
        let object = self.object(stage, place, definition, planned.bound.depends_on, detail);
        stage.create(object.clone());
        stage.plan(object.id, planned.plan);
        lineage::write(stage, &object, Some(&planned.lineage))
    }

    /// Plans a materialized view.
    pub(super) fn planned(
        &mut self,
        stage: &Stage,
        name: &str,
        request: &ViewRequest<'_>,
    ) -> Result<PlannedView> {
        let bound =
            self.bound(&stage.catalog, &request.query.query, &request.names, &request.search_path)?;
        refuse_unstorable(&bound.columns)?;
        let mut key = Vec::with_capacity(request.key.len());
        for name in request.key {
            let position = bound.columns.iter().position(|c| c.name == name.name);
            key.push(position.ok_or_else(|| {
                Error::from(levada_planner::Error::UnknownColumn {
                    name: name.name.clone(),
                    position: name.position,
                    nearest: nearest(&name.name, &bound.columns),
                })
            })?);
        }
        let plan = self.delta_plan(stage, &bound)?;
        let reasons = plan.recompute_reasons();
        if request.strict && !reasons.is_empty() {
            let message = format!("\"{name}\" cannot be maintained incrementally");
            let detail = format!("Without a delta rule: {}.", reasons.join(", "));
            return Err(Error::statement("0A000", message)
                .with_detail(detail)
                .with_hint("Leave INCREMENTAL STRICT out to have that part recomputed."));
        }
        let moves = plan.moves_all_rows();
        if request.strict && moves {
            let message = format!("\"{name}\" cannot be maintained incrementally");
            return Err(Error::statement("0A000", message)
                .with_detail(format!("In it, {CLOCK_MOVES}."))
                .with_hint(
                    "Compare a column with now() and an interval in WHERE, or leave INCREMENTAL \
                     STRICT out.",
                ));
        }
        if moves {
            self.notice("00000", format!("in \"{name}\", {CLOCK_MOVES}"));
        }
        for reason in reasons {
            self.notice(
                "00000",
                format!("\"{name}\" is recomputed where its input changes: {reason}"),
            );
        }
        let unique = &plan.nodes[plan.root].properties.unique_keys;
        if !key.is_empty() && !unique.iter().any(|u| u.iter().all(|c| key.contains(c))) {
            let names: Vec<&str> = request.key.iter().map(|k| k.name.as_str()).collect();
            let message = format!("KEY ({}) of \"{name}\" is not proven unique", names.join(", "));
            return Err(Error::statement("0A000", message)
                .with_detail("A key follows from GROUP BY, DISTINCT or the keys of what is read.")
                .with_hint("Group by the columns of the key, or leave KEY out."));
        }
        let lineage = bound.lineage()?;
        Ok(PlannedView { bound, plan, lineage })
    }

    /// The delta plan of a bound view as the stage will have it.
    pub(super) fn delta_plan(&self, stage: &Stage, bound: &BoundView) -> Result<DeltaPlan> {
        let snapshot = self.inner.shared.snapshot();
        let insert_only = |id: u32| match stage.is_append(id) {
            Some(append) => append,
            None => snapshot.relation(id).is_some_and(|r| r.append),
        };
        bound.delta_plan(&self.inner.shared.state, &insert_only)
    }

    pub(super) fn bound(
        &self,
        catalog: &Catalog,
        query: &ast::Query,
        names: &[String],
        search_path: &[String],
    ) -> Result<BoundView> {
        let shared = &self.inner.shared;
        let binder = Binder::new(&shared.state, catalog, &shared.system, search_path.to_vec());
        bind_view(&binder, query, names)
    }

    pub(super) async fn create_sink(&mut self, s: &CreateSink, parsed: &Parsed) -> Result<Outcome> {
        let mut stage = self.stage()?;
        if let Some(place) = self.place(&mut stage, &s.name, s.if_exists, ObjectKind::Sink)? {
            let path = self.settings.search_path(&self.options.user);
            self.add_sink(&mut stage, place, s, &path, parsed.text.clone()).await?;
            self.put(stage).await?;
        }
        Ok(Outcome::Done("CREATE SINK".to_owned()))
    }

    /// Adds a sink.
    pub(super) async fn add_sink(
        &mut self,
        stage: &mut Stage,
        place: Place,
        s: &CreateSink,
        search_path: &[String],
        definition: String,
    ) -> Result<()> {
        let from = stage.catalog.resolve(s.from.schema.as_deref(), &s.from.name, search_path);
        let from = Arc::clone(
            from.map_err(|e| Error::from(levada_planner::Error::from(e).at(s.from.position)))?,
        );
        if !from.is_stored() {
            let message = format!("cannot follow {} \"{}\"", from.kind().words(), from.name);
            return Err(Error::statement("42809", message)
                .with_hint("A sink follows a table, a source or a materialized view."));
        }
        let format = s.format.as_ref();
        let mut detail = Detail::Sink {
            from: from.id,
            connector: s.connector.name.clone(),
            arguments: absolute(&s.connector),
            options: pairs(&s.connector.options),
            format: format.map(|f| f.name.clone()).unwrap_or_default(),
            format_options: format.map(|f| pairs(&f.options)).unwrap_or_default(),
            identity: self.inner.shared.mint(),
            displaces: None,
        };
        let mut object = self.object(stage, place, definition, vec![from.id], detail.clone());
        let schema = from.arrow_schema().ok_or_else(|| Error::unfit("relation"))?;
        let sink = open_sink(&object, stage.catalog.qualified_name(&object), &schema)?;
        self.refuse_shared_folder(stage, &object)?;
        let found = sink.check(&self.dropped_sinks(stage)).await?;
        if let Detail::Sink { displaces, .. } = &mut detail {
            *displaces = found;
        }
        object.detail = detail;
        stage.create(object.clone());
        lineage::write(stage, &object, None)
    }

    /// Refuses a sink into the folder of another sink, or of the database.
    fn refuse_shared_folder(&self, stage: &Stage, sink: &Object) -> Result<()> {
        let folder_of = |object: &Object| match &object.detail {
            Detail::Sink { arguments, .. } => sink_folder(arguments).ok().flatten(),
            _ => None,
        };
        let Some(folder) = folder_of(sink) else { return Ok(()) };
        let hint = "Give each sink a folder of its own.";
        let mut others = stage.catalog.objects_of(ObjectKind::Sink);
        if let Some(other) = others.find(|o| folder_of(o).as_ref() == Some(&folder)) {
            let name = stage.catalog.qualified_name(other);
            let message =
                format!("folder \"{}\" is the target of sink \"{name}\"", folder.display());
            return Err(Error::statement("55006", message).with_hint(hint));
        }
        let root = std::path::PathBuf::from(self.inner.shared.blob.location(""));
        if root.is_absolute() && root.canonicalize().is_ok_and(|root| folder.starts_with(root)) {
            let message = format!(
                "folder \"{}\" lies in the data directory of the database",
                folder.display()
            );
            return Err(Error::statement("55006", message).with_hint(hint));
        }
        Ok(())
    }

    /// The sinks that this transaction drops, by what their targets know them by.
    fn dropped_sinks(&self, stage: &Stage) -> Vec<String> {
        let snapshot = self.inner.shared.snapshot();
        let sinks = snapshot.catalog.objects_of(ObjectKind::Sink);
        let gone = sinks.filter(|sink| stage.catalog.get(sink.id).is_none());
        let identity = |sink: &Arc<Object>| match &sink.detail {
            Detail::Sink { identity, .. } => Some(identity.clone()),
            _ => None,
        };
        gone.filter_map(identity).collect()
    }

    pub(super) async fn comment(&mut self, s: &Comment) -> Result<Outcome> {
        let mut stage = self.stage()?;
        let path = self.settings.search_path(&self.options.user);
        let object = if s.kind == ObjectKind::Schema {
            stage.catalog.schema(&s.name.name)?
        } else {
            stage.catalog.resolve(s.name.schema.as_deref(), &s.name.name, &path)?
        };
        let mut object = object.as_ref().clone();
        object.comment.clone_from(&s.text);
        stage.change(Change::Replace(object));
        self.put(stage).await?;
        Ok(Outcome::Done("COMMENT".to_owned()))
    }

    /// Where a new object called `name` goes; [`None`] when it exists and is to be left alone.
    pub(super) fn place(
        &mut self,
        stage: &mut Stage,
        name: &Name,
        if_exists: IfExists,
        kind: ObjectKind,
    ) -> Result<Option<Place>> {
        let path = self.settings.search_path(&self.options.user);
        let schema = match &name.schema {
            Some(schema) => stage.catalog.schema(schema)?.id,
            None => {
                let first = path.iter().find_map(|s| stage.catalog.schema(s).ok());
                first.map(|s| s.id).ok_or_else(|| {
                    Error::statement("3F000", "no schema has been selected to create in")
                })?
            }
        };
        if schema < FIRST_USER_OID && schema != PUBLIC_OID {
            let message =
                format!("permission denied to create \"{}\" in a system schema", name.name);
            return Err(Error::statement("42501", message));
        }
        if let Some(existing) = stage.catalog.find(schema, &name.name).map(Arc::clone) {
            match if_exists {
                IfExists::Skip => {
                    self.skip("relation", &name.name);
                    return Ok(None);
                }
                IfExists::Fail => {
                    let state = if kind == ObjectKind::Pipeline { "42710" } else { "42P07" };
                    let message = format!("{} \"{}\" already exists", word(&existing), name.name);
                    return Err(Error::statement(state, message));
                }
                IfExists::Replace => {
                    if existing.kind() != kind {
                        return Err(levada_catalog::Error::WrongKind {
                            name: name.name.clone(),
                            wanted: kind,
                            found: existing.kind(),
                        }
                        .into());
                    }
                    self.stage_drop(stage, &[existing.id], false)?;
                }
            }
        }
        Ok(Some(Place { schema, name: name.name.clone() }))
    }

    pub(super) fn object(
        &self,
        stage: &mut Stage,
        place: Place,
        definition: String,
        depends_on: Vec<ObjectId>,
        detail: Detail,
    ) -> Object {
        Object {
            id: stage.catalog.allocate(),
            name: place.name,
            schema: place.schema,
            owner: self.options.user.clone(),
            comment: None,
            definition,
            depends_on,
            detail,
        }
    }

    pub(super) fn skip(&mut self, word: &str, name: &str) {
        self.notice("42P07", format!("{word} \"{name}\" already exists, skipping"));
    }
}

/// A materialized view that can be maintained.
pub(super) struct PlannedView {
    pub(super) bound: BoundView,
    pub(super) plan: DeltaPlan,
    pub(super) lineage: Lineage,
}

impl PlannedView {
    /// What the catalog keeps of it.
    pub(super) fn detail(&self, request: &ViewRequest<'_>, revision: u32) -> Detail {
        Detail::MaterializedView {
            columns: self.bound.columns.clone(),
            key: request.key.iter().map(|k| k.name.clone()).collect(),
            query: request.query.text.clone(),
            search_path: request.search_path.clone(),
            revision,
        }
    }
}

/// What is asked of a new view.
pub(super) struct ViewRequest<'a> {
    pub(super) query: &'a QueryText,
    pub(super) names: Vec<String>,
    pub(super) key: &'a [ColumnName],
    pub(super) strict: bool,
    pub(super) search_path: Vec<String>,
    pub(super) definition: String,
}

fn word(object: &Object) -> &'static str {
    match object.kind() {
        ObjectKind::Pipeline => "pipeline",
        ObjectKind::Sink => "sink",
        _ => "relation",
    }
}

fn names(columns: &[ColumnName]) -> Vec<String> {
    columns.iter().map(|c| c.name.clone()).collect()
}

fn nearest(name: &str, columns: &[Column]) -> Option<String> {
    let known: BTreeSet<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    let best = known.into_iter().min_by_key(|k| levada_catalog::state::distance(k, name))?;
    Some(best.to_owned())
}

fn pairs(options: &[Opt]) -> Vec<(String, String)> {
    options.iter().map(|o| (o.key.clone(), o.text())).collect()
}

/// Positional arguments with relative paths made absolute: they must mean the same after a restart.
fn absolute(connector: &Connector) -> Vec<String> {
    let fixed = |argument: &String| {
        if connector.name != "files" || argument.contains("://") {
            return argument.clone();
        }
        let path = std::path::absolute(argument);
        path.ok().and_then(|p| p.to_str().map(str::to_owned)).unwrap_or_else(|| argument.clone())
    };
    connector.arguments.iter().map(fixed).collect()
}

fn refuse_unstorable(columns: &[Column]) -> Result<()> {
    match columns.iter().find(|c| !is_storable(&c.data_type)) {
        None => Ok(()),
        Some(column) => Err(Error::statement(
            "0A000",
            format!("column \"{}\" of type {} cannot be stored yet", column.name, column.data_type),
        )
        .with_hint("Cast it to another type.")),
    }
}

/// The name in a syntax tree.
pub(super) fn name_of(name: &ast::ObjectName) -> Result<Name> {
    let parts: Vec<String> = name.0.iter().filter_map(|p| p.as_ident()).map(ident).collect();
    match parts.as_slice() {
        [name] => Ok(Name::new(None, name)),
        [.., schema, name] => Ok(Name::new(Some(schema), name)),
        [] => Err(Error::Internal("an empty name".to_owned())),
    }
}

fn ident(ident: &ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

fn unquoted(text: &str) -> String {
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => text.to_lowercase(),
    }
}
