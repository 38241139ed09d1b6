//! A manager and all that it meets.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use super::{books::Repository, *};
use crate::{
    adapters::{LocalWorkerAdapter, WorkerAdapter},
    console::testing::Recorder,
    model::WorkerJob,
    orchestrator::JobExecutor,
    process,
    storage::Exclusions,
};

/// An adapter whose commands do nothing, or run on this machine.
#[derive(Debug)]
pub(super) struct Adapter {
    world: Rc<World>,
    /// How long a chunk takes.
    pub(super) takes: Cell<Duration>,
    pub(super) active: Cell<usize>,
    pub(super) most: Cell<usize>,
    pub(super) jobs: RefCell<Vec<WorkerJob>>,
    local: Option<LocalWorkerAdapter>,
}

impl Adapter {
    /// The chunks that were run, in order.
    pub(super) fn ran(&self) -> Vec<String> {
        let jobs = self.jobs.borrow();
        jobs.iter().filter_map(|job| Some(job.chunk.as_ref()?.id.to_string())).collect()
    }

    async fn run(&self, job: WorkerJob) -> Result<WorkerResult> {
        let chunk = job.chunk.as_ref().map(|chunk| format!("chunk {}", chunk.id));
        let is_chunk = chunk.is_some();
        let point = chunk.unwrap_or_else(|| "merge".to_owned());
        self.world.pass(point.clone()).await?;
        if let Some(local) = &self.local {
            return local.execute(job).await;
        }
        if is_chunk && !self.takes.get().is_zero() {
            sleep(self.takes.get()).await;
        }
        Ok(WorkerResult { stdout: point.into(), duration_ms: 2.0, ..WorkerResult::default() })
    }
}

impl WorkerAdapter for Adapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.jobs.borrow_mut().push(job.clone());
        self.active.set(self.active.get() + 1);
        self.most.set(self.most.get().max(self.active.get()));
        let cancel = job.cancel.clone();
        async move {
            let done = cancel.run_until_cancelled(self.run(job)).await;
            self.active.set(self.active.get() - 1);
            done.unwrap_or_else(|| Err(process::Error::Aborted.into()))
        }
        .boxed_local()
    }
}

/// A storage that stores nothing, but gives URLs for it.
#[derive(Debug)]
struct Storage(Rc<World>);

impl ArtifactStorage for Storage {
    fn upload_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        local_dir: &'a str,
        _exclusions: &'a Exclusions,
        _cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>> {
        let passed = self.0.pass(format!("upload bundle {job_id} {local_dir}"));
        async move { passed.await.map(|()| "s3://assets".to_owned()) }.boxed_local()
    }

    fn delete_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        self.0.pass(format!("delete bundle {job_id} {url}")).boxed_local()
    }

    fn upload_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        spec: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        let json = spec.json().unwrap();
        let passed = self.0.pass(format!("upload spec {job_id} {json}"));
        async move { passed.await.map(|()| "s3://job.json".to_owned()) }.boxed_local()
    }

    fn delete_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        self.0.pass(format!("delete spec {job_id} {url}")).boxed_local()
    }

    fn download_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
        _target_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        self.0.pass(format!("download bundle {job_id} {url}")).boxed_local()
    }

    fn download_job_spec<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        let passed = self.0.pass(format!("download spec {job_id} {url}"));
        async move { passed.await.map(|()| job(1)) }.boxed_local()
    }

    fn upload_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        chunk: ChunkId,
        _local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        let passed = self.0.pass(format!("upload output {job_id} {chunk}"));
        async move { passed.await.map(|()| "s3://output".to_owned()) }.boxed_local()
    }

    fn download_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
        _local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        self.0.pass(format!("download output {job_id} {url}")).boxed_local()
    }
}

type Script = Box<dyn Fn(Rc<JobSpec>, JobExecutionOptions) -> LocalBoxFuture<'static, Result<()>>>;

/// An executor that does as its script says.
pub(super) struct Scripted(Script);

impl Scripted {
    pub(super) fn new<F: Future<Output = Result<()>> + 'static>(
        script: impl Fn(Rc<JobSpec>, JobExecutionOptions) -> F + 'static,
    ) -> Rc<Self> {
        Rc::new(Self(Box::new(move |job, options| script(job, options).boxed_local())))
    }
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl Executor for Scripted {
    fn execute(
        &self,
        job: Rc<JobSpec>,
        options: JobExecutionOptions,
    ) -> LocalBoxFuture<'_, Result<()>> {
        (self.0)(job, options)
    }
}

#[derive(Debug)]
struct Spawner;

impl LocalSpawner for Spawner {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        spawn_local(work);
    }
}

pub(super) struct Scene {
    pub(super) world: Rc<World>,
    pub(super) console: Rc<Recorder>,
    pub(super) repository: Rc<Repository>,
    pub(super) adapter: Rc<Adapter>,
    pub(super) manager: JobManager,
    /// What jobs are submitted with.
    pub(super) options: JobExecutionOptions,
}

impl Scene {
    /// With our executor on an adapter that does nothing.
    pub(super) fn new() -> Self {
        Self::make(None, None, false)
    }

    /// With a storage, so that jobs are uploaded.
    pub(super) fn uploading() -> Self {
        Self::make(None, None, true)
    }

    /// With an executor of the user's.
    pub(super) fn executed_by(executor: Rc<dyn Executor>) -> Self {
        Self::make(Some(executor), None, false)
    }

    /// With chunks that run on this machine.
    pub(super) fn local(adapter: LocalWorkerAdapter) -> Self {
        Self::make(None, Some(adapter), false)
    }

    fn make(
        executor: Option<Rc<dyn Executor>>,
        local: Option<LocalWorkerAdapter>,
        storage: bool,
    ) -> Self {
        let console: Rc<Recorder> = Rc::default();
        // Processes do not know of paused time.
        let patience = local.as_ref().map(|_| Duration::from_secs(30));
        let world = Rc::new(World::with(patience));
        let repository = Rc::new(Repository::new(&world));
        let adapter = Rc::new(Adapter {
            world: Rc::clone(&world),
            takes: Cell::default(),
            active: Cell::default(),
            most: Cell::default(),
            jobs: RefCell::default(),
            local,
        });
        let executor = executor.unwrap_or_else(|| {
            Rc::new(JobExecutor::new(Rc::clone(&adapter) as _, Rc::clone(&console) as _))
        });
        let storage = storage.then(|| Rc::new(Storage(Rc::clone(&world))) as _);
        let manager = JobManager::new(
            Rc::clone(&repository) as _,
            executor,
            storage,
            Rc::clone(&console) as _,
            Rc::new(Spawner),
            JobManagerOptions::default(),
        );
        let options =
            JobExecutionOptions { job_dir: Some("/jobs/1".to_owned()), ..Default::default() };
        Self { world, console, repository, adapter, manager, options }
    }

    /// Another manager of the same records.
    pub(super) fn another_manager(&self) -> JobManager {
        let adapter = Rc::clone(&self.adapter) as _;
        let executor = JobExecutor::new(adapter, Rc::clone(&self.console) as _);
        JobManager::new(
            Rc::clone(&self.repository) as _,
            Rc::new(executor),
            None,
            Rc::clone(&self.console) as _,
            Rc::new(Spawner),
            JobManagerOptions::default(),
        )
    }

    pub(super) async fn submit(&self, spec: JobSpec) -> String {
        self.manager.submit_job(spec, self.options.clone()).await.unwrap()
    }

    /// Submits a job, and lets it run to its end.
    pub(super) async fn complete(&self, spec: JobSpec) -> String {
        let id = self.submit(spec).await;
        self.until(&id, JobState::Completed).await;
        id
    }

    /// Submits a job, and waits until what is to be held is there.
    pub(super) async fn submit_and_hold(&self, spec: JobSpec, point: &'static str) -> String {
        self.world.hold(point);
        let id = self.submit(spec).await;
        self.world.until_held().await;
        id
    }

    pub(super) fn state(&self, id: &str) -> Option<JobState> {
        self.repository.record(id)?.state
    }

    pub(super) async fn until(&self, id: &str, state: JobState) {
        self.world.until(|| self.state(id) == Some(state)).await;
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.console.lines.borrow().clone()
    }

    /// The lines about jobs, without those about their chunks.
    pub(super) fn job_lines(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.retain(|line| {
            line.trim_start_matches("error: ").starts_with("Job ") && !line.starts_with("Job Dir")
                || line.contains("Unhandled error")
        });
        lines
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.world.overlapped.get(), "two saves of one job at once");
        }
    }
}
