//! A repository that fails: printed, stored where that can be, and nothing hangs.

use super::*;

#[tokio::test(flavor = "local", start_paused = true)]
async fn repository_that_fails_once_ends_the_job_failed() {
    for (point, line) in [
        ("get", "Unhandled error in job"),
        ("save running 0", "failed"),
        ("save running 1", "failed"),
        ("save completed", "Unhandled error in job"),
    ] {
        for journals in [false, true] {
            let point = if journals && point == "save running 1" { "append" } else { point };
            let scene = Scene::new();
            scene.repository.journals.set(journals);
            scene.adapter.takes.set(Duration::from_secs(1));
            scene.world.fail(point, 1, &value("cannot"));
            let id = scene.submit(job(3)).await;
            scene.until(&id, JobState::Failed).await;
            assert_eq!(scene.repository.record(&id).unwrap().error.as_deref(), Some("cannot"));
            let line = match line {
                "failed" => format!("error: Job {id} failed: cannot"),
                line => format!("error: {line} {id}: cannot"),
            };
            assert_eq!(scene.job_lines(), [line], "{point}, journals {journals}");
            sleep(HOUR).await;
            let rest = (scene.state(&id), scene.adapter.active.get());
            assert_eq!(rest, (Some(JobState::Failed), 0), "{point}, journals {journals}");
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_that_cannot_be_read_again_ends_the_job_failed() {
    let scene = Scene::new();
    let id = scene.submit_and_hold(job(2), "merge").await;
    scene.world.fail("get", 1, &value("cannot"));
    scene.world.release();
    scene.until(&id, JobState::Failed).await;
    let record = scene.repository.record(&id).unwrap();
    assert_eq!((record.error.as_deref(), logged(&record).len()), (Some("cannot"), 2));
    assert_eq!(scene.job_lines(), [format!("error: Unhandled error in job {id}: cannot")]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn chunks_that_cannot_be_recorded_are_not_followed_by_others() {
    let scene = Scene::new();
    scene.world.fail("save running 1", 1, &value("cannot"));
    let id = scene.submit(job(3)).await;
    scene.until(&id, JobState::Failed).await;
    assert_eq!((scene.adapter.ran(), scene.world.passed("merge")), (vec!["1".into()], vec![]));
    // What could not be stored then is stored now.
    assert_eq!(logged(&scene.repository.record(&id).unwrap()), ["1"]);
    let done = "[Worker 1] Chunk 1 completed (1/3)".to_owned();
    assert!(!scene.lines().contains(&done), "nothing is said of a chunk that is not stored");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn repository_that_fails_for_ever_hangs_nothing() {
    for journals in [false, true] {
        for point in ["get", "save running", "save completed"] {
            let scene = Scene::new();
            scene.repository.journals.set(journals);
            scene.world.fail(point, usize::MAX, &value("cannot"));
            scene.world.fail("save failed", usize::MAX, &value("cannot"));
            let id = scene.submit(job(2)).await;
            let left =
                if point == "save completed" { JobState::Running } else { JobState::Pending };
            sleep(HOUR).await;
            assert_eq!(scene.state(&id), Some(left), "{point}");
            assert!(!scene.job_lines().is_empty(), "{point}");
            let never = CancellationToken::new();
            let waited = scene.manager.wait_for_job(&id, &never);
            let told = tokio::time::timeout(HOUR, waited).await.unwrap().unwrap_err().to_string();
            let expected = if point == "get" {
                "cannot".to_owned()
            } else {
                format!("the end of job {id} could not be stored: cannot")
            };
            assert_eq!(told, expected, "{point}");
            let ended = (scene.adapter.active.get(), scene.world.events.borrow().len());
            sleep(HOUR).await;
            assert_eq!((scene.adapter.active.get(), scene.world.events.borrow().len()), ended);
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn controls_fail_with_the_very_error_of_the_repository() {
    let mine = value("cannot");
    for point in ["get", "save", "delete record"] {
        let scene = Scene::new();
        let (manager, world) = (&scene.manager, &scene.world);
        scene.repository.put(&record(&json!({ "id": "a", "state": "running" })));
        world.fail(point, usize::MAX, &mine);
        let concerned = |result: Result<()>, is_concerned: bool| match result {
            Err(error) => is_very(&error, &mine) && is_concerned,
            Ok(()) => !is_concerned,
        };
        assert!(concerned(manager.pause_job("a").await, point != "delete record"), "{point}");
        assert!(concerned(manager.cancel_job("a").await, point != "delete record"), "{point}");
        assert!(concerned(manager.resume_job("a", same).await, point == "get"), "{point}");
        assert!(concerned(manager.delete_job("a").await, true), "{point}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn work_is_ended_also_where_that_cannot_be_stored() {
    let scene = Scene::new();
    let id = scene.submit_and_hold(job(3), "chunk 2").await;
    scene.world.fail("save", usize::MAX, &value("cannot"));
    // Whether it fails is left open; that it settles when nothing runs any more is not.
    drop(scene.manager.cancel_job(&id).await);
    assert_eq!(scene.adapter.active.get(), 0);
    scene.world.release();
    sleep(HOUR).await;
    assert_eq!(
        (scene.adapter.ran(), scene.state(&id)),
        (vec!["1".into(), "2".into()], Some(JobState::Running))
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn resumed_job_whose_record_cannot_be_read_stays_paused_and_can_be_resumed_again() {
    let scene = Scene::new();
    let id = scene.submit_and_hold(job(2), "chunk 2").await;
    scene.manager.pause_job(&id).await.unwrap();
    scene.world.release();
    // The manager reads the record, then its run does.
    scene.world.events.borrow_mut().clear();
    let mine = value("cannot");
    let fail = async {
        scene.world.until(|| scene.world.passed("get").len() == 1).await;
        scene.world.fail("get", 1, &mine);
    };
    let (resumed, ()) = tokio::join!(biased; scene.manager.resume_job(&id, same), fail);
    resumed.unwrap();
    assert_eq!(scene.state(&id), Some(JobState::Paused));
    let line = format!("error: Unhandled error resuming job {id}: cannot");
    assert_eq!(scene.job_lines(), [format!("Job {id} paused"), line]);
    scene.manager.resume_job(&id, same).await.unwrap();
    scene.until(&id, JobState::Completed).await;
    let folders: Vec<_> = scene.adapter.jobs.borrow().iter().map(|job| job.cwd.clone()).collect();
    assert!(folders.iter().all(|folder| folder.as_deref() == Some("/jobs/1")), "{folders:?}");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn executor_of_the_users_hears_that_its_change_could_not_be_stored() {
    let answer = Rc::new(Cell::new(None));
    let told = Rc::clone(&answer);
    let script = move |_, options: JobExecutionOptions| {
        let told = Rc::clone(&told);
        async move {
            let observer = options.observer.unwrap();
            observer.progress(1, 1).await;
            let result = WorkerResult::default();
            told.set(Some(observer.chunk_complete(ChunkId::new(1.0), &result).await));
            Err(options.failure.take().unwrap())
        }
    };
    let scene = Scene::executed_by(Scripted::new(script));
    scene.world.fail("save running 1", 1, &value("cannot"));
    let id = scene.submit(job(1)).await;
    scene.until(&id, JobState::Failed).await;
    assert_eq!(answer.get(), Some(false));
}
