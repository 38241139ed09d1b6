//! The caller ends the job, at every moment of it.

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::orchestrator::AbortSource;

const HOUR: u64 = 3_600_000;

/// Runs the job to its end, which must be that of an abort, without a line about a failure.
async fn aborted(scene: &Scene, job: &Rc<JobSpec>) {
    let error = scene.error(job).await;
    assert!(matches!(error, CrateError::Aborted), "{error:?}");
    assert_eq!((error.to_string().as_str(), error.is_abort()), ("Job aborted", true));
    assert_eq!(scene.complaints(), Vec::<String>::new());
}

#[tokio::test]
async fn aborted_job_says_what_it_would_have_done_and_does_nothing() {
    for (job, done) in [
        (merging(&[1, 2], "merge"), vec![]),
        (merging(&[1, 2], "merge"), ids(&[1, 2])),
        (merging(&[], "merge"), vec![]),
    ] {
        let mut scene = Scene::well();
        scene.options.completed = done;
        scene.options.abort.token.cancel();
        aborted(&scene, &job).await;
        assert_eq!(scene.lines(), opening("1", job.chunks.len()));
        assert_eq!(scene.adapter.started(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn abort_in_a_chunk_is_an_abort_whatever_becomes_of_the_chunk() {
    let answers: [Make; 4] =
        [ended, || exit(143, "terminated"), || Err(thrown(&value("mine"))), ok];
    for answer in answers {
        for (retries, lasting) in [(0.0, false), (0.0, true), (3.0, false), (3.0, true)] {
            let abort = CancellationToken::new();
            let caller = abort.clone();
            let script = move |call: Call| {
                caller.cancel();
                async move {
                    call.job.cancel.cancelled().await;
                    answer()
                }
            };
            let mut scene = Scene::with(Scripted::new(script, !lasting)).trying(retries, HOUR);
            scene.options.abort.token = abort;
            aborted(&scene, &merging(&[1, 2], "merge")).await;
            assert_eq!(
                (scene.adapter.started(), scene.adapter.active.get()),
                (vec!["1".into()], 0)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn job_waits_for_the_end_of_all_its_chunks() {
    for lasting in [false, true] {
        let script = |call: Call| async move {
            call.job.cancel.cancelled().await;
            sleep(Duration::from_millis(100 * call.who.parse::<u64>().unwrap())).await;
            ended()
        };
        let scene = Scene::with(Scripted::new(script, !lasting)).concurrent(3.0);
        let start = Instant::now();
        let abort = async {
            sleep(Duration::from_millis(10)).await;
            scene.options.abort.token.cancel();
        };
        let job = job(&[1, 2, 3, 4]);
        tokio::join!(aborted(&scene, &job), abort);
        assert_eq!((start.elapsed(), scene.adapter.active.get()), (Duration::from_millis(310), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn abort_in_the_delay_ends_it_at_once() {
    for lasting in [false, true] {
        let scene = Scene::with(Scripted::new(|_| ready(exit(1, "x")), !lasting)).trying(5.0, HOUR);
        let start = Instant::now();
        let abort = async {
            sleep(Duration::from_millis(10)).await;
            scene.options.abort.token.cancel();
        };
        let job = job(&[1]);
        let (error, ()) = tokio::join!(scene.error(&job), abort);
        assert!(matches!(error, CrateError::Aborted));
        assert_eq!(
            (start.elapsed(), scene.adapter.started().len()),
            (Duration::from_millis(10), 1)
        );
        assert_eq!(scene.story().len(), 2, "the start and the retry: {:?}", scene.story());
    }
}

#[tokio::test]
async fn caller_without_events_is_asked_before_every_attempt() {
    for (retries, answer) in [(0.0, ok as Make), (5.0, || exit(1, ""))] {
        let said = Rc::new(Cell::new(false));
        let caller = Rc::clone(&said);
        let script = move |_| {
            caller.set(true);
            ready(answer())
        };
        let mut scene = Scene::new(script).trying(retries, 0);
        scene.options.abort =
            AbortSource { probe: Some(Rc::new(move || said.get())), ..AbortSource::default() };
        aborted(&scene, &merging(&[1, 2], "merge")).await;
        assert_eq!(scene.adapter.started(), ["1"]);
    }
}

#[tokio::test]
async fn abort_between_chunks_starts_no_other() {
    let abort = CancellationToken::new();
    let caller = abort.clone();
    let mut scene = Scene::well().watched(move |event| {
        if event.starts_with("complete 2") {
            caller.cancel();
        }
        ready(true)
    });
    scene.options.abort.token = abort;
    aborted(&scene, &job(&[1, 2, 3, 4])).await;
    assert_eq!(scene.adapter.started(), ["1", "2"]);
}

#[tokio::test]
async fn abort_after_the_last_chunk_merges_nothing() {
    for last in ["complete 2", "settle"] {
        let abort = CancellationToken::new();
        let caller = abort.clone();
        let mut scene = Scene::well().watched(move |event| {
            if event.starts_with(last) {
                caller.cancel();
            }
            ready(true)
        });
        scene.options.abort.token = abort;
        aborted(&scene, &merging(&[1, 2], "merge")).await;
        assert_eq!(scene.adapter.started(), ["1", "2"]);
    }
}

#[tokio::test]
async fn merge_command_that_is_aborted_is_an_abort() {
    let answers: [Make; 3] = [ended, || exit(143, ""), || Err(thrown(&value("mine")))];
    for answer in answers {
        let abort = CancellationToken::new();
        let caller = abort.clone();
        let script = move |call: Call| {
            let merging = call.who == "merge";
            if merging {
                caller.cancel();
            }
            async move {
                if !merging {
                    return ok();
                }
                call.job.cancel.cancelled().await;
                answer()
            }
        };
        let mut scene = Scene::new(script);
        scene.options.abort.token = abort;
        aborted(&scene, &merging(&[1], "merge")).await;
    }
}

#[tokio::test]
async fn failure_before_the_abort_stays_a_failure() {
    let abort = CancellationToken::new();
    let caller = abort.clone();
    let script = move |call: Call| {
        let caller = caller.clone();
        async move {
            if call.who == "2" {
                return exit(1, "bad");
            }
            tokio::task::yield_now().await;
            caller.cancel();
            ok()
        }
    };
    let mut scene = Scene::lasting(script).concurrent(2.0);
    scene.options.abort.token = abort;
    let error = scene.error(&job(&[1, 2])).await.to_string();
    assert_eq!(error, "Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 1: bad");
}
