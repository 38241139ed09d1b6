//! Nothing is lost, however slow the repository; and it is not asked for more than it needs.

use std::collections::HashSet;

use futures_util::future::join_all;

use super::*;
use crate::orchestrator::Concurrency;

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
    for journals in [false, true] {
        let mut scene = Scene::new();
        scene.options.concurrency = Concurrency::from_number(4.0);
        scene.repository.slow.set(Duration::from_millis(7));
        scene.repository.journals.set(journals);
        scene.adapter.takes.set(Duration::from_millis(30));
        scene.complete(job(50)).await;
        let saves = scene.repository.saves.borrow();
        for pair in saves.windows(2) {
            let (before, after) = (logged(&pair[0]), logged(&pair[1]));
            assert!(after.starts_with(&before), "{before:?} became {after:?}");
            assert!(pair[1].updated_at >= pair[0].updated_at);
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
    let counts: Vec<usize> = saves.iter().map(|job| logged(job).len()).collect();
    assert_eq!(counts, [0, 0, 1, 100, 100]);
    assert_eq!(logged(&scene.repository.record(&id).unwrap()).len(), 100);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn journal_gets_what_happens_and_no_whole_records() {
    let mut scene = Scene::new();
    scene.options.concurrency = Concurrency::from_number(8.0);
    scene.repository.journals.set(true);
    scene.repository.slow.set(Duration::from_millis(20));
    scene.adapter.takes.set(Duration::from_millis(3));
    let id = scene.complete(job(400)).await;
    assert_whole(&scene, &id, 400);
    assert_eq!(scene.world.passed("save").len(), 3, "pending, running, completed");
    assert_eq!(scene.repository.appended.get(), 400);
    let waits = scene.world.passed("append").len();
    assert!(waits <= 400 / 4, "chunks that end together wait together: {waits}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn journal_that_cannot_go_on_has_the_record_before() {
    let scene = Scene::new();
    scene.repository.journals.set(true);
    scene.repository.overtaken.set(1);
    let id = scene.complete(job(3)).await;
    assert_whole(&scene, &id, 3);
    assert_eq!(scene.world.passed("save").len(), 4);
    assert_eq!(scene.repository.saves.borrow()[2].completed_chunks, Some(1.0));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn event_that_cannot_be_stored_fails_the_job() {
    let scene = Scene::new();
    scene.repository.journals.set(true);
    scene.world.fail("append", 1, &value("disk full"));
    let id = scene.submit(job(3)).await;
    scene.until(&id, JobState::Failed).await;
    let record = scene.repository.record(&id).unwrap();
    assert_eq!((record.error.as_deref(), logged(&record)), (Some("disk full"), vec!["1".into()]));
    assert_eq!(scene.adapter.ran(), ["1"], "what is not stored is not reported");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn many_jobs_at_once_each_have_their_own_record() {
    for journals in [false, true] {
        let mut scene = Scene::new();
        scene.options.concurrency = Concurrency::from_number(3.0);
        scene.repository.slow.set(Duration::from_millis(7));
        scene.repository.journals.set(journals);
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
