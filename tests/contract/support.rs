//! What the suites have in common.

use std::{cell::RefCell, fmt, rc::Rc};

use futures_util::{FutureExt, future::LocalBoxFuture};
use helios_infrastructure::{
    Error, Result,
    adapters::{EnvironmentSource, LocalWorkerAdapter, WorkerAdapter},
    console::Console,
    model::{JobSpec, JobStatus, JsonSpec, WorkerJob, WorkerResult},
    orchestrator::LocalSpawner,
    process::Environment,
};
use serde_json::{Value, json};

/// A job of chunks numbered from 1.
pub fn job(chunks: u32) -> Rc<JobSpec> {
    let chunk = |id| json!({ "id": id, "command": format!("render {id}"), "outputFile": format!("{id}.mp4") });
    let chunks: Value = (1..=chunks).map(chunk).collect();
    let text = json!({ "id": "own", "chunks": chunks }).to_string();
    Rc::new(JsonSpec::parse(text.into()).unwrap())
}

/// A record with the given fields.
pub fn record(fields: &Value) -> JobStatus {
    JobStatus::parse(&fields.to_string()).unwrap()
}

/// A record as the JSON text of its file.
pub fn text(record: &JobStatus) -> String {
    let mut out = Vec::new();
    record.document().unwrap().write_to(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The fields of a record.
pub fn fields(record: &JobStatus) -> Value {
    serde_json::from_str(&text(record)).unwrap()
}

/// A console that nobody looks at.
#[derive(Debug)]
pub struct Silence;

impl Console for Silence {
    fn log(&self, _text: fmt::Arguments<'_>) {}
    fn warn(&self, _text: &str) {}
    fn warn_with(&self, _text: &str, _message: &str) {}
    fn error(&self, _text: &str, _message: &str) {}
    fn failure(&self, _text: &str, _error: &Error) {}
}

/// Runs background work on the thread of the test.
#[derive(Debug)]
pub struct Spawner;

impl LocalSpawner for Spawner {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        tokio::task::spawn_local(work);
    }
}

/// The environment of the test, with some variables of its own.
#[derive(Debug, Default)]
pub struct OwnEnvironment(pub Vec<(String, String)>);

impl EnvironmentSource for OwnEnvironment {
    fn snapshot(&self) -> Environment {
        let mut environment = Environment(std::env::vars_os().collect());
        let changes = self.0.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
        environment.apply(changes.collect());
        environment
    }
}

/// An adapter that runs commands on this machine.
pub fn local_adapter() -> LocalWorkerAdapter {
    LocalWorkerAdapter::new(std::sync::Arc::default(), Rc::new(OwnEnvironment::default()))
}

type Script = Box<dyn Fn(u32, WorkerJob) -> LocalBoxFuture<'static, Result<WorkerResult>>>;

/// An adapter that does as its script says with the chunk of the given number.
pub struct Scripted {
    script: Script,
    started: RefCell<Vec<u32>>,
}

impl Scripted {
    /// An adapter with a script.
    pub fn new<F: Future<Output = Result<WorkerResult>> + 'static>(
        script: impl Fn(u32, WorkerJob) -> F + 'static,
    ) -> Rc<Self> {
        let script: Script = Box::new(move |id, job| script(id, job).boxed_local());
        Rc::new(Self { script, started: RefCell::default() })
    }

    /// The chunks that were started, in order.
    pub fn started(&self) -> Vec<u32> {
        self.started.borrow().clone()
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl WorkerAdapter for Scripted {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        let id = job.chunk.as_ref().unwrap().id.to_string().parse().unwrap();
        self.started.borrow_mut().push(id);
        (self.script)(id, job)
    }
}
