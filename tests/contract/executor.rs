//! What every executor must do: by itself, and under a manager. Each test takes a function that makes one which runs its
//! chunks on the given adapter.

use std::{
    cell::RefCell,
    future::{pending, ready},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use helios_infrastructure::{
    Result,
    adapters::WorkerAdapter,
    model::{ChunkId, ExitCode, JobState, JobStatus, OutputSink, WorkerResult},
    orchestrator::{
        Executor, JobExecutionOptions, JobManager, JobManagerOptions, JobObserver, OutputStream,
    },
    repository::{InMemoryJobRepository, JobRepository},
};
use serde_json::json;
use tokio::sync::Notify;

use super::support::{Scripted, Silence, Spawner, fields, job};

/// Makes an executor for an adapter.
pub type Make = dyn Fn(Rc<dyn WorkerAdapter>) -> Rc<dyn Executor>;

fn ended(code: i32, text: &str) -> WorkerResult {
    WorkerResult {
        exit_code: ExitCode::Code(code),
        stdout: text.into(),
        stderr: text.into(),
        duration_ms: 3.0,
        ..WorkerResult::default()
    }
}

/// Runs all chunks well.
fn well() -> Rc<Scripted> {
    Scripted::new(|id, _| ready(Ok(ended(0, &id.to_string()))))
}

/// Hangs in the chunk of the given number until it is cancelled; says when it is there.
fn hanging(at: u32) -> (Rc<Scripted>, Rc<Notify>) {
    let reached = Rc::new(Notify::new());
    let there = Rc::clone(&reached);
    let adapter = Scripted::new(move |id, job| {
        let there = Rc::clone(&there);
        async move {
            if id == at {
                there.notify_one();
                job.cancel.cancelled().await;
            }
            Ok(ended(0, ""))
        }
    });
    (adapter, reached)
}

/// Notes what it hears.
#[derive(Debug, Default)]
struct Notes(RefCell<Vec<String>>);

impl JobObserver for Notes {
    fn progress(&self, done: usize, total: usize) -> LocalBoxFuture<'_, bool> {
        self.0.borrow_mut().push(format!("progress {done}/{total}"));
        ready(true).boxed_local()
    }
    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool> {
        self.0.borrow_mut().push(format!("complete {id} {}", result.stdout.as_str()));
        ready(true).boxed_local()
    }
    fn output(&self, _id: ChunkId, _stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        None
    }
    fn settle(&self) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}

/// All chunks run, in the order of the job.
pub async fn chunks_run_in_order(make: &Make) {
    let adapter = well();
    make(Rc::clone(&adapter) as _).execute(job(4), JobExecutionOptions::default()).await.unwrap();
    assert_eq!(adapter.started(), [1, 2, 3, 4]);
}

/// Chunks that are done do not run, and count.
pub async fn done_chunks_do_not_run(make: &Make) {
    let (adapter, notes) = (well(), Rc::new(Notes::default()));
    let options = JobExecutionOptions {
        completed: [1.0, 3.0].map(ChunkId::new).to_vec(),
        observer: Some(Rc::clone(&notes) as _),
        ..Default::default()
    };
    make(Rc::clone(&adapter) as _).execute(job(4), options).await.unwrap();
    assert_eq!(adapter.started(), [2, 4]);
    assert_eq!(
        notes.0.borrow()[..],
        ["progress 3/4", "complete 2 2", "progress 4/4", "complete 4 4"]
    );
}

/// The observer hears of every chunk before the job is over, also of those before a failure.
pub async fn every_chunk_is_heard_of(make: &Make) {
    let adapter = Scripted::new(|id, _| ready(Ok(ended(i32::from(id == 3), &id.to_string()))));
    let notes = Rc::new(Notes::default());
    let options =
        JobExecutionOptions { observer: Some(Rc::clone(&notes) as _), ..Default::default() };
    assert!(make(adapter).execute(job(4), options).await.is_err());
    assert_eq!(
        notes.0.borrow()[..],
        ["progress 1/4", "complete 1 1", "progress 2/4", "complete 2 2"]
    );
}

/// A chunk that fails fails the job, with its message, and no other is started.
pub async fn failing_chunk_fails_the_job(make: &Make) {
    let adapter = Scripted::new(|id, _| ready(Ok(ended(if id == 2 { 5 } else { 0 }, "broken"))));
    let run = make(Rc::clone(&adapter) as _).execute(job(3), JobExecutionOptions::default()).await;
    let message = "Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 5: broken";
    assert_eq!(run.unwrap_err().to_string(), message);
    assert_eq!(adapter.started(), [1, 2]);
}

/// An abort ends the job with an error that says so, whenever it comes.
pub async fn abort_ends_the_job(make: &Make) {
    for before in [true, false] {
        let (adapter, reached) = hanging(2);
        let executor = make(Rc::clone(&adapter) as _);
        let options = JobExecutionOptions::default();
        let token = options.abort.token.clone();
        let abort = async {
            if !before {
                reached.notified().await;
            }
            token.cancel();
        };
        let (run, ()) = if before {
            abort.await;
            (executor.execute(job(3), options).await, ())
        } else {
            tokio::join!(executor.execute(job(3), options), abort)
        };
        let error = run.unwrap_err();
        assert_eq!((error.is_abort(), error.to_string().as_str()), (true, "Job aborted"));
        assert_eq!(adapter.started(), if before { vec![] } else { vec![1, 2] });
    }
}

/// A manager of jobs in memory.
fn managed(executor: Rc<dyn Executor>) -> (JobManager, Rc<InMemoryJobRepository>) {
    let repository: Rc<InMemoryJobRepository> = Rc::default();
    let manager = JobManager::new(
        Rc::clone(&repository) as _,
        executor,
        None,
        Rc::new(Silence),
        Rc::new(Spawner),
        JobManagerOptions::default(),
    );
    (manager, repository)
}

async fn submit(manager: &JobManager, chunks: u32) -> String {
    manager.submit_job((*job(chunks)).clone(), JobExecutionOptions::default()).await.unwrap()
}

async fn until(repository: &InMemoryJobRepository, id: &str, state: JobState) -> JobStatus {
    let reached = async {
        loop {
            let record = repository.get(id).await.unwrap().unwrap();
            if record.state == Some(state) {
                return record;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), reached).await.unwrap()
}

/// A managed job completes, with its logs.
pub async fn managed_job_completes(make: &Make) {
    let (manager, repository) = managed(make(well()));
    let id = submit(&manager, 2).await;
    let record = until(&repository, &id, JobState::Completed).await;
    let fields = fields(&record);
    let log = |id: u32| json!({ "chunkId": id, "durationMs": 3, "stdout": id.to_string(), "stderr": id.to_string() });
    assert_eq!((&fields["progress"], &fields["completedChunks"]), (&json!(100), &json!(2)));
    assert_eq!(
        (&fields["logs"], &fields["metrics"]),
        (&json!([log(1), log(2)]), &json!({ "totalDurationMs": 6 }))
    );
}

/// A managed job fails, with the message and what was done.
pub async fn managed_job_fails(make: &Make) {
    let adapter = Scripted::new(|id, _| ready(Ok(ended(if id == 2 { 5 } else { 0 }, "broken"))));
    let (manager, repository) = managed(make(adapter));
    let id = submit(&manager, 3).await;
    let record = until(&repository, &id, JobState::Failed).await;
    let message = "Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 5: broken";
    assert_eq!(record.error.as_deref(), Some(message));
    assert_eq!(
        (record.completed_chunks, record.completed_ids()),
        (Some(1.0), vec![ChunkId::new(1.0)])
    );
}

/// A managed job is cancelled at work.
pub async fn managed_job_is_cancelled(make: &Make) {
    let (adapter, reached) = hanging(1);
    let (manager, repository) = managed(make(Rc::clone(&adapter) as _));
    let id = submit(&manager, 3).await;
    reached.notified().await;
    manager.cancel_job(&id).await.unwrap();
    let record = repository.get(&id).await.unwrap().unwrap();
    assert_eq!((record.state, adapter.started()), (Some(JobState::Cancelled), vec![1]));
}

/// A managed job goes on after a pause where it stopped.
pub async fn managed_job_is_paused_and_resumed(make: &Make) {
    let paused = Rc::new(RefCell::new(false));
    let reached = Rc::new(Notify::new());
    let (was_paused, there) = (Rc::clone(&paused), Rc::clone(&reached));
    let adapter = Scripted::new(move |id, job| {
        let hangs = id == 2 && !*was_paused.borrow();
        let there = Rc::clone(&there);
        async move {
            if hangs {
                there.notify_one();
                return job
                    .cancel
                    .run_until_cancelled(pending::<Result<WorkerResult>>())
                    .await
                    .unwrap_or_else(|| Ok(ended(143, "")));
            }
            Ok(ended(0, ""))
        }
    });
    let (manager, repository) = managed(make(Rc::clone(&adapter) as _));
    let id = submit(&manager, 3).await;
    reached.notified().await;
    manager.pause_job(&id).await.unwrap();
    let record = repository.get(&id).await.unwrap().unwrap();
    assert_eq!((record.state, record.progress), (Some(JobState::Paused), Some(33.0)));
    *paused.borrow_mut() = true;
    manager.resume_job(&id, |stored| Ok(stored.known.unwrap_or_default())).await.unwrap();
    let record = until(&repository, &id, JobState::Completed).await;
    assert_eq!(adapter.started(), [1, 2, 2, 3]);
    assert_eq!(record.completed_ids(), [1.0, 2.0, 3.0].map(ChunkId::new));
}
