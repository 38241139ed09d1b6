//! Records that others have a hand in.

use super::*;

#[tokio::test(flavor = "local", start_paused = true)]
async fn records_that_nobody_runs_are_stopped_where_that_means_something() {
    use JobState::{Cancelled, Completed, Failed, Paused, Pending, Running};
    for (state, after_cancel, after_pause) in [
        (Pending, Cancelled, Pending),
        (Running, Cancelled, Paused),
        (Paused, Cancelled, Paused),
        (Completed, Completed, Completed),
        (Failed, Failed, Failed),
        (Cancelled, Cancelled, Cancelled),
    ] {
        for (pausing, after) in [(false, after_cancel), (true, after_pause)] {
            let scene = Scene::new();
            let text = json!({ "id": "a", "state": state.as_str(), "updatedAt": 1, "own": [1] });
            scene.repository.put(&record(&text));
            let manager = &scene.manager;
            let done =
                if pausing { manager.pause_job("a").await } else { manager.cancel_job("a").await };
            done.unwrap();
            let stored = scene.repository.record("a").unwrap();
            let changed = state != after;
            let lines = if changed { vec![format!("Job a {}", after.as_str())] } else { vec![] };
            assert_eq!((stored.state, scene.lines()), (Some(after), lines), "{state:?}");
            assert_eq!(scene.world.passed("save").len(), usize::from(changed));
            assert_eq!(stored.updated_at > Some(1.0), changed);
            assert!(stored.document().unwrap().json().contains(r#""own":[1]"#));
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_of_an_unknown_state_is_left_alone() {
    let scene = Scene::new();
    scene.repository.put(&record(&json!({ "id": "a", "state": "odd" })));
    scene.manager.cancel_job("a").await.unwrap();
    scene.manager.pause_job("a").await.unwrap();
    scene.manager.resume_job("a", same).await.unwrap();
    assert_eq!(*scene.world.events.borrow(), ["get", "get", "get"]);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn thin_record_stays_thin() {
    let scene = Scene::new();
    scene.repository.put(&record(&json!({ "id": "a", "state": "pending" })));
    scene.manager.cancel_job("a").await.unwrap();
    let stored = scene.repository.record("a").unwrap();
    let updated = stored.updated_at.unwrap();
    let expected = format!(r#"{{"id":"a","state":"cancelled","updatedAt":{updated}}}"#);
    assert_eq!(stored.document().unwrap().json(), expected);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_users_add_to_a_record_while_the_job_runs_is_kept() {
    let scene = Scene::new();
    let id = scene.submit_and_hold(job(2), "merge").await;
    let mut text: Value =
        serde_json::from_str(&scene.repository.record(&id).unwrap().document().unwrap().json())
            .unwrap();
    text["note"] = json!({ "by": "me" });
    text["metrics"]["cost"] = json!(7);
    scene.repository.put(&record(&text));
    scene.world.release();
    scene.until(&id, JobState::Completed).await;
    let json = scene.repository.record(&id).unwrap().document().unwrap().json();
    let after: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&after["note"]["by"], &after["metrics"]["cost"]), (&json!("me"), &json!(7)));
    assert_eq!(
        (&after["progress"], &after["metrics"]["totalDurationMs"]),
        (&json!(100), &json!(4))
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_that_is_gone_at_the_end_is_never_saved() {
    for journals in [false, true] {
        for fails in [false, true] {
            let scene = Scene::new();
            scene.repository.journals.set(journals);
            if fails {
                scene.world.fail("merge", 1, &value("merge"));
            }
            let id = scene.submit_and_hold(job(2), "merge").await;
            scene.repository.lose(&id);
            scene.world.release();
            sleep(HOUR).await;
            assert_eq!(scene.state(&id), None, "journals {journals}, failing {fails}");
            assert_eq!(scene.job_lines(), [""; 0]);
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn record_that_is_gone_before_the_job_runs_ends_it() {
    let scene = Scene::new();
    scene.world.hold("get");
    let (manager, options) = (scene.manager.clone(), scene.options.clone());
    let submitted = spawn_local(async move { manager.submit_job(job(1), options).await });
    scene.world.until_held().await;
    let id = scene.repository.saves.borrow()[0].id.clone();
    scene.repository.lose(&id);
    scene.world.release();
    assert_eq!(submitted.await.unwrap().unwrap(), id);
    sleep(HOUR).await;
    assert_eq!((scene.state(&id), scene.adapter.ran().len(), scene.lines().len()), (None, 0, 0));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn deleted_job_never_comes_back() {
    for journals in [false, true] {
        for phase in ["save running 0", "chunk 2", "save running 1", "merge", "save completed"] {
            let scene = Scene::new();
            scene.repository.journals.set(journals);
            scene.adapter.takes.set(Duration::from_millis(30));
            scene.repository.slow.set(Duration::from_millis(20));
            scene.world.hold(phase);
            let id = scene.submit(job(5)).await;
            // A journal is not saved while chunks run.
            scene
                .world
                .until(|| {
                    scene.world.holding.get() || scene.state(&id) == Some(JobState::Completed)
                })
                .await;
            let release = async {
                yield_now().await;
                scene.world.release();
            };
            let (deleted, ()) = tokio::join!(scene.manager.delete_job(&id), release);
            deleted.unwrap();
            assert_eq!(scene.state(&id), None, "{phase}");
            sleep(HOUR).await;
            assert_eq!((scene.state(&id), scene.adapter.active.get()), (None, 0), "{phase}");
        }
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn deleted_job_does_not_come_back_when_its_repository_recovers() {
    let scene = Scene::new();
    scene.repository.journals.set(true);
    let mine = value("disk full");
    let id = scene.submit_and_hold(job(2), "chunk 2").await;
    // Neither the end nor that it failed can be stored; then the disk has room again.
    scene.world.fail("save", 2, &mine);
    scene.world.release();
    scene.world.until(|| scene.world.passed("save failed").len() == 1).await;
    scene.manager.delete_job(&id).await.unwrap();
    sleep(HOUR).await;
    assert_eq!(scene.state(&id), None);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn deleting_removes_the_record_last() {
    let scene = Scene::new();
    let id = scene.complete(job(1)).await;
    scene.manager.delete_job(&id).await.unwrap();
    assert_eq!(scene.world.events.borrow().last().unwrap(), "delete record");
    assert_eq!((scene.state(&id), scene.job_lines()), (None, vec![]));
}
