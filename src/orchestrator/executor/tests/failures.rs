//! Chunks that fail: for a while, for good, and what becomes of the others.

use tokio::time::sleep;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);

#[tokio::test(start_paused = true)]
async fn failed_chunk_is_tried_again_after_the_delay() {
    let scene = Scene::new(|call| ready(if call.attempt < 3 { exit(3, "bad") } else { ok() }))
        .trying(2.0, 250);
    let start = Instant::now();
    scene.run(&job(&[1])).await.unwrap();
    assert_eq!(scene.adapter.times(start), [0, 250, 500].map(Duration::from_millis));
    let story = [
        "[Worker 1] Starting chunk 1 (Attempt 1/3)...",
        "warn: [Worker 1] Chunk 1 failed (Attempt 1/3). Retrying in 250ms... Error: Chunk 1 failed with exit code 3: bad",
        "[Worker 1] Starting chunk 1 (Attempt 2/3)...",
        "warn: [Worker 1] Chunk 1 failed (Attempt 2/3). Retrying in 250ms... Error: Chunk 1 failed with exit code 3: bad",
        "[Worker 1] Starting chunk 1 (Attempt 3/3)...",
        "[Worker 1] Chunk 1 completed (1/1)",
        "Skipping merge step (no merge mechanism provided).",
    ];
    assert_eq!(scene.story(), story);
}

#[tokio::test(start_paused = true)]
async fn chunk_that_fails_as_often_as_it_may_fails_the_job() {
    let scene =
        Scene::new(|call| ready(exit(call.attempt.try_into().unwrap(), "bad"))).trying(1.0, 10);
    let error = scene.error(&merging(&[4, 5], "merge")).await;
    let last = "Chunk 4 failed with exit code 2: bad";
    assert_eq!(error.to_string(), format!("Chunk 4 failed after 2 attempts: {last}"));
    let story = [
        "[Worker 1] Starting chunk 4 (Attempt 1/2)...",
        "warn: [Worker 1] Chunk 4 failed (Attempt 1/2). Retrying in 10ms... Error: Chunk 4 failed with exit code 1: bad",
        "[Worker 1] Starting chunk 4 (Attempt 2/2)...",
        "error: [Worker 1] Chunk 4 failed after 2 attempts: Chunk 4 failed with exit code 2: bad",
    ];
    assert_eq!(
        (scene.story(), scene.adapter.started()),
        (story.map(str::to_owned).to_vec(), vec!["4".into(), "4".into()])
    );
}

#[tokio::test]
async fn whatever_is_no_success_is_a_failure() {
    let odd = || WorkerResult {
        exit_code: ExitCode::Odd("undefined".to_owned()),
        ..WorkerResult::default()
    };
    let answers: [(Make, &str); 4] = [
        (|| exit(1, ""), "Chunk 1 failed with exit code 1: "),
        (|| exit(-1, "killed\n"), "Chunk 1 failed with exit code -1: killed\n"),
        (|| Err(thrown(&value("boom"))), "boom"),
        (ended, "Job was aborted"),
    ];
    for (answer, message) in answers {
        let scene = Scene::new(move |_| ready(answer()));
        let expected = format!("Chunk 1 failed after 1 attempts: {message}");
        assert_eq!(scene.error(&job(&[1])).await.to_string(), expected);
    }
    let scene = Scene::new(move |_| ready(Ok(odd())));
    let message = scene.error(&job(&[1])).await.to_string();
    assert_eq!(
        message,
        "Chunk 1 failed after 1 attempts: Chunk 1 failed with exit code undefined: "
    );
}

#[tokio::test(start_paused = true)]
async fn delay_of_zero_is_none() {
    let scene =
        Scene::new(|call| ready(if call.attempt == 1 { exit(1, "") } else { ok() })).trying(1.0, 0);
    let start = Instant::now();
    scene.run(&job(&[1])).await.unwrap();
    assert_eq!(scene.adapter.times(start), [Duration::ZERO; 2]);
    assert!(scene.complaints()[0].contains("Retrying in 0ms... "));
}

#[tokio::test]
async fn retries_without_end_are_printed_as_such() {
    let scene = Scene::new(|call| ready(if call.attempt < 100 { exit(1, "") } else { ok() }))
        .trying(f64::INFINITY, 0);
    scene.run(&job(&[1])).await.unwrap();
    assert_eq!(scene.story()[198], "[Worker 1] Starting chunk 1 (Attempt 100/Infinity)...");
}

#[tokio::test]
async fn every_chunk_has_all_its_attempts() {
    let scene =
        Scene::new(|call| ready(if call.attempt < 3 { exit(1, "") } else { ok() })).trying(2.0, 0);
    scene.run(&job(&[1, 2])).await.unwrap();
    assert_eq!(scene.adapter.started(), ["1", "1", "1", "2", "2", "2"]);
}

#[tokio::test(start_paused = true)]
async fn first_failure_is_the_one_that_is_thrown_and_no_chunk_starts_after_it() {
    let scene = Scene::lasting(|call| async move {
        sleep(Duration::from_millis(match call.who.as_str() {
            "1" => 30,
            "2" => 10,
            _ => 20,
        }))
        .await;
        exit(1, &call.who)
    })
    .concurrent(3.0);
    let error = scene.error(&merging(&[1, 2, 3, 4, 5], "merge")).await.to_string();
    assert_eq!(error, "Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 1: 2");
    assert_eq!(
        (scene.adapter.started(), scene.adapter.active.get()),
        (vec!["1".into(), "2".into(), "3".into()], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn work_that_can_be_ended_is_ended_by_the_failure_of_another() {
    let scene = Scene::new(|call| async move {
        if call.who == "2" {
            return exit(1, "bad");
        }
        call.job.cancel.cancelled().await;
        // An end takes its time, and the job waits for it.
        sleep(Duration::from_secs(1)).await;
        ended()
    })
    .concurrent(2.0)
    .trying(0.0, 60_000);
    let start = Instant::now();
    let error = scene.error(&job(&[1, 2, 3])).await.to_string();
    assert_eq!(error, "Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 1: bad");
    assert_eq!((start.elapsed(), scene.adapter.active.get()), (Duration::from_secs(1), 0));
    assert_eq!(
        scene.complaints(),
        ["error: [Worker 2] Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 1: bad"]
    );
    assert_eq!(scene.adapter.started(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn work_that_cannot_be_ended_is_awaited_and_counts() {
    let scene = Scene::lasting(|call| async move {
        if call.who == "2" {
            return exit(1, "bad");
        }
        let cancelled = call.job.cancel.clone();
        sleep(MINUTE).await;
        if cancelled.is_cancelled() { exit(9, "cancelled") } else { ok() }
    })
    .concurrent(2.0);
    let start = Instant::now();
    let error = scene.error(&job(&[1, 2, 3])).await.to_string();
    assert_eq!(error, "Chunk 2 failed after 1 attempts: Chunk 2 failed with exit code 1: bad");
    assert_eq!(start.elapsed(), MINUTE);
    assert_eq!(scene.lines().last().unwrap(), "[Worker 1] Chunk 1 completed (1/3)");
    assert_eq!(scene.adapter.started(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn chunk_that_fails_after_the_job_has_is_not_tried_again() {
    // At 20 ms, when the job fails, the first chunk is at work or in the delay before its second attempt.
    for first_fails_at in [50, 10] {
        let scene = Scene::lasting(move |call| async move {
            let at = if call.who == "1" { first_fails_at } else { 30 };
            sleep(Duration::from_millis(at)).await;
            exit(1, &call.who)
        });
        let scene = scene.concurrent(2.0).trying(1.0, 60_000);
        let start = Instant::now();
        let fail = async {
            sleep(Duration::from_millis(20)).await;
            scene.options.failure.fail(thrown(&value("from outside")));
        };
        let job = job(&[1, 2, 3]);
        let (result, ()) = tokio::join!(scene.run(&job), fail);
        assert_eq!(result.unwrap_err().to_string(), "from outside");
        assert_eq!(start.elapsed(), Duration::from_millis(first_fails_at.max(30)));
        // Only what is going to be tried again is announced.
        assert_eq!(scene.complaints().len(), usize::from(first_fails_at < 20));
        assert_eq!(scene.adapter.started(), ["1", "2"]);
    }
}

#[tokio::test]
async fn chunk_that_was_done_before_counts_in_a_job_that_fails() {
    let mut scene = Scene::new(|call| ready(if call.who == "3" { exit(1, "") } else { ok() }));
    scene.options.completed = ids(&[1]);
    assert!(scene.run(&job(&[1, 2, 3])).await.is_err());
    assert_eq!(scene.story()[1], "[Worker 1] Chunk 2 completed (2/3)");
}
