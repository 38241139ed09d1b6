//! What pause leaves and resume takes up again.

use std::cell::RefCell;

use super::*;
use crate::orchestrator::Concurrency;

/// A scene with a job that is paused in its second chunk.
async fn paused(scene: Scene, job: JobSpec) -> (Scene, String) {
    let id = scene.submit_and_hold(job, "chunk 2").await;
    scene.manager.pause_job(&id).await.unwrap();
    scene.world.release();
    (scene, id)
}

/// Keeps the options that a resumed job is given.
type Known = Rc<RefCell<Vec<Option<String>>>>;

fn noting(known: &Known) -> impl FnOnce(StoredOptions) -> Result<JobExecutionOptions> {
    let known = Rc::clone(known);
    move |stored| {
        let options = stored.known.as_ref();
        known.borrow_mut().push(options.map(|options| options.job_dir.clone().unwrap()));
        same(stored)
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn paused_job_keeps_what_is_done() {
    let (scene, id) = paused(Scene::new(), job(3)).await;
    let record = scene.repository.record(&id).unwrap();
    assert_eq!((record.progress, record.completed_chunks), (Some(33.0), Some(1.0)));
    assert_eq!(
        (record.state, record.error, scene.adapter.active.get()),
        (Some(JobState::Paused), None, 0)
    );
    assert_eq!(scene.job_lines(), [format!("Job {id} paused")]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn resumed_job_runs_what_is_left_and_nothing_twice() {
    for journals in [false, true] {
        let scene = Scene::new();
        scene.repository.journals.set(journals);
        let (scene, id) = paused(scene, job(3)).await;
        scene.manager.resume_job(&id, same).await.unwrap();
        scene.until(&id, JobState::Completed).await;
        assert_eq!(scene.adapter.ran(), ["1", "2", "2", "3"]);
        let record = scene.repository.record(&id).unwrap();
        assert_eq!(
            (logged(&record), record.total_duration_ms),
            (["1", "2", "3"].map(String::from).to_vec(), Some(6.0))
        );
        assert_eq!((record.completed_chunks, record.progress), (Some(3.0), Some(100.0)));
        assert_eq!(scene.world.passed("merge").len(), 1);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn job_that_is_paused_again_and_again_loses_nothing() {
    let scene = Scene::new();
    scene.adapter.takes.set(Duration::from_secs(1));
    let id = scene.submit(job(4)).await;
    for _ in 0..4 {
        sleep(Duration::from_millis(1500)).await;
        scene.manager.pause_job(&id).await.unwrap();
        scene.manager.resume_job(&id, same).await.unwrap();
    }
    scene.until(&id, JobState::Completed).await;
    assert_eq!(logged(&scene.repository.record(&id).unwrap()), ["1", "2", "3", "4"]);
    assert_eq!(scene.adapter.ran(), ["1", "2", "2", "3", "3", "4", "4"]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn options_of_the_first_run_are_known_to_the_manager_that_ran_it() {
    let (scene, id) = paused(Scene::new(), job(3)).await;
    let known = Known::default();
    scene.manager.resume_job(&id, noting(&known)).await.unwrap();
    scene.until(&id, JobState::Completed).await;
    assert_eq!(*known.borrow(), [Some("/jobs/1".to_owned())]);

    let (scene, id) = paused(Scene::new(), job(3)).await;
    scene.another_manager().resume_job(&id, noting(&known)).await.unwrap();
    scene.until(&id, JobState::Completed).await;
    assert_eq!(known.borrow()[1], None);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn options_of_a_resumed_run_are_known_to_the_next() {
    let (scene, id) = paused(Scene::new(), job(3)).await;
    scene.adapter.takes.set(Duration::from_secs(1));
    let moved =
        |_| Ok(JobExecutionOptions { job_dir: Some("/jobs/2".into()), ..Default::default() });
    scene.manager.resume_job(&id, moved).await.unwrap();
    scene.manager.pause_job(&id).await.unwrap();
    let known = Known::default();
    scene.manager.resume_job(&id, noting(&known)).await.unwrap();
    scene.until(&id, JobState::Completed).await;
    assert_eq!(*known.borrow(), [Some("/jobs/2".to_owned())]);
    let folders: Vec<_> =
        scene.adapter.jobs.borrow().iter().map(|job| job.cwd.clone().unwrap()).collect();
    assert!(
        folders[..2] == ["/jobs/1"; 2] && folders[2..].iter().all(|dir| dir == "/jobs/2"),
        "{folders:?}"
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn options_that_are_wrong_leave_the_job_paused_and_its_own_known() {
    let (scene, id) = paused(Scene::new(), job(2)).await;
    let mine = value("wrong");
    let error = scene.manager.resume_job(&id, |_| Err(thrown(&mine))).await.unwrap_err();
    assert!(is_very(&error, &mine));
    assert_eq!(scene.state(&id), Some(JobState::Paused));
    let known = Known::default();
    scene.manager.resume_job(&id, noting(&known)).await.unwrap();
    assert!(known.borrow()[0].is_some());
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn options_of_a_job_that_is_over_are_forgotten() {
    for ends in ["deleted", "edited and deleted", "lost and deleted", "resumed"] {
        let (scene, id) = paused(Scene::new(), job(2)).await;
        let record = scene.repository.record(&id).unwrap();
        match ends {
            "resumed" => {
                scene.manager.resume_job(&id, same).await.unwrap();
                scene.until(&id, JobState::Completed).await;
            }
            "lost and deleted" => {
                scene.repository.lose(&id);
                scene.manager.delete_job(&id).await.unwrap();
            }
            _ => {
                let state = if ends == "deleted" { JobState::Paused } else { JobState::Failed };
                scene.repository.put(&JobStatus { state: Some(state), ..record.clone() });
                scene.manager.delete_job(&id).await.unwrap();
            }
        }
        // Users edit records: the job is paused again as far as the manager can see.
        scene.repository.put(&record);
        let known = Known::default();
        scene.manager.resume_job(&id, noting(&known)).await.unwrap();
        assert_eq!(*known.borrow(), [None], "{ends}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn job_whose_caller_has_aborted_it_meanwhile_is_cancelled_when_it_is_resumed() {
    let mut scene = Scene::new();
    scene.options.abort.token = CancellationToken::new();
    let abort = scene.options.abort.token.clone();
    let (scene, id) = paused(scene, job(3)).await;
    abort.cancel();
    assert_eq!(scene.state(&id), Some(JobState::Paused));
    scene.manager.resume_job(&id, same).await.unwrap();
    scene.until(&id, JobState::Cancelled).await;
    assert_eq!(scene.adapter.ran(), ["1", "2"]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_of_another_process_is_resumed() {
    let scene = Scene::new();
    let logs = json!([{ "chunkId": 2, "durationMs": 4 }, { "chunkId": 2 }, "odd", {}]);
    let mut text: Value = serde_json::from_str(&job(3).json().unwrap()).unwrap();
    text = json!({ "id": "a", "spec": text, "state": "paused", "own": 1, "metrics": { "totalDurationMs": 4 }, "logs": logs });
    scene.repository.put(&record(&text));
    scene.manager.resume_job("a", same).await.unwrap();
    scene.until("a", JobState::Completed).await;
    assert_eq!(scene.adapter.ran(), ["1", "3"]);
    let stored = scene.repository.record("a").unwrap();
    assert_eq!((stored.completed_chunks, stored.total_duration_ms), (Some(3.0), Some(8.0)));
    assert!(stored.document().unwrap().json().contains(r#""own":1"#));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_that_was_edited_after_the_end_is_resumed() {
    let scene = Scene::new();
    let id = scene.complete(job(3)).await;
    let mut record = scene.repository.record(&id).unwrap();
    record.state = Some(JobState::Paused);
    record.logs = Some(record.logs.unwrap().range(0, 1).into_iter().collect());
    scene.repository.put(&record);
    scene.manager.resume_job(&id, same).await.unwrap();
    scene.until(&id, JobState::Completed).await;
    assert_eq!(scene.adapter.ran(), ["1", "2", "3", "2", "3"]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn failed_and_cancelled_jobs_go_on_where_they_were() {
    for ends in [JobState::Failed, JobState::Cancelled] {
        let scene = Scene::new();
        scene.adapter.takes.set(Duration::from_secs(1));
        if ends == JobState::Failed {
            scene.world.fail("chunk 2", 1, &value("no"));
        }
        let id = scene.submit(job(3)).await;
        if ends == JobState::Cancelled {
            scene.world.until(|| scene.adapter.ran().len() == 2).await;
            scene.manager.cancel_job(&id).await.unwrap();
        }
        scene.until(&id, ends).await;
        let ended = scene.repository.record(&id).unwrap();
        assert!(ended.finished_at.is_some() && ended.phase.is_some());
        let known = Known::default();
        scene.manager.resume_job(&id, noting(&known)).await.unwrap();
        assert_eq!(*known.borrow(), [Some("/jobs/1".to_owned())]);
        let running = scene.repository.record(&id).unwrap();
        assert_eq!((running.error, running.finished_at), (None, None));
        scene.until(&id, JobState::Completed).await;
        assert_eq!(scene.adapter.ran(), ["1", "2", "2", "3"]);
        let record = scene.repository.record(&id).unwrap();
        assert_eq!((record.error, record.phase, record.started_at), (None, None, ended.started_at));
        assert_eq!(logged(&scene.repository.record(&id).unwrap()), ["1", "2", "3"]);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn options_of_the_oldest_of_many_failed_jobs_are_forgotten() {
    let mut scene = Scene::new();
    scene.world.fail("chunk", usize::MAX, &value("no"));
    let first = scene.submit(job(1)).await;
    scene.until(&first, JobState::Failed).await;
    for _ in 0..MOST_RESUMABLE {
        scene.options.failure = crate::orchestrator::FailureSlot::default();
        let id = scene.submit(job(1)).await;
        scene.until(&id, JobState::Failed).await;
    }
    let known = Known::default();
    scene.manager.resume_job(&first, noting(&known)).await.unwrap();
    assert_eq!(*known.borrow(), [None]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn thin_record_is_resumed() {
    let scene = Scene::new();
    let spec = json!({ "chunks": [{ "id": 1, "command": "render" }] });
    scene.repository.put(&record(&json!({ "id": "a", "state": "paused", "spec": spec })));
    scene.manager.resume_job("a", same).await.unwrap();
    scene.until("a", JobState::Completed).await;
    assert_eq!(scene.repository.record("a").unwrap().progress, Some(100.0));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_without_a_job_fails_when_it_is_resumed() {
    let scene = Scene::new();
    scene.repository.put(&record(&json!({ "id": "a", "state": "paused" })));
    scene.manager.resume_job("a", same).await.unwrap();
    scene.until("a", JobState::Failed).await;
    assert_eq!(scene.job_lines(), ["error: Job a failed: spec of job a must be an object"]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn jobs_that_run_or_are_done_are_not_resumed() {
    for state in ["pending", "running", "completed", "odd"] {
        let scene = Scene::new();
        scene.repository.put(&record(&json!({ "id": "a", "state": state })));
        scene.manager.resume_job("a", same).await.unwrap();
        assert_eq!(*scene.world.events.borrow(), ["get"], "{state}");
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn resuming_twice_runs_once() {
    let (scene, id) = paused(Scene::new(), job(3)).await;
    scene.adapter.takes.set(Duration::from_secs(1));
    let manager = &scene.manager;
    let (one, two) = tokio::join!(manager.resume_job(&id, same), manager.resume_job(&id, same));
    assert!(one.is_ok() && two.is_ok());
    manager.resume_job(&id, same).await.unwrap();
    scene.until(&id, JobState::Completed).await;
    assert_eq!(scene.adapter.ran(), ["1", "2", "2", "3"]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn resuming_right_after_pausing_waits_for_the_end_of_the_old_run() {
    let script = |_, options: JobExecutionOptions| async move {
        options.abort.token.cancelled().await;
        // An end that takes its time.
        sleep(Duration::from_secs(4)).await;
        Err(Error::Aborted)
    };
    let scene = Scene::executed_by(Scripted::new(script));
    let id = scene.submit(job(2)).await;
    let start = Instant::now();
    let manager = &scene.manager;
    let (paused, resumed) = tokio::join!(manager.pause_job(&id), manager.resume_job(&id, same));
    assert!(paused.is_ok() && resumed.is_ok());
    assert_eq!(
        (start.elapsed(), scene.state(&id)),
        (Duration::from_secs(4), Some(JobState::Running))
    );
    let states: Vec<String> = scene.world.passed("save");
    assert_eq!(states, ["save pending 0", "save running 0", "save paused 0", "save running 0"]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn never_do_two_runs_of_a_job_overlap() {
    let mut scene = Scene::new();
    scene.options.concurrency = Concurrency::from_number(1.0);
    scene.adapter.takes.set(Duration::from_millis(50));
    scene.repository.slow.set(Duration::from_millis(7));
    let id = scene.submit(job(10)).await;
    for _ in 0..8 {
        sleep(Duration::from_millis(20)).await;
        let manager = &scene.manager;
        let all = tokio::join!(
            manager.pause_job(&id),
            manager.resume_job(&id, same),
            manager.pause_job(&id),
            manager.resume_job(&id, same)
        );
        assert!(all.0.is_ok() && all.1.is_ok() && all.2.is_ok() && all.3.is_ok());
    }
    scene.until(&id, JobState::Completed).await;
    assert_eq!(scene.adapter.most.get(), 1);
    assert_eq!(logged(&scene.repository.record(&id).unwrap()).len(), 10);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn job_that_is_running_is_not_resumed_whatever_its_record_says() {
    let scene = Scene::new();
    let id = scene.submit_and_hold(job(2), "chunk 2").await;
    let record = scene.repository.record(&id).unwrap();
    scene.repository.put(&JobStatus { state: Some(JobState::Paused), ..record });
    scene.manager.resume_job(&id, same).await.unwrap();
    scene.world.release();
    scene.until(&id, JobState::Completed).await;
    assert_eq!((scene.adapter.ran(), scene.adapter.most.get()), (vec!["1".into(), "2".into()], 1));
}
