//! A storage, an adapter and a client that do as a test says.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    path::Path,
};

use futures_util::{FutureExt, future::LocalBoxFuture};
use tokio_util::sync::CancellationToken;

use super::SpecClient;
use crate::{
    Error, Result,
    adapters::WorkerAdapter,
    model::{ChunkId, JobSpec, JsonSpec, WorkerJob, WorkerResult},
    process,
    storage::{ArtifactStorage, Exclusions},
};

/// Keeps definitions, marks and texts of outputs in memory. Downloads write a file `asset`.
#[derive(Debug, Default)]
pub(super) struct FakeStorage {
    pub(super) specs: HashMap<String, String>,
    /// Given one by one, the last again and again.
    pub(super) marks: RefCell<Vec<Option<String>>>,
    /// Id, name of the file, content.
    pub(super) outputs: RefCell<Vec<(String, String, String)>>,
    pub(super) downloads: RefCell<Vec<[String; 3]>>,
    /// Whether a download comes to no end.
    pub(super) stuck: Cell<bool>,
    pub(super) without_outputs: bool,
}

impl ArtifactStorage for FakeStorage {
    fn upload_asset_bundle<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a Exclusions,
        _: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>> {
        unreachable!("workers upload no assets")
    }

    fn download_asset_bundle<'a>(
        &'a self,
        job_id: &'a str,
        url: &'a str,
        target_dir: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        async move {
            self.downloads.borrow_mut().push([job_id, url, target_dir].map(str::to_owned));
            std::fs::write(Path::new(target_dir).join("asset"), "").unwrap();
            if self.stuck.get() { std::future::pending().await } else { Ok(()) }
        }
        .boxed_local()
    }

    fn delete_asset_bundle<'a>(&'a self, _: &'a str, _: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        unreachable!("workers delete nothing")
    }

    fn upload_job_spec<'a>(
        &'a self,
        _: &'a str,
        _: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        unreachable!("workers upload no definitions")
    }

    fn download_job_spec<'a>(
        &'a self,
        _: &'a str,
        url: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        async move { JsonSpec::parse(self.specs[url].as_str().into()) }.boxed_local()
    }

    fn delete_job_spec<'a>(&'a self, _: &'a str, _: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        unreachable!("workers delete nothing")
    }

    fn upload_chunk_output<'a>(
        &'a self,
        job_id: &'a str,
        _: ChunkId,
        local_file: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        async move {
            let name = Path::new(local_file).file_name().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(local_file).unwrap();
            let url = format!("fake://{job_id}/{name}");
            self.outputs.borrow_mut().push((job_id.to_owned(), name, text));
            Ok(url)
        }
        .boxed_local()
    }

    fn download_chunk_output<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        unreachable!("workers bring no outputs")
    }

    fn keeps_outputs(&self) -> bool {
        !self.without_outputs
    }

    fn cancel_mark<'a>(
        &'a self,
        _: &'a str,
        _: ChunkId,
    ) -> LocalBoxFuture<'a, Result<Option<String>>> {
        let mut marks = self.marks.borrow_mut();
        let mark = if marks.len() > 1 { marks.remove(0) } else { marks.last().cloned().flatten() };
        async move { Ok(mark) }.boxed_local()
    }
}

/// Runs commands as words: `write FILE TEXT`, `make FOLDER`, `keep`, `fail`, `hang` (until cancelled). All say `out`, `err`.
#[derive(Debug, Default)]
pub(super) struct FakeAdapter {
    pub(super) jobs: RefCell<Vec<WorkerJob>>,
}

impl WorkerAdapter for FakeAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.jobs.borrow_mut().push(job.clone());
        async move {
            let mut exit_code = crate::model::ExitCode::Code(0);
            match (&*job.command, &*job.args) {
                ("write", [file, text]) => {
                    std::fs::write(Path::new(job.cwd.as_deref().unwrap()).join(file), text)
                        .unwrap();
                }
                ("make", [folder]) => {
                    std::fs::create_dir(Path::new(job.cwd.as_deref().unwrap()).join(folder))
                        .unwrap();
                }
                ("fail", []) => exit_code = crate::model::ExitCode::Code(3),
                ("keep", []) => {}
                ("hang", []) => {
                    job.cancel.cancelled().await;
                    let report = process::Report {
                        command: "hang".into(),
                        pid: None,
                        exit_code: None,
                        signal: None,
                        stdout: "out".into(),
                        stderr: "err".into(),
                        activity: None,
                    };
                    let error = process::Error::Aborted;
                    return Err(process::Failure { error, report: Some(Box::new(report)) }.into());
                }
                other => unreachable!("{other:?}"),
            }
            let (stdout, stderr) = ("out".into(), "err".into());
            Ok(WorkerResult { exit_code, stdout, stderr, ..WorkerResult::default() })
        }
        .boxed_local()
    }
}

/// Gives definitions by their URLs; knows none by default.
#[derive(Debug, Default)]
pub(super) struct FakeClient(pub(super) HashMap<String, String>);

impl SpecClient for FakeClient {
    fn fetch<'a>(
        &'a self,
        url: &'a str,
        _: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        async move {
            let text = self.0.get(url);
            let text =
                text.ok_or_else(|| Error::from(super::Error::NotFetched("Not Found".into())))?;
            JsonSpec::parse(text.as_str().into())
        }
        .boxed_local()
    }
}
