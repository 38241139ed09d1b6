//! The files of chunks that are recorded as done, with commands that really run.

use std::{fs, path::Path, sync::Arc};

use super::*;
use crate::{
    adapters::{EnvironmentSource, LocalWorkerAdapter},
    process::Environment,
};

#[derive(Debug)]
struct OwnEnvironment;

impl EnvironmentSource for OwnEnvironment {
    fn snapshot(&self) -> Environment {
        Environment(std::env::vars_os().collect())
    }
}

/// A job of three chunks in a folder, each of which writes its file, paused in the second.
struct Paused {
    scene: Scene,
    folder: tempfile::TempDir,
    id: String,
}

impl Paused {
    async fn new(command: impl Fn(u32) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut scene =
            Scene::local(LocalWorkerAdapter::new(Arc::default(), Rc::new(OwnEnvironment)));
        scene.options.job_dir = Some(folder.path().to_str().unwrap().to_owned());
        let chunk =
            |id| json!({ "id": id, "command": command(id), "outputFile": format!("{id}.mp4") });
        let chunks: Value = (1..=3).map(chunk).collect();
        let id = scene.submit_and_hold(spec(&json!({ "chunks": chunks })), "chunk 2").await;
        scene.manager.pause_job(&id).await.unwrap();
        scene.world.release();
        Self { scene, folder, id }
    }

    async fn rendered() -> Self {
        Self::new(|id| format!("sh -c 'echo video > {id}.mp4'")).await
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("1.mp4")
    }

    /// Lets the job go on to its end; gives the chunks that were rendered for it.
    async fn resume(&self) -> Vec<String> {
        let before = self.scene.adapter.ran().len();
        let job_dir = self.scene.options.job_dir.clone();
        let options = |_| Ok(JobExecutionOptions { job_dir, ..Default::default() });
        self.scene.manager.resume_job(&self.id, options).await.unwrap();
        self.scene.until(&self.id, JobState::Completed).await;
        self.scene.adapter.ran().split_off(before)
    }
}

#[tokio::test(flavor = "local")]
async fn chunk_whose_file_is_as_it_was_is_not_rendered_again() {
    let paused = Paused::rendered().await;
    assert_eq!(paused.resume().await, ["2", "3"]);
}

type Change = fn(&Path);

#[tokio::test(flavor = "local")]
async fn chunk_whose_file_has_changed_is_rendered_again() {
    let changes: [(&str, Change); 3] = [
        ("vanished", |file| fs::remove_file(file).unwrap()),
        ("grown", |file| fs::write(file, "video\nmore").unwrap()),
        ("emptied", |file| fs::write(file, "").unwrap()),
    ];
    for (what, change) in changes {
        let paused = Paused::rendered().await;
        change(&paused.file());
        assert_eq!(paused.resume().await, ["1", "2", "3"], "{what}");
        assert_eq!(fs::read_to_string(paused.file()).unwrap(), "video\n", "{what}");
        let record = paused.scene.repository.record(&paused.id).unwrap();
        // The entry of the first rendering is gone.
        assert_eq!((logged(&record).len(), record.completed_chunks), (3, Some(3.0)), "{what}");
        let sum: f64 = record.logs.unwrap().to_vec().iter().map(|entry| entry.duration_ms).sum();
        assert_eq!(record.total_duration_ms.unwrap().to_bits(), sum.to_bits(), "{what}");
    }
}

#[tokio::test(flavor = "local")]
async fn progress_goes_back_when_chunks_are_taken_back() {
    let paused = Paused::rendered().await;
    fs::remove_file(paused.file()).unwrap();
    let saves = paused.scene.repository.saves.borrow().len();
    paused.resume().await;
    let saves = paused.scene.repository.saves.borrow_mut().split_off(saves);
    let counts: Vec<_> = saves.iter().map(|job| job.completed_chunks.unwrap()).collect();
    let progress: Vec<_> = saves.iter().map(|job| job.progress.unwrap()).collect();
    assert_eq!(
        (counts, progress),
        (vec![0.0, 1.0, 2.0, 3.0, 3.0], vec![0.0, 33.0, 67.0, 100.0, 100.0])
    );
}

#[tokio::test(flavor = "local")]
async fn chunk_that_never_wrote_its_file_counts_by_its_record() {
    let paused = Paused::new(|_| "echo video".to_owned()).await;
    assert_eq!(paused.resume().await, ["2", "3"]);
}

#[tokio::test(flavor = "local")]
async fn what_was_seen_is_known_to_another_process_too() {
    for changed in [false, true] {
        let paused = Paused::rendered().await;
        let text = paused.scene.repository.record(&paused.id).unwrap().document().unwrap().json();
        paused.scene.repository.put(&JobStatus::parse(&text).unwrap());
        if changed {
            fs::write(paused.file(), "other video").unwrap();
        }
        let expected: &[&str] = if changed { &["1", "2", "3"] } else { &["2", "3"] };
        assert_eq!(paused.resume().await, expected);
    }
}

#[tokio::test(flavor = "local")]
async fn files_are_looked_for_in_the_folder_of_the_resumed_run() {
    let paused = Paused::rendered().await;
    let moved = tempfile::tempdir().unwrap();
    let folder = moved.path().to_str().unwrap().to_owned();
    let elsewhere = |_| Ok(JobExecutionOptions { job_dir: Some(folder), ..Default::default() });
    paused.scene.manager.resume_job(&paused.id, elsewhere).await.unwrap();
    paused.scene.until(&paused.id, JobState::Completed).await;
    assert_eq!(paused.scene.adapter.ran(), ["1", "2", "1", "2", "3"]);
    assert!(moved.path().join("1.mp4").exists());
}

#[tokio::test(flavor = "local")]
async fn executor_elsewhere_is_not_asked_about_files() {
    let scene = Scene::new();
    let chunk = |id| json!({ "id": id, "command": "x", "outputFile": "/no/such.mp4" });
    let job = spec(&json!({ "chunks": [chunk(1), chunk(2)] }));
    let id = scene.submit_and_hold(job, "chunk 2").await;
    scene.manager.pause_job(&id).await.unwrap();
    scene.world.release();
    scene.manager.resume_job(&id, same).await.unwrap();
    scene.until(&id, JobState::Completed).await;
    assert_eq!(scene.adapter.ran(), ["1", "2", "2"]);
    assert!(scene.repository.record(&id).unwrap().outputs.is_none());
}

#[tokio::test(flavor = "local")]
async fn file_that_is_not_written_again_is_not_missed_again() {
    let paused =
        Paused::new(|id| format!("sh -c 'mkdir {id} && echo video > {id}.mp4; true'")).await;
    fs::remove_file(paused.file()).unwrap();
    assert_eq!(paused.resume().await, ["1", "2", "3"]);
    assert!(!paused.file().exists());
    let record = paused.scene.repository.record(&paused.id).unwrap();
    paused.scene.repository.put(&JobStatus { state: Some(JobState::Paused), ..record });
    assert_eq!(paused.resume().await, [""; 0]);
}
