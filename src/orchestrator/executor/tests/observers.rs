//! What the caller hears of a job, and what he answers.

use futures_util::future::BoxFuture;
use tokio::{sync::oneshot, time::sleep};

use super::*;

const SKIPPED: &str = "Skipping merge step (no merge mechanism provided).";

fn saying(text: &str) -> WorkerResult {
    WorkerResult { stdout: text.into(), ..WorkerResult::default() }
}

#[tokio::test]
async fn caller_hears_of_progress_then_of_the_chunk_then_it_is_printed() {
    let scene = Scene::new(|call| ready(Ok(saying(&call.who)))).watched(|_| ready(true));
    scene.run(&job(&[1, 2])).await.unwrap();
    let story = [
        "[Worker 1] Starting chunk 1 (Attempt 1/1)...",
        "progress 1/2",
        "complete 1 1",
        "[Worker 1] Chunk 1 completed (1/2)",
        "[Worker 1] Starting chunk 2 (Attempt 1/1)...",
        "progress 2/2",
        "complete 2 2",
        "[Worker 1] Chunk 2 completed (2/2)",
        "settle",
        SKIPPED,
    ];
    assert_eq!(scene.story(), story);
}

#[tokio::test]
async fn done_chunks_count_as_progress_but_are_not_heard_of() {
    let mut scene = Scene::well().watched(|_| ready(true));
    scene.options.completed = ids(&[1, 2]);
    scene.run(&job(&[1, 2, 3])).await.unwrap();
    assert_eq!(scene.story()[1..3], ["progress 3/3", "complete 3 "]);
}

#[tokio::test]
async fn failing_caller_fails_the_job_with_his_very_error_and_the_chunk_is_not_rendered_again() {
    for (fails_in, story) in [
        ("progress", vec!["progress 1/3", "settle"]),
        ("complete", vec!["progress 1/3", "complete 1 1", "settle"]),
    ] {
        let mine = value("mine");
        let mut scene = Scene::new(|call| ready(Ok(saying(&call.who)))).trying(3.0, 0);
        let (slot, foreign) = (scene.options.failure.clone(), Rc::clone(&mine));
        scene = scene.watched(move |event| {
            let well = !event.starts_with(fails_in);
            if !well {
                slot.fail(thrown(&foreign));
            }
            ready(well)
        });
        scene.options.merge_adapter = Some(Scripted::new(|_| ready(ok()), true));
        let error = scene.error(&merging(&[1, 2, 3], "merge")).await;
        assert!(is_very(&error, &mine));
        // The line that the chunk is done follows what its caller thinks of it, and so is left out.
        assert_eq!(scene.story()[1..], story);
        assert_eq!(scene.adapter.started(), ["1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn slow_caller_holds_up_the_worker_that_waits_for_him_and_no_other() {
    let scene = Scene::well().concurrent(2.0).watched(|event| {
        let pause = Duration::from_secs(u64::from(event.starts_with("complete 1")));
        async move {
            sleep(pause).await;
            true
        }
    });
    let start = Instant::now();
    scene.run(&job(&[1, 2, 3, 4])).await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(
        scene.story()[scene.story().len() - 3..],
        ["[Worker 1] Chunk 1 completed (1/4)", "settle", SKIPPED]
    );
}

#[tokio::test(start_paused = true)]
async fn failure_from_outside_ends_native_work_and_is_what_the_job_fails_with() {
    let scene = Scene::new(|call| async move {
        call.job.cancel.cancelled().await;
        ended()
    })
    .concurrent(2.0)
    .trying(3.0, 1);
    let (first, second) = (value("first"), value("second"));
    let fail = async {
        sleep(Duration::from_millis(10)).await;
        scene.options.failure.fail(thrown(&first));
        scene.options.failure.fail(thrown(&second));
    };
    let job = merging(&[1, 2, 3], "merge");
    let (error, ()) = tokio::join!(scene.error(&job), fail);
    assert!(is_very(&error, &first));
    assert_eq!(
        (scene.adapter.started(), scene.complaints()),
        (vec!["1".into(), "2".into()], vec![])
    );
}

#[tokio::test]
async fn failure_before_the_start_runs_nothing() {
    let scene = Scene::well();
    let mine = value("mine");
    scene.options.failure.fail(thrown(&mine));
    assert!(is_very(&scene.error(&merging(&[1], "merge")).await, &mine));
    assert_eq!(scene.adapter.started(), Vec::<String>::new());
}

#[tokio::test]
async fn what_the_caller_has_set_going_is_awaited_before_the_merge_and_may_fail_the_job() {
    for fails in [false, true] {
        let mine = value("mine");
        let mut scene = Scene::well();
        let (slot, foreign) = (scene.options.failure.clone(), Rc::clone(&mine));
        scene = scene.watched(move |event| {
            let (settling, slot, foreign) = (event == "settle", slot.clone(), Rc::clone(&foreign));
            async move {
                if settling {
                    tokio::task::yield_now().await;
                    if fails {
                        slot.fail(thrown(&foreign));
                    }
                }
                true
            }
        });
        let result = scene.run(&merging(&[1], "merge")).await;
        assert_eq!(result.is_err_and(|error| is_very(&error, &mine)), fails);
        assert_eq!(scene.adapter.started().contains(&"merge".to_owned()), !fails);
    }
}

#[derive(Debug)]
struct Deaf;

impl OutputSink for Deaf {
    fn write<'a>(&'a self, _text: &'a [u8]) -> BoxFuture<'a, ()> {
        ready(()).boxed()
    }
}

#[tokio::test]
async fn sinks_of_the_caller_reach_the_adapter() {
    let mut scene = Scene::well();
    let sink: Arc<dyn OutputSink> = Arc::new(Deaf);
    scene.options.observer = Some(Rc::new(Watcher {
        console: Rc::clone(&scene.console),
        answer: Box::new(|_| ready(true).boxed_local()),
        sink: Some(Arc::clone(&sink)),
    }));
    scene.run(&job(&[1])).await.unwrap();
    let job = scene.adapter.job(0);
    assert!(Arc::ptr_eq(&job.stdout.sink.unwrap(), &sink) && job.stderr.sink.is_none());
    assert_eq!((job.stdout.keep, job.stderr.keep, job.observed), (true, true, true));
}

#[tokio::test]
async fn adapter_knows_when_nobody_looks_at_its_results() {
    let scene = Scene::well();
    scene.run(&merging(&[1], "merge")).await.unwrap();
    assert_eq!((scene.adapter.job(0).observed, scene.adapter.job(1).observed), (false, true));
}

/// Keeps the one result it hears of.
#[derive(Debug)]
struct Keeper(RefCell<Option<oneshot::Sender<WorkerResult>>>);

impl JobObserver for Keeper {
    fn progress(&self, _done: usize, _total: usize) -> LocalBoxFuture<'_, bool> {
        ready(true).boxed_local()
    }
    fn chunk_complete<'a>(
        &'a self,
        _id: ChunkId,
        result: &'a WorkerResult,
    ) -> LocalBoxFuture<'a, bool> {
        self.0.take().unwrap().send(result.clone()).unwrap();
        ready(true).boxed_local()
    }
    fn output(&self, _id: ChunkId, _stream: OutputStream) -> Option<Arc<dyn OutputSink>> {
        None
    }
    fn settle(&self) -> LocalBoxFuture<'_, ()> {
        ready(()).boxed_local()
    }
}

#[tokio::test]
async fn caller_gets_the_result_with_all_that_is_in_it() {
    let own: Rc<dyn Any> = Rc::new("an object of the caller's adapter");
    let foreign = Rc::clone(&own);
    let mut scene = Scene::new(move |_| {
        ready(Ok(WorkerResult {
            stdout: "out".into(),
            stderr: "err".into(),
            duration_ms: 2.5,
            foreign: Some(Rc::clone(&foreign)),
            ..WorkerResult::default()
        }))
    });
    let (sender, receiver) = oneshot::channel();
    scene.options.observer = Some(Rc::new(Keeper(RefCell::new(Some(sender)))));
    scene.run(&job(&[1])).await.unwrap();
    let got = receiver.await.unwrap();
    assert_eq!((got.stdout.as_str(), got.stderr.as_str()), ("out", "err"));
    assert!(
        got.duration_ms.to_bits() == 2.5_f64.to_bits() && Rc::ptr_eq(&got.foreign.unwrap(), &own)
    );
}

#[tokio::test(start_paused = true)]
async fn caller_that_never_answers_is_left_behind_after_the_grace_of_an_abort() {
    for silent in ["progress", "complete", "settle"] {
        let mut scene = Scene::well();
        scene.options.kill_grace = Duration::from_secs(3);
        let scene = scene.watched(move |event| {
            let answers = !event.starts_with(silent);
            async move { if answers { true } else { std::future::pending().await } }
        });
        let start = Instant::now();
        let abort = async {
            sleep(Duration::from_secs(1)).await;
            scene.options.abort.token.cancel();
        };
        let job = merging(&[1, 2], "merge");
        let (error, ()) = tokio::join!(scene.error(&job), abort);
        assert!(error.is_abort(), "{silent}: {error}");
        assert_eq!(start.elapsed(), Duration::from_secs(4), "{silent}");
        assert!(!scene.adapter.started().contains(&"merge".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn failure_while_the_chunks_are_joined_fails_the_job() {
    let scene = Scene::new(|call| async move {
        sleep(Duration::from_secs(u64::from(call.who == "merge"))).await;
        ok()
    });
    let mine = value("mine");
    let fail = async {
        sleep(Duration::from_millis(1)).await;
        scene.options.failure.fail(thrown(&mine));
    };
    let job = merging(&[1], "merge");
    let (error, ()) = tokio::join!(scene.error(&job), fail);
    assert!(is_very(&error, &mine));
}
