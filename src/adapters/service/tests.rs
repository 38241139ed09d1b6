//! Calls on a runtime whose time is ours.

use std::{cell::RefCell, future::pending};

use futures_util::future::LocalBoxFuture;

use super::*;
use crate::{
    Result,
    adapters::{
        AzureFunctionsAdapterConfig, CloudflareSandboxAdapterConfig,
        CloudflareWorkersAdapterConfig, DenoDeployAdapterConfig, FlyMachinesAdapterConfig,
        HetznerCloudAdapterConfig, ModalAdapterConfig, VercelAdapterConfig,
    },
    cloud::Secret,
    console::testing::Recorder,
    model::JobSpec,
    process::Environment,
    storage::Exclusions,
};

/// Keeps the marks, or fails, or never answers.
#[derive(Debug, Default)]
struct Marks {
    marked: RefCell<Vec<(String, ChunkId)>>,
    fails: bool,
    hangs: bool,
}

impl ArtifactStorage for Marks {
    fn mark_cancelled<'a>(
        &'a self,
        url: &'a str,
        chunk: ChunkId,
    ) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.marked.borrow_mut().push((url.to_owned(), chunk));
            if self.hangs {
                pending::<()>().await;
            }
            if self.fails { Err(crate::Error::invalid("mark", "writable")) } else { Ok(()) }
        })
    }

    fn upload_asset_bundle<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a Exclusions,
        _: &'a CancellationToken,
    ) -> LocalBoxFuture<'a, Result<String>> {
        unreachable!("only marks are used")
    }
    fn download_asset_bundle<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        unreachable!("only marks are used")
    }
    fn delete_asset_bundle<'a>(&'a self, _: &'a str, _: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        unreachable!("only marks are used")
    }
    fn upload_job_spec<'a>(
        &'a self,
        _: &'a str,
        _: &'a JobSpec,
    ) -> LocalBoxFuture<'a, Result<String>> {
        unreachable!("only marks are used")
    }
    fn download_job_spec<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<JobSpec>> {
        unreachable!("only marks are used")
    }
    fn delete_job_spec<'a>(&'a self, _: &'a str, _: &'a str) -> LocalBoxFuture<'a, Result<()>> {
        unreachable!("only marks are used")
    }
    fn upload_chunk_output<'a>(
        &'a self,
        _: &'a str,
        _: ChunkId,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<String>> {
        unreachable!("only marks are used")
    }
    fn download_chunk_output<'a>(
        &'a self,
        _: &'a str,
        _: &'a str,
        _: &'a str,
    ) -> LocalBoxFuture<'a, Result<()>> {
        unreachable!("only marks are used")
    }
}

/// No variables, and nobody who waits.
#[derive(Debug)]
struct Nothing;

impl EnvironmentSource for Nothing {
    fn snapshot(&self) -> Environment {
        Environment(Vec::new())
    }
}

impl LocalSpawner for Nothing {
    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        tokio::task::spawn_local(work);
    }
}

struct Scene {
    marks: Rc<Marks>,
    console: Rc<Recorder>,
    around: Surroundings,
    job: WorkerJob,
}

fn scene(marks: Marks) -> Scene {
    let (marks, console) = (Rc::new(marks), Rc::new(Recorder::default()));
    let around = Surroundings {
        storage: Some(Rc::clone(&marks) as _),
        console: Rc::clone(&console) as _,
        environment: Rc::new(Nothing),
        spawner: Rc::new(Nothing),
        closing: CancellationToken::new(),
    };
    Scene { marks, console, around, job: WorkerJob::default() }
}

impl Scene {
    async fn call(
        &self,
        limit: Option<Duration>,
        work: impl Future<Output = Reply> + Send + 'static,
    ) -> Call<Reply> {
        let request = ChunkRequest::new(ChunkId::new(7.0), "s3://b/j/job.json");
        self.around.call(&self.job, Some(&request), limit, work).await
    }

    fn marked(&self) -> usize {
        self.marks
            .marked
            .borrow()
            .iter()
            .filter(|mark| **mark == ("s3://b/j/job.json".into(), ChunkId::new(7.0)))
            .count()
    }
}

#[test]
fn configs_do_not_show_their_secrets() {
    let secret = || Secret("hush".to_owned());
    let holders: [&dyn std::fmt::Debug; 10] = [
        &AzureFunctionsAdapterConfig { function_key: Some(secret()), ..Default::default() },
        &CloudflareSandboxAdapterConfig { api_token: secret(), ..Default::default() },
        &CloudflareWorkersAdapterConfig { auth_token: Some(secret()), ..Default::default() },
        &DenoDeployAdapterConfig { auth_token: Some(secret()), ..Default::default() },
        &FlyMachinesAdapterConfig { api_token: secret(), ..Default::default() },
        &HetznerCloudAdapterConfig {
            api_token: secret(),
            result_url: Some(secret()),
            ..Default::default()
        },
        &ModalAdapterConfig { auth_token: Some(secret()), ..Default::default() },
        &VercelAdapterConfig { auth_token: Some(secret()), ..Default::default() },
        &Endpoint::bearer(String::new(), Some(&secret())),
        &Endpoint::keyed(String::new(), "x-key", Some(secret())),
    ];
    for holder in holders {
        let shown = format!("{holder:?}");
        assert!(shown.contains("Secret") && !shown.contains("hush"), "{shown}");
    }
}

#[test]
fn body_has_the_number_as_it_is() {
    let body = |id| ChunkRequest::new(ChunkId::new(id), "s3://b/\"j\"/job.json").body();
    assert_eq!(body(0.0), r#"{"jobPath":"s3://b/\"j\"/job.json","chunkIndex":0}"#);
    assert_eq!(body(1.5), r#"{"jobPath":"s3://b/\"j\"/job.json","chunkIndex":1.5}"#);
}

#[tokio::test(start_paused = true)]
async fn answer_leaves_no_mark() {
    let scene = scene(Marks::default());
    assert!(matches!(scene.call(None, async { Reply::default() }).await, Call::Answered(_)));
    assert_eq!(scene.marked(), 0);
}

#[tokio::test(start_paused = true)]
async fn aborted_job_is_not_begun() {
    let scene = scene(Marks::default());
    scene.job.cancel.cancel();
    let call = scene.call(None, async { unreachable!("nobody wants it") }).await;
    assert!(matches!(call, Call::Aborted));
    assert_eq!(scene.marked(), 0);
}

#[tokio::test(start_paused = true)]
async fn abort_and_timeout_and_the_end_drop_the_work_and_leave_a_mark() {
    for how in ["abort", "timeout", "closing"] {
        let scene = scene(Marks::default());
        let dropped = CancellationToken::new();
        let guard = dropped.clone().drop_guard();
        let (cancel, closing) = (scene.job.cancel.clone(), scene.around.closing.clone());
        let work = async move {
            let _guard = guard;
            match how {
                "abort" => cancel.cancel(),
                "closing" => closing.cancel(),
                _ => {}
            }
            pending().await
        };
        let call = scene.call(Some(Duration::from_secs(5)), work).await;
        assert_eq!(
            matches!(call, Call::TimedOut(limit) if limit.as_secs() == 5),
            how == "timeout",
            "{how}"
        );
        assert!(dropped.is_cancelled(), "{how}");
        assert_eq!(scene.marked(), 1, "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn marks_that_fail_or_hang_are_only_warned_of() {
    for (marks, problem) in [
        (Marks { fails: true, ..Marks::default() }, "mark must be writable"),
        (Marks { hangs: true, ..Marks::default() }, "no answer within 5000ms"),
    ] {
        let scene = scene(marks);
        let call = scene.call(Some(Duration::from_secs(1)), pending()).await;
        assert!(matches!(call, Call::TimedOut(_)));
        let warning = format!("warn: Warning: chunk 7 could not be marked as cancelled: {problem}");
        assert_eq!(*scene.console.lines.borrow(), [warning]);
    }
}
