//! The runtime with a storage, an adapter and a client that do as they are told.

use serde_json::json;
use tempfile::TempDir;

use super::{
    super::testing::{FakeAdapter, FakeClient, FakeStorage},
    *,
};

const URL: &str = "s3://bucket/4f1a/job.json";

/// A runtime, its workspace, and what it works with.
struct World {
    workspace: TempDir,
    storage: Rc<FakeStorage>,
    adapter: Rc<FakeAdapter>,
    runtime: WorkerRuntime,
}

fn definition(command: &str, assets: bool) -> String {
    let chunk = json!({ "id": 3, "command": command, "outputFile": "3.mp4" });
    let mut job = json!({ "id": "film", "chunks": [chunk] });
    if assets {
        job["assetsUrl"] = "s3://bucket/4f1a".into();
    }
    job.to_string()
}

fn world(placement: Placement, storage: FakeStorage) -> World {
    let workspace = tempfile::tempdir().unwrap();
    let (storage, adapter) = (Rc::new(storage), Rc::new(FakeAdapter::default()));
    let runtime = WorkerRuntime::new(
        workspace.path(),
        placement,
        Some(Rc::clone(&storage) as _),
        Rc::clone(&adapter) as _,
        Rc::new(FakeClient::default()),
    );
    World { workspace, storage, adapter, runtime }
}

fn storage(command: &str, assets: bool) -> FakeStorage {
    FakeStorage {
        specs: [(URL.to_owned(), definition(command, assets))].into(),
        ..FakeStorage::default()
    }
}

impl World {
    async fn run(&self, job_path: &str) -> Result<WorkerResult> {
        self.runtime.run(&run(job_path)).await
    }

    fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.workspace.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn run(job_path: &str) -> ChunkRun {
    ChunkRun::new(job_path.to_owned(), ChunkId::new(3.0))
}

fn kept(id: &str, name: &str, text: &str) -> (String, String, String) {
    (id.to_owned(), name.to_owned(), text.to_owned())
}

#[tokio::test]
async fn output_and_log_go_where_the_definition_is() {
    let world = world(Placement::Workspace, storage("write 3.mp4 video", true));
    let result = world.run(URL).await.unwrap();
    assert_eq!(result.output_url.as_deref(), Some("fake://4f1a/3.mp4"));
    let outputs = [kept("4f1a", "3.log", "out\nerr"), kept("4f1a", "3.mp4", "video")];
    assert_eq!(*world.storage.outputs.borrow(), outputs);
    let place = world.workspace.path().to_str().unwrap();
    assert_eq!(*world.storage.downloads.borrow(), [["film", "s3://bucket/4f1a", place]]);
    assert_eq!(world.adapter.jobs.borrow()[0].cwd.as_deref(), Some(place));
}

#[tokio::test]
async fn definition_in_a_file_is_stored_under_its_own_id() {
    let world = world(Placement::Workspace, FakeStorage::default());
    let file = world.workspace.path().join("job.json");
    std::fs::write(&file, definition("write 3.mp4 video", false)).unwrap();
    let result = world.run(file.to_str().unwrap()).await.unwrap();
    assert_eq!(result.output_url.as_deref(), Some("fake://film/3.mp4"));
}

#[tokio::test]
async fn what_the_command_did_not_write_is_not_stored() {
    let nothing = ["keep", "write 3.mp4 ''", "make 3.mp4"].map(|command| (command, false));
    for (command, stale) in nothing.into_iter().chain([("keep", true)]) {
        let world = world(Placement::Workspace, storage(command, false));
        if stale {
            std::fs::write(world.workspace.path().join("3.mp4"), "of another job").unwrap();
        }
        let result = world.run(URL).await.unwrap();
        assert_eq!(result.output_url, None, "{command}, {stale}");
        assert_eq!(*world.storage.outputs.borrow(), [kept("4f1a", "3.log", "out\nerr")]);
    }
}

#[tokio::test]
async fn failed_chunk_leaves_its_log() {
    let world = world(Placement::Workspace, storage("fail", false));
    assert!(!world.run(URL).await.unwrap().exit_code.is_success());
    assert_eq!(*world.storage.outputs.borrow(), [kept("4f1a", "3.log", "out\nerr")]);
}

#[tokio::test]
async fn storage_that_keeps_no_outputs_is_given_none() {
    let storage = FakeStorage { without_outputs: true, ..storage("write 3.mp4 video", false) };
    let world = world(Placement::Workspace, storage);
    assert_eq!(world.run(URL).await.unwrap().output_url, None);
    assert!(world.storage.outputs.borrow().is_empty());
}

#[tokio::test]
async fn job_without_an_id_has_no_place_for_outputs() {
    let world = world(Placement::Workspace, FakeStorage::default());
    let file = world.workspace.path().join("job.json");
    let text = r#"{"chunks":[{"id":3,"command":"write 3.mp4 video","outputFile":"3.mp4"}]}"#;
    std::fs::write(&file, text).unwrap();
    assert_eq!(world.run(file.to_str().unwrap()).await.unwrap().output_url, None);
    assert!(world.storage.outputs.borrow().is_empty());
}

#[tokio::test]
async fn run_with_assets_has_a_folder_that_goes_with_it() {
    for command in ["write 3.mp4 video", "fail", " "] {
        let world = world(Placement::FolderPerRun, storage(command, true));
        let outcome = world.run(URL).await;
        assert_eq!(outcome.is_err(), command == " ");
        assert_eq!(world.left(), [""; 0], "{command}");
        let target = world.storage.downloads.borrow()[0][2].clone();
        assert!(Path::new(&target).starts_with(world.workspace.path()));
        assert_ne!(Path::new(&target), world.workspace.path());
    }
}

#[tokio::test]
async fn run_without_assets_is_in_the_workspace() {
    let world = world(Placement::FolderPerRun, storage("write 3.mp4 video", false));
    world.run(URL).await.unwrap();
    assert_eq!(world.left(), ["3.mp4"]);
}

#[tokio::test(start_paused = true)]
async fn another_mark_than_the_first_ends_the_command() {
    let mark = |text: &str| Some(text.to_owned());
    let storage = storage("hang", true);
    *storage.marks.borrow_mut() = vec![mark("old"), mark("old"), mark("old"), mark("new")];
    let world = world(Placement::FolderPerRun, storage);
    let error = world.run(URL).await.unwrap_err();
    assert!(matches!(error, crate::Error::Aborted), "{error:?}");
    assert!(world.adapter.jobs.borrow()[0].cancel.is_cancelled());
    assert!(world.storage.outputs.borrow().is_empty(), "a log would outlive its job");
    assert_eq!(world.left(), [""; 0]);
}

#[tokio::test]
async fn chunk_that_was_cancelled_meanwhile_is_neither_begun_nor_stored() {
    let mark = |text: &str| Some(text.to_owned());
    for (marks, begun) in [(vec![None, mark("new")], 0), (vec![None, None, mark("new")], 1)] {
        let storage = storage("write 3.mp4 video", false);
        *storage.marks.borrow_mut() = marks;
        let world = world(Placement::Workspace, storage);
        let error = world.run(URL).await.unwrap_err();
        assert!(matches!(error, crate::Error::Aborted), "{error:?}");
        assert_eq!(world.adapter.jobs.borrow().len(), begun);
        assert!(world.storage.outputs.borrow().iter().all(|(_, name, _)| name == "3.log"));
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_the_command_and_leaves_its_log() {
    let world = world(Placement::FolderPerRun, storage("hang", true));
    let deadline = Some(Instant::now() + Duration::from_mins(1));
    let error = world.runtime.run(&ChunkRun { deadline, ..run(URL) }).await.unwrap_err();
    let text = "Chunk 3 was ended because the time limit of its worker was near";
    assert_eq!(error.to_string(), text);
    assert_eq!(*world.storage.outputs.borrow(), [kept("4f1a", "3.log", "out\nerr")]);
    assert_eq!(world.left(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn download_that_does_not_end_is_left_behind() {
    let storage = storage("keep", true);
    storage.stuck.set(true);
    let world = world(Placement::FolderPerRun, storage);
    let run = run(URL);
    let cancel = async {
        while world.storage.downloads.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
        run.cancel.cancel();
    };
    let (outcome, ()) = tokio::join!(world.runtime.run(&run), cancel);
    assert!(matches!(outcome, Err(crate::Error::Aborted)), "{outcome:?}");
    assert!(world.adapter.jobs.borrow().is_empty());
    assert_eq!(world.left(), [""; 0]);
}

#[tokio::test]
async fn dropped_run_ends_its_command_and_removes_its_folder() {
    let world = world(Placement::FolderPerRun, storage("hang", true));
    let run = run(URL);
    let begun = async {
        while world.adapter.jobs.borrow().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        outcome = world.runtime.run(&run) => unreachable!("{outcome:?}"),
        () = begun => {}
    }
    assert!(world.adapter.jobs.borrow()[0].cancel.is_cancelled());
    assert!(!run.cancel.is_cancelled());
    assert_eq!(world.left(), [""; 0]);
}

#[tokio::test]
async fn what_a_worker_lacks_is_named() {
    let workspace = tempfile::tempdir().unwrap();
    let path = |name: &str| workspace.path().join(name).to_str().unwrap().to_owned();
    let texts = [
        ("assets", definition("keep", true)),
        ("null", "null".to_owned()),
        ("list", "[]".to_owned()),
        ("thin", "{}".to_owned()),
        ("odd", r#"{"chunks":{}}"#.to_owned()),
        ("none", r#"{"chunks":[]}"#.to_owned()),
    ];
    for (name, text) in &texts {
        std::fs::write(path(name), text).unwrap();
    }
    let client: Rc<dyn SpecClient> = Rc::new(FakeClient::default());
    let adapter: Rc<dyn WorkerAdapter> = Rc::new(FakeAdapter::default());
    let runtime = WorkerRuntime::new(workspace.path(), Placement::Workspace, None, adapter, client);
    let no_chunks = "Invalid JobSpec: missing chunks array";
    let no_storage = "Worker was not configured with an ArtifactStorage adapter, but the job";
    for (job_path, expected) in [
        ("https://host/job.json".to_owned(), "Failed to fetch job spec: Not Found".to_owned()),
        (path("missing"), format!("ENOENT: no such file or directory, open '{}'", path("missing"))),
        (path("null"), no_chunks.to_owned()),
        (path("list"), no_chunks.to_owned()),
        (path("thin"), no_chunks.to_owned()),
        (path("odd"), no_chunks.to_owned()),
        (path("none"), "Chunk with ID 3 not found in job spec".to_owned()),
        (path("assets"), format!("{no_storage} requires remote assets.")),
        (URL.to_owned(), format!("{no_storage} spec is in one: {URL}")),
    ] {
        let error = runtime.run(&run(&job_path)).await.unwrap_err();
        assert_eq!(error.to_string(), expected, "{job_path}");
    }
}
