//! What a manager stores elsewhere for a job, and removes with it.

use super::*;

/// The text of a job whose assets were uploaded.
fn uploaded(spec: &JobSpec) -> String {
    spec.with_assets_at("s3://assets".into()).json().unwrap().to_string()
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn job_is_uploaded_before_it_runs_and_its_urls_go_where_they_belong() {
    let scene = Scene::uploading();
    let own = spec(
        &json!({ "assetsUrl": "old://url", "chunks": [{ "id": 1, "command": "x" }], "own": 1 }),
    );
    let id = scene.complete(own.clone()).await;
    let events = [
        "save pending 0".to_owned(),
        "get".to_owned(),
        "save running 0".to_owned(),
        format!("upload bundle {id} /jobs/1"),
        format!("upload spec {id} {}", uploaded(&own)),
        "save running 0".to_owned(),
        "chunk 1".to_owned(),
    ];
    assert_eq!(scene.world.events.borrow()[..7], events);
    assert_eq!(scene.adapter.jobs.borrow()[0].job_def_url.as_deref(), Some("s3://job.json"));
    let record = scene.repository.record(&id).unwrap();
    assert_eq!(record.job_def_url.as_deref(), Some("s3://job.json"));
    assert_eq!(*record.spec.unwrap().json().unwrap(), uploaded(&own));
    assert!(own.json().unwrap().contains("old://url"), "the caller's own job stays as it is");
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn nothing_is_uploaded_without_a_storage_or_a_folder() {
    for (mut scene, folder) in [(Scene::new(), Some("/jobs/1")), (Scene::uploading(), None)] {
        scene.options.job_dir = folder.map(str::to_owned);
        let id = scene.complete(job(1)).await;
        assert_eq!(scene.world.passed("upload"), [""; 0]);
        let record = scene.repository.record(&id).unwrap();
        assert_eq!((record.job_def_url, record.spec.unwrap().assets_url), (None, None));
        assert_eq!(scene.adapter.jobs.borrow()[0].job_def_url, None);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn failing_upload_fails_the_job_before_it_runs() {
    for point in ["upload bundle", "upload spec"] {
        let scene = Scene::uploading();
        scene.world.fail(point, 1, &value("no space"));
        let id = scene.submit(job(1)).await;
        scene.until(&id, JobState::Failed).await;
        let record = scene.repository.record(&id).unwrap();
        assert_eq!(record.error.as_deref(), Some("Asset/Spec upload failed: no space"));
        let line = format!("error: Job {id} failed to upload assets/spec: no space");
        assert_eq!((scene.lines(), scene.adapter.ran().len()), (vec![line], 0));
        // What was uploaded can be deleted.
        let url = record.spec.unwrap().assets_url;
        assert_eq!(url.as_deref(), (point == "upload spec").then_some("s3://assets"));
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn upload_that_does_not_end_is_left_behind_after_its_grace() {
    for point in ["upload bundle", "upload spec"] {
        let mut scene = Scene::uploading();
        scene.options.kill_grace = Duration::from_secs(3);
        let id = scene.submit_and_hold(job(1), point).await;
        let start = Instant::now();
        scene.manager.cancel_job(&id).await.unwrap();
        assert_eq!(
            (start.elapsed(), scene.state(&id)),
            (Duration::from_secs(3), Some(JobState::Cancelled))
        );
        let warned = scene
            .lines()
            .iter()
            .filter(|line| line.starts_with("warn: ") && line.contains(&id))
            .count();
        assert_eq!((warned, scene.adapter.ran().len()), (1, 0));
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn resumed_job_is_not_uploaded_again() {
    let scene = Scene::uploading();
    let id = scene.submit_and_hold(job(2), "chunk 2").await;
    scene.manager.pause_job(&id).await.unwrap();
    scene.world.release();
    scene.manager.resume_job(&id, same).await.unwrap();
    scene.until(&id, JobState::Completed).await;
    assert_eq!(scene.world.passed("upload").len(), 2);
    let jobs = scene.adapter.jobs.borrow();
    let chunks = jobs.iter().filter(|job| job.chunk.is_some());
    let urls: Vec<_> = chunks.map(|job| job.job_def_url.as_deref()).collect();
    assert_eq!(urls, [Some("s3://job.json"); 3]);
    assert_eq!(*jobs[2].chunk.as_ref().unwrap().spec.json().unwrap(), uploaded(&job(2)));
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn deleting_a_job_removes_what_was_uploaded_for_it_then_its_record() {
    let scene = Scene::uploading();
    let id = scene.complete(job(1)).await;
    scene.manager.delete_job(&id).await.unwrap();
    let events = scene.world.events.borrow();
    let last = [
        format!("delete bundle {id} s3://assets"),
        format!("delete spec {id} s3://job.json"),
        "delete record".to_owned(),
    ];
    assert_eq!(events[events.len() - 3..], last);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn deleting_a_record_removes_what_it_tells_of() {
    for (text, deleted) in [
        (
            json!({ "spec": { "assetsUrl": "u:1" }, "meta": { "jobDefUrl": "u:2" } }),
            vec!["bundle a u:1", "spec a u:2"],
        ),
        (json!({ "spec": { "assetsUrl": "u:1" } }), vec!["bundle a u:1"]),
        (json!({ "spec": {}, "meta": { "jobDefUrl": "u:2" } }), vec!["spec a u:2"]),
        (json!({ "spec": { "assetsUrl": "" }, "meta": { "jobDefUrl": "", "own": 1 } }), vec![]),
        (json!({}), vec![]),
    ] {
        let scene = Scene::uploading();
        let mut text = text;
        text["id"] = json!("a");
        text["state"] = json!("completed");
        scene.repository.put(&record(&text));
        scene.manager.delete_job("a").await.unwrap();
        let deleted: Vec<String> = deleted.iter().map(|what| format!("delete {what}")).collect();
        assert_eq!(scene.world.passed("delete")[..deleted.len()], deleted);
        assert_eq!(scene.world.passed("delete")[deleted.len()..], ["delete record"]);
        assert_eq!(scene.state("a"), None);
    }
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn what_the_storage_cannot_delete_is_only_printed() {
    let scene = Scene::uploading();
    let id = scene.complete(job(1)).await;
    scene.world.fail("delete bundle", 1, &value("one"));
    scene.world.fail("delete spec", 1, &value("two"));
    scene.manager.delete_job(&id).await.unwrap();
    let lines = [
        format!("error: Failed to delete assets for job {id}: one"),
        format!("error: Failed to delete job spec for job {id}: two"),
    ];
    assert_eq!(
        (scene.lines().split_off(scene.lines().len() - 2), scene.state(&id)),
        (lines.to_vec(), None)
    );
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn running_job_is_cancelled_before_anything_of_it_is_deleted() {
    let scene = Scene::uploading();
    let id = scene.submit_and_hold(job(2), "chunk 1").await;
    scene.manager.delete_job(&id).await.unwrap();
    let events = scene.world.events.borrow();
    let cancelled = events.iter().position(|event| event.starts_with("save cancelled")).unwrap();
    let deleted = events.iter().position(|event| event.starts_with("delete")).unwrap();
    assert!(cancelled < deleted && scene.adapter.active.get() == 0);
}

#[tokio::test(flavor = "local", start_paused = true)]
async fn failed_upload_is_an_upload_error() {
    let error = JobError::Upload { source: Box::new(thrown(&value("no space"))) };
    assert_eq!(Error::from(error).to_string(), "Asset/Spec upload failed: no space");
}
