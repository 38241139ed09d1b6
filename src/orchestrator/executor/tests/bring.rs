//! Files that are rendered elsewhere.

use std::path::Path;

use tokio::sync::Semaphore;

use super::*;
use crate::storage::{ArtifactStorage, Exclusions, LocalStorageAdapter};

/// A storage in a folder, from which files are brought when they may be.
#[derive(Debug)]
struct Depot {
    inner: LocalStorageAdapter,
    /// How many more files may be brought.
    open: Semaphore,
    /// How many of them fail.
    failing: Cell<u32>,
}

impl ArtifactStorage for Depot {
    fn upload_asset_bundle<'a>(
        &'a self,
        id: &'a str,
        folder: &'a str,
        exclusions: &'a Exclusions,
        cancel: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>> {
        self.inner.upload_asset_bundle(id, folder, exclusions, cancel)
    }

    fn download_asset_bundle<'a>(
        &'a self,
        id: &'a str,
        url: &'a str,
        folder: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        self.inner.download_asset_bundle(id, url, folder)
    }

    fn delete_asset_bundle<'a>(
        &'a self,
        id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        self.inner.delete_asset_bundle(id, url)
    }

    fn upload_job_spec<'a>(
        &'a self,
        id: &'a str,
        spec: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        self.inner.upload_job_spec(id, spec)
    }

    fn download_job_spec<'a>(
        &'a self,
        id: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        self.inner.download_job_spec(id, url)
    }

    fn delete_job_spec<'a>(&'a self, id: &'a str, url: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        self.inner.delete_job_spec(id, url)
    }

    fn upload_chunk_output<'a>(
        &'a self,
        id: &'a str,
        chunk: ChunkId,
        file: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        self.inner.upload_chunk_output(id, chunk, file)
    }

    fn download_chunk_output<'a>(
        &'a self,
        id: &'a str,
        url: &'a str,
        file: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            self.open.acquire().await.unwrap().forget();
            if self.failing.get() > 0 {
                self.failing.set(self.failing.get() - 1);
                return Err(CrateError::invalid("network", "there"));
            }
            self.inner.download_chunk_output(id, url, file).await
        }
        .boxed_local()
    }
}

/// A job's folder here, a storage, and a worker elsewhere that leaves the text it is made with as the file of each chunk.
struct Scene {
    here: tempfile::TempDir,
    storage: tempfile::TempDir,
    depot: Rc<Depot>,
    adapter: Rc<Scripted>,
    console: Rc<Recorder>,
    options: JobExecutionOptions,
}

impl Scene {
    fn new(open: usize, rendered: &'static str) -> Self {
        let (here, storage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(here.path().join("scene.json"), "{}").unwrap();
        std::fs::write(here.path().join(".env"), "SECRET=1").unwrap();
        std::fs::write(here.path().join("1.mp4"), "of an earlier run").unwrap();
        let depot = Rc::new(Depot {
            inner: LocalStorageAdapter::new(storage.path()),
            open: Semaphore::new(open),
            failing: Cell::default(),
        });
        let worker = Rc::clone(&depot);
        let adapter = Scripted::new(
            move |call| {
                let depot = Rc::clone(&worker);
                async move { render(&depot, &call, rendered).await }
            },
            true,
        );
        let options = JobExecutionOptions {
            job_dir: Some(here.path().to_str().unwrap().to_owned()),
            storage: Some(Rc::clone(&depot) as _),
            retry_delay: Duration::ZERO,
            ..JobExecutionOptions::default()
        };
        Self { here, storage, depot, adapter, console: Rc::default(), options }
    }

    async fn run(&self, chunks: &[u32]) -> Result<()> {
        let executor =
            JobExecutor::new(Rc::clone(&self.adapter) as _, Rc::clone(&self.console) as _);
        executor.execute(job(chunks), self.options.clone()).await
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.here.path().join(file)).unwrap()
    }

    fn is_stored(&self) -> bool {
        std::fs::read_dir(self.storage.path()).unwrap().next().is_some()
    }
}

/// What a worker elsewhere does: with the definition and the assets in the storage, and nothing else.
async fn render(depot: &Depot, call: &Call, rendered: &str) -> Answer {
    let url = call.job.job_def_url.as_deref().unwrap();
    let spec = depot.download_job_spec("", url).await?;
    let workspace = tempfile::tempdir().unwrap();
    let folder = workspace.path().to_str().unwrap();
    depot.download_asset_bundle("", spec.assets_url.as_deref().unwrap(), folder).await?;
    let mut names: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let chunk = call.job.chunk.as_ref().unwrap();
    let file = workspace.path().join("chunk.mp4");
    let text = format!("{} {names:?} {rendered}", chunk.id);
    std::fs::write(&file, if rendered.is_empty() { "" } else { &text }).unwrap();
    let id = Path::new(url).parent().and_then(Path::file_name).unwrap().to_str().unwrap();
    let url = depot.upload_chunk_output(id, chunk.id, file.to_str().unwrap()).await?;
    Ok(WorkerResult { output_url: Some(url), ..WorkerResult::default() })
}

#[tokio::test(flavor = "local")]
async fn files_are_brought_and_nothing_stays_in_the_storage() {
    let scene = Scene::new(100, "frames");
    scene.run(&[1, 2, 3]).await.unwrap();
    for id in ["1", "2", "3"] {
        let text = scene.text(&format!("{id}.mp4"));
        assert!(text.starts_with(id), "{text}");
        assert!(text.contains("scene.json"), "{text}");
        assert!(!text.contains(".env") && !text.contains("1.mp4"), "what stays at home: {text}");
    }
    assert!(!scene.is_stored());
}

#[tokio::test(flavor = "local")]
async fn two_runs_of_one_job_do_not_meet() {
    let scenes = [Scene::new(100, "one"), Scene::new(100, "two")];
    let mut options = scenes[1].options.clone();
    options.storage.clone_from(&scenes[0].options.storage);
    let other = JobExecutor::new(Rc::clone(&scenes[0].adapter) as _, Rc::new(Recorder::default()));
    let (first, second) = tokio::join!(scenes[0].run(&[1]), other.execute(job(&[1]), options));
    first.and(second).unwrap();
    let urls: Vec<_> = (0..2).map(|index| scenes[0].adapter.job(index).job_def_url).collect();
    assert_ne!(urls[0], urls[1]);
    assert!(!scenes[0].is_stored());
}

#[tokio::test(flavor = "local")]
async fn others_render_while_a_file_is_brought_and_no_more_than_asked_for() {
    let scene = Scene::new(0, "frames");
    let free = async {
        while scene.adapter.started().len() < 3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            scene.console.lines.borrow().iter().filter(|l| l.contains("completed")).count(),
            0
        );
        scene.depot.open.add_permits(3);
    };
    let (outcome, ()) = tokio::join!(scene.run(&[1, 2, 3]), free);
    outcome.unwrap();
    assert_eq!(
        (scene.adapter.started(), scene.adapter.most.get()),
        (vec!["1".into(), "2".into(), "3".into()], 1)
    );
    assert!(scene.console.lines.borrow().iter().all(|line| !line.contains("[Worker 2]")));
}

#[tokio::test(flavor = "local")]
async fn file_that_does_not_come_fails_the_attempt() {
    let mut scene = Scene::new(100, "frames");
    scene.depot.failing.set(1);
    scene.options.retries = 1.0;
    scene.run(&[1]).await.unwrap();
    assert_eq!(scene.adapter.started(), ["1", "1"]);
    scene.depot.failing.set(9);
    let error = scene.run(&[2]).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "Chunk 2 failed after 2 attempts: the file of the chunk could not be fetched from the storage: network must be there"
    );
    assert!(!scene.is_stored());
}

#[tokio::test(flavor = "local")]
async fn empty_file_fails_the_attempt() {
    let scene = Scene::new(100, "");
    let error = scene.run(&[1]).await.unwrap_err().to_string();
    assert!(error.contains("1.mp4") && error.contains("empty"), "{error}");
}

#[tokio::test(flavor = "local")]
async fn abort_ends_the_wait_for_a_file_and_nothing_stays_in_the_storage() {
    let scene = Scene::new(0, "frames");
    let abort = async {
        while scene.adapter.started().len() < 2 {
            tokio::task::yield_now().await;
        }
        scene.options.abort.token.cancel();
    };
    let (outcome, ()) = tokio::join!(scene.run(&[1, 2]), abort);
    assert!(outcome.unwrap_err().is_abort());
    assert!(!scene.is_stored());
}

#[tokio::test(flavor = "local")]
async fn job_that_its_owner_has_stored_himself_is_not_stored_again() {
    let mut scene = Scene::new(100, "frames");
    let own = job(&[1]);
    let assets = scene
        .depot
        .upload_asset_bundle(
            "mine",
            scene.here.path().to_str().unwrap(),
            &Exclusions::default(),
            &CancellationToken::new(),
        )
        .await
        .unwrap();
    let url = scene.depot.upload_job_spec("mine", &own.with_assets_at(assets)).await.unwrap();
    scene.options.job_def_url = Some(url.clone());
    scene.run(&[1]).await.unwrap();
    assert_eq!(scene.adapter.job(0).job_def_url, Some(url.clone()));
    assert!(scene.text("1.mp4").contains("frames"));
    assert!(scene.depot.download_job_spec("mine", &url).await.is_ok(), "the owner's own stays");
}
