//! Nothing is lost, however slow the repository; and it is not asked for more than it needs.

use std::collections::HashSet;

use futures_util::future::join_all;

use super::*;
use crate::orchestrator::Concurrency;

const PACE: Duration = Duration::from_millis(100);

/// When the states of a running job were saved.
fn running_saves(scene: &Scene) -> Vec<Instant> {
    let saves = scene.repository.saves.borrow();
    let running = saves.iter().filter(|(job, _)| job.state == Some(JobState::Running));
    running.map(|(_, at)| *at).collect()
}

fn assert_whole(scene: &Scene, id: &str, chunks: u32) {
    let record = scene.repository.record(id).unwrap();
    let ids: HashSet<String> = logged(&record).into_iter().collect();
    assert_eq!(ids, (1..=chunks).map(|id| id.to_string()).collect());
    assert_eq!(logged(&record).len(), chunks as usize);
    let counts = (record.completed_chunks, record.total_duration_ms, record.progress);
    assert_eq!(counts, (Some(chunks.into()), Some(2.0 * f64::from(chunks)), Some(100.0)));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn slow_repository_loses_nothing_at_any_concurrency() {
    for concurrency in [1.0, 4.0, 50.0] {
        for slow in [0, 2, 7, 300] {
            let mut scene = Scene::new();
            scene.options.concurrency = Concurrency::from_number(concurrency);
            scene.repository.slow.set(Duration::from_millis(slow));
            scene.adapter.takes.set(Duration::from_millis(3));
            let id = scene.complete(job(50)).await;
            assert_whole(&scene, &id, 50);
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn every_save_has_what_the_one_before_had() {
    for pace in [None, Some(PACE)] {
        let mut scene = Scene::new();
        scene.options.concurrency = Concurrency::from_number(4.0);
        scene.repository.slow.set(Duration::from_millis(7));
        scene.repository.pace.set(pace);
        scene.adapter.takes.set(Duration::from_millis(30));
        scene.complete(job(50)).await;
        let saves = scene.repository.saves.borrow();
        for pair in saves.windows(2) {
            let (before, after) = (logged(&pair[0].0), logged(&pair[1].0));
            assert!(after.starts_with(&before), "{before:?} became {after:?}");
            assert!(pair[1].0.updated_at >= pair[0].0.updated_at);
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn changes_that_come_during_a_save_go_with_the_next() {
    let script = |_, options: JobExecutionOptions| async move {
        let observer = options.observer.unwrap();
        let result = WorkerResult { duration_ms: 2.0, ..WorkerResult::default() };
        let first = observer.chunk_complete(ChunkId::new(1.0), &result);
        let others = async {
            sleep(Duration::from_millis(1)).await;
            let complete = |id| observer.chunk_complete(ChunkId::new(f64::from(id)), &result);
            join_all((2..=100).map(complete)).await
        };
        tokio::join!(first, others);
        Ok(())
    };
    let scene = Scene::executed_by(Scripted::new(script));
    scene.repository.slow.set(Duration::from_millis(20));
    let id = scene.complete(job(100)).await;
    let saves = scene.repository.saves.borrow();
    let counts: Vec<usize> = saves.iter().map(|(job, _)| logged(job).len()).collect();
    assert_eq!(counts, [0, 0, 1, 100, 100]);
    assert_eq!(logged(&scene.repository.record(&id).unwrap()).len(), 100);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn repository_that_may_be_behind_is_written_at_its_pace() {
    let scene = Scene::new();
    scene.repository.pace.set(Some(PACE));
    scene.adapter.takes.set(Duration::from_millis(3));
    let start = Instant::now();
    let id = scene.complete(job(500)).await;
    assert_eq!(start.elapsed(), Duration::from_millis(1500), "no chunk waits for the repository");
    assert_whole(&scene, &id, 500);
    let times = running_saves(&scene);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= PACE), "{times:?}");
    assert!(times.len() > 10, "and not left behind: {times:?}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_is_never_further_behind_than_its_pace() {
    let scene = Scene::new();
    scene.repository.pace.set(Some(PACE));
    let id = scene.submit_and_hold(job(3), "chunk 3").await;
    sleep(PACE + Duration::from_millis(1)).await;
    let record = scene.repository.record(&id).unwrap();
    assert_eq!((logged(&record).len(), record.progress), (2, Some(67.0)));
    scene.world.release();
    scene.until(&id, JobState::Completed).await;
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn repository_that_takes_long_is_written_a_tenth_of_the_time() {
    let scene = Scene::new();
    scene.repository.pace.set(Some(PACE));
    scene.repository.slow.set(Duration::from_millis(50));
    scene.adapter.takes.set(Duration::from_millis(10));
    let id = scene.complete(job(500)).await;
    assert_whole(&scene, &id, 500);
    let times = running_saves(&scene);
    assert!(
        times.windows(2).skip(1).all(|pair| pair[1] - pair[0] >= Duration::from_millis(550)),
        "{times:?}"
    );
    assert!(times.len() > 5, "and not left behind: {times:?}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn caller_that_insists_has_his_change_stored_at_once() {
    let script = |_, options: JobExecutionOptions| async move {
        let observer = options.observer.unwrap();
        observer.chunk_complete(ChunkId::new(1.0), &WorkerResult::default()).await;
        observer.saved().await
    };
    let scene = Scene::executed_by(Scripted::new(script));
    scene.repository.pace.set(Some(PACE));
    let start = Instant::now();
    scene.complete(job(2)).await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(scene.world.passed("save").len(), 4);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn many_jobs_at_once_each_have_their_own_record() {
    for pace in [None, Some(PACE)] {
        let mut scene = Scene::new();
        scene.options.concurrency = Concurrency::from_number(3.0);
        scene.repository.slow.set(Duration::from_millis(7));
        scene.repository.pace.set(pace);
        scene.adapter.takes.set(Duration::from_millis(5));
        let ids = join_all((0..40).map(|_| scene.submit(job(20)))).await;
        for id in &ids {
            scene.until(id, JobState::Completed).await;
            assert_whole(&scene, id, 20);
        }
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 40);
        assert_eq!(scene.adapter.jobs.borrow().len(), 40 * 21);
    }
}
