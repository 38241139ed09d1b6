//! The life of a job that nobody interferes with.

use std::{cell::RefCell, sync::Arc};

use super::*;
use crate::{
    model::{OutputSink, WorkerResult},
    orchestrator::{Concurrency, FailureSlot, OutputStream},
};

#[tokio::test(flavor = "local", start_paused = true)]
async fn first_record_is_that_of_the_contract() {
    let scene = Scene::new();
    let id = scene.submit(job(1)).await;
    let saves = scene.repository.saves.borrow();
    let first = &saves[0];
    let (created, updated) = (first.created_at.unwrap(), first.updated_at.unwrap());
    assert!(created > 1.7e12 && created.to_bits() == updated.to_bits());
    let source = job(1).json().unwrap();
    let expected = format!(
        r#"{{"id":"{id}","spec":{source},"state":"pending","progress":0,"totalChunks":1,"completedChunks":0,"createdAt":{created},"updatedAt":{updated},"metrics":{{"totalDurationMs":0}},"logs":[]}}"#
    );
    assert_eq!(first.document().unwrap().json(), expected);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn ids_are_random_uuids() {
    let scene = Scene::new();
    let (one, two) = (scene.submit(job(1)).await, scene.submit(job(1)).await);
    assert_ne!(one, two);
    for id in [one, two] {
        assert_eq!((Uuid::parse_str(&id).unwrap().get_version_num(), id.len()), (4, 36));
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_says_all_along_how_far_the_job_is() {
    let scene = Scene::new();
    let id = scene.complete(job(2)).await;
    let events = [
        "save pending 0",
        "get",
        "save running 0",
        "chunk 1",
        "save running 1",
        "chunk 2",
        "save running 2",
        "merge",
        "get",
        "save completed 2",
    ];
    assert_eq!(*scene.world.events.borrow(), events);
    let saves = scene.repository.saves.borrow();
    let progress: Vec<_> = saves.iter().map(|job| job.progress.unwrap().to_string()).collect();
    assert_eq!(progress, ["0", "0", "50", "100", "100"]);
    assert!(saves.iter().all(|job| job.id == id && job.created_at == saves[0].created_at));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn progress_is_rounded_as_javascript_does() {
    for (chunks, expected) in
        [(3, vec!["33", "67", "100"]), (8, vec!["13", "25", "38", "50", "63", "75", "88", "100"])]
    {
        let scene = Scene::new();
        scene.complete(job(chunks)).await;
        let saves = scene.repository.saves.borrow();
        let progress = saves[2..].iter().map(|job| job.progress.unwrap().to_string());
        assert_eq!(progress.take(chunks as usize).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_tells_of_every_chunk_in_the_end() {
    let scene = Scene::new();
    let id = scene.complete(job(2)).await;
    let record = scene.repository.record(&id).unwrap();
    assert_eq!(
        record.logs.as_ref().unwrap().json(),
        r#"[{"chunkId":1,"durationMs":2,"stdout":"chunk 1","stderr":""},{"chunkId":2,"durationMs":2,"stdout":"chunk 2","stderr":""}]"#
    );
    assert_eq!((record.total_duration_ms, record.progress), (Some(4.0), Some(100.0)));
    assert_eq!((record.completed_chunks, record.total_chunks), (Some(2.0), Some(2.0)));
    assert_eq!(record.error, None);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn job_without_chunks_completes() {
    let scene = Scene::new();
    let id = scene.complete(spec(&json!({}))).await;
    let record = scene.repository.record(&id).unwrap();
    assert_eq!((record.progress, record.completed_chunks), (Some(100.0), Some(0.0)));
    assert_eq!(record.spec.unwrap().json().unwrap().as_ref(), "{}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn submitted_job_is_stored_and_has_begun() {
    let scene = Scene::new();
    scene.world.hold("save running");
    let id = scene.submit(job(1)).await;
    assert_eq!(scene.world.events.borrow().last().unwrap(), "save running 0");
    assert_eq!(scene.state(&id), Some(JobState::Pending));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn first_save_that_fails_is_the_answer_and_nothing_runs() {
    let scene = Scene::new();
    let mine = value("disk full");
    scene.world.fail("save pending", 1, &mine);
    let error = scene.manager.submit_job(job(1), scene.options.clone()).await.unwrap_err();
    assert!(is_very(&error, &mine));
    sleep(HOUR).await;
    assert_eq!(*scene.world.events.borrow(), ["save pending 0"]);
    assert_eq!(scene.lines(), Vec::<String>::new());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn failed_job_says_why() {
    let scene = Scene::new();
    scene.world.fail("chunk 2", 1, &value("boom"));
    let id = scene.submit(job(3)).await;
    scene.until(&id, JobState::Failed).await;
    let message = "Chunk 2 failed after 1 attempts: boom";
    let record = scene.repository.record(&id).unwrap();
    assert_eq!(record.error.as_deref(), Some(message));
    assert_eq!((logged(&record), record.progress), (vec!["1".to_owned()], Some(33.0)));
    assert_eq!(scene.job_lines(), [format!("error: Job {id} failed: {message}")]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn executor_that_calls_itself_aborted_ends_the_job_cancelled() {
    let aborts: [fn() -> Error; 3] =
        [|| Error::Aborted, || Error::Abandoned, || thrown(&value("AbortError"))];
    for abort in aborts {
        let scene = Scene::executed_by(Scripted::new(move |_, _| ready(Err(abort()))));
        let id = scene.submit(job(1)).await;
        scene.until(&id, JobState::Cancelled).await;
        assert_eq!(scene.repository.record(&id).unwrap().error, None);
        assert_eq!(scene.job_lines(), [format!("Job {id} cancelled")]);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn callers_own_signal_ends_the_job_cancelled() {
    let mut scene = Scene::new();
    scene.options.abort.token = CancellationToken::new();
    let id = scene.submit_and_hold(job(3), "chunk 2").await;
    scene.options.abort.token.cancel();
    scene.until(&id, JobState::Cancelled).await;
    assert_eq!((scene.adapter.active.get(), scene.adapter.ran().len()), (0, 2));
    assert_eq!(scene.job_lines(), [format!("Job {id} cancelled")]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn signal_of_one_job_leaves_the_others_alone() {
    let mut scene = Scene::new();
    scene.options.abort.token = CancellationToken::new();
    let one = scene.submit_and_hold(job(2), "chunk 1").await;
    scene.options.abort.token.cancel();
    scene.until(&one, JobState::Cancelled).await;
    scene.options.abort = crate::orchestrator::AbortSource::default();
    scene.complete(job(2)).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn options_of_the_caller_reach_the_executor() {
    let got: Rc<RefCell<Option<JobExecutionOptions>>> = Rc::default();
    let seen = Rc::clone(&got);
    let mut scene = Scene::executed_by(Scripted::new(move |_, options| {
        *seen.borrow_mut() = Some(options);
        ready(Ok(()))
    }));
    let extensions: Rc<dyn std::any::Any> = Rc::new("mine");
    scene.options.concurrency = Concurrency::from_number(3.0);
    (scene.options.retries, scene.options.retry_delay) = (2.0, Duration::from_millis(7));
    scene.options.completed = vec![ChunkId::new(1.0)];
    scene.options.extensions = Some(Rc::clone(&extensions));
    scene.complete(job(2)).await;
    let options = got.take().unwrap();
    assert_eq!((options.concurrency.limit, options.job_dir.as_deref()), (3, Some("/jobs/1")));
    assert_eq!(
        (options.retries.to_bits(), options.retry_delay),
        (2.0_f64.to_bits(), Duration::from_millis(7))
    );
    assert_eq!(options.completed, [ChunkId::new(1.0)]);
    assert!(options.see_outputs && Rc::ptr_eq(&options.extensions.unwrap(), &extensions));
}

/// A caller that notes what it hears in the world, and fails where it is told to.
#[derive(Debug)]
struct Caller {
    world: Rc<World>,
    failure: FailureSlot,
}

impl Caller {
    fn hear(&self, event: String) -> LocalBoxFuture<'_, bool> {
        async move { self.world.pass(event).await.map_err(|error| self.failure.fail(error)).is_ok() }
            .boxed_local()
    }
}

impl JobObserver for Caller {
    fn progress(&self, done: usize, total: usize) -> LocalBoxFuture<'_, bool> {
        self.hear(format!("progress {done}/{total}"))
    }
    fn chunk_complete<'a>(
        &'a self,
        id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool> {
        self.hear(format!("complete {id} {}", result.stdout.as_str()))
    }
    fn output(&self, id: ChunkId, stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        self.world.events.borrow_mut().push(format!("output {id} {stream:?}"));
        None
    }
    fn settle(&self) -> LocalBoxFuture<'_, ()> {
        self.hear("settle".to_owned()).map(drop).boxed_local()
    }
}

fn with_caller() -> Scene {
    let mut scene = Scene::new();
    let (world, failure) = (Rc::clone(&scene.world), scene.options.failure.clone());
    scene.options.observer = Some(Rc::new(Caller { world, failure }));
    scene
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn caller_hears_of_a_chunk_when_it_is_stored() {
    let scene = with_caller();
    scene.complete(job(1)).await;
    let events = [
        "save running 0",
        "output 1 Stdout",
        "output 1 Stderr",
        "chunk 1",
        "save running 1",
        "progress 1/1",
        "complete 1 chunk 1",
        "settle",
        "merge",
        "get",
        "save completed 1",
    ];
    assert_eq!(scene.world.events.borrow()[2..], events);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn chunk_is_recorded_whatever_its_caller_thinks_of_it() {
    for fails_in in ["progress", "complete", "settle"] {
        let scene = with_caller();
        scene.world.fail(fails_in, 1, &value("mine"));
        let id = scene.submit(job(1)).await;
        scene.until(&id, JobState::Failed).await;
        let record = scene.repository.record(&id).unwrap();
        assert_eq!((record.error.as_deref(), logged(&record)), (Some("mine"), vec!["1".into()]));
        assert_eq!(scene.job_lines(), [format!("error: Job {id} failed: mine")]);
        assert!(scene.world.passed("merge").is_empty());
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn executor_of_the_users_hears_back_when_its_change_is_stored() {
    for journals in [false, true] {
        let told = Scripted::new(|_, options: JobExecutionOptions| async move {
            let observer = options.observer.unwrap();
            let result = WorkerResult { duration_ms: 3.0, ..WorkerResult::default() };
            assert!(
                observer.progress(1, 2).await
                    && observer.chunk_complete(ChunkId::new(7.0), &result).await
            );
            observer.saved().await?;
            std::future::pending().await
        });
        let scene = Scene::executed_by(told);
        scene.repository.journals.set(journals);
        scene.repository.slow.set(Duration::from_millis(20));
        let id = scene.submit(job(2)).await;
        scene
            .world
            .until(|| scene.repository.record(&id).is_some_and(|job| logged(&job) == ["7"]))
            .await;
        let record = scene.repository.record(&id).unwrap();
        assert_eq!((record.progress, record.total_duration_ms), (Some(50.0), Some(3.0)));
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn executor_that_reports_after_the_end_changes_nothing() {
    let kept: Rc<RefCell<Option<Rc<dyn JobObserver>>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let scene = Scene::executed_by(Scripted::new(move |_, options| {
        *keep.borrow_mut() = options.observer;
        ready(Ok(()))
    }));
    let id = scene.complete(job(2)).await;
    let observer = kept.take().unwrap();
    observer.progress(1, 2).await;
    observer.chunk_complete(ChunkId::new(1.0), &WorkerResult::default()).await;
    observer.saved().await.unwrap();
    sleep(HOUR).await;
    assert_eq!(scene.world.events.borrow().last().unwrap(), "save completed 0");
    assert!(logged(&scene.repository.record(&id).unwrap()).is_empty());
}
