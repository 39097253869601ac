//! `CREATE PIPELINE`: all steps and sinks of a pipeline appear at one epoch, or none.

use levada_catalog::{Change, Detail, ObjectKind};
use levada_planner::statement::{
    CreatePipeline, CreateSink, IfExists, Name, Parsed, QueryStep, Step,
};

use super::definition::{Place, ViewRequest};
use super::transaction::Stage;
use super::{Outcome, Session};
use crate::error::{Error, Result};

impl Session {
    /// `CREATE [OR REPLACE] PIPELINE p (...)`.
    pub(super) async fn create_pipeline(
        &mut self,
        s: &CreatePipeline,
        parsed: &Parsed,
    ) -> Result<Outcome> {
        let done = Ok(Outcome::Done("CREATE PIPELINE".to_owned()));
        let mut stage = self.stage()?;
        let name = Name { position: s.name.position, ..Name::new(None, &s.name.name) };
        let kind = ObjectKind::Pipeline;
        let Some(place) = self.place(&mut stage, &name, s.if_exists, kind)? else { return done };
        if stage.catalog.schema(&s.name.name).is_ok() {
            let message = format!("schema \"{}\" already exists", s.name.name);
            return Err(Error::statement("42P06", message)
                .with_hint("The steps of a pipeline live in the schema of its name."));
        }
        let at = Place { schema: 0, name: s.name.name.clone() };
        let detail = Detail::Schema { pipeline: None };
        let text = format!("CREATE SCHEMA {}", s.name.name);
        let schema = self.object(&mut stage, at, text, Vec::new(), detail);
        stage.create(schema.clone());
        let version = match &s.version {
            Some(label) => label.clone(),
            None => version(&parsed.text),
        };
        let detail = Detail::Pipeline { steps_schema: schema.id, version };
        let pipeline = self.object(&mut stage, place, parsed.text.clone(), Vec::new(), detail);
        stage.create(pipeline.clone());
        let mut owned = schema.clone();
        owned.detail = Detail::Schema { pipeline: Some(pipeline.id) };
        stage.change(Change::Replace(owned));
        let mut path = vec![s.name.name.clone()];
        path.extend(self.settings.search_path(&self.options.user));
        for step in &s.steps {
            match step {
                Step::Query(step) => self.add_step(&mut stage, schema.id, step, &path)?,
                Step::Sink(sink) => {
                    self.add_sink_step(&mut stage, schema.id, sink, &path).await?;
                }
                _ => {
                    return Err(Error::statement(
                        "0A000",
                        "this kind of step is not supported yet",
                    ));
                }
            }
        }
        self.put(stage).await?;
        done
    }

    fn add_step(
        &mut self,
        stage: &mut Stage,
        schema: u32,
        step: &QueryStep,
        path: &[String],
    ) -> Result<()> {
        let place = step_place(stage, schema, &step.name.name)?;
        let definition = step.query.text.clone();
        let request = ViewRequest {
            query: &step.query,
            names: Vec::new(),
            key: &step.key,
            strict: false,
            search_path: path.to_vec(),
            definition,
        };
        if step.materialized {
            return self.add_materialized_view(stage, place, request);
        }
        if !step.key.is_empty() {
            let message = format!("step \"{}\" has a KEY but is not MATERIALIZED", step.name.name);
            return Err(Error::statement("0A000", message)
                .with_hint("Write MATERIALIZED before KEY, or leave KEY out."));
        }
        self.add_view(stage, place, request)
    }

    async fn add_sink_step(
        &mut self,
        stage: &mut Stage,
        schema: u32,
        sink: &CreateSink,
        path: &[String],
    ) -> Result<()> {
        let place = step_place(stage, schema, &sink.name.name)?;
        let definition = CreateSink { if_exists: IfExists::Fail, ..sink.clone() }.to_string();
        self.add_sink(stage, place, sink, path, definition).await
    }
}

fn step_place(stage: &Stage, schema: u32, name: &str) -> Result<Place> {
    if stage.catalog.find(schema, name).is_some() {
        let message = format!("step \"{name}\" specified more than once");
        return Err(Error::statement("42710", message));
    }
    Ok(Place { schema, name: name.to_owned() })
}

/// A short name of the text: equal texts are the same version.
fn version(text: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for word in text.split_whitespace() {
        for byte in word.bytes().chain([b' ']) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}
