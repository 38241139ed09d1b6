//! What becomes of clients and containers, with a stand-in for the client.

#![cfg(unix)]

use std::{
    os::unix::fs::PermissionsExt,
    path::Path,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::*;
use crate::{
    console::testing::Recorder,
    model::{RetryHint, RetryKind},
};

/// A client that notes what it was asked, and does with it what `script` says. The mark of a container is a file.
struct Stage {
    folder: TempDir,
    console: Rc<Recorder>,
    remains: Remains,
}

#[derive(Debug)]
struct ChangedPath(String);

impl EnvironmentSource for ChangedPath {
    fn snapshot(&self) -> Environment {
        let mut environment = Environment(std::env::vars_os().collect());
        environment.apply(vec![("PATH".to_owned(), Some(self.0.clone()))]);
        environment
    }
}

impl Stage {
    fn new(script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let docker = folder.path().join("docker");
        let text = format!(
            "#!/bin/sh\ncd '{}'\necho \"$*\" >> asked\n{script}\n",
            folder.path().display()
        );
        std::fs::write(&docker, text).unwrap();
        std::fs::set_permissions(docker, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, console: Rc::default(), remains: Remains::default() }
    }

    fn adapter(&self, mount_job_dir: bool) -> DockerAdapter {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().display());
        let options = DockerAdapterOptions {
            image: "film".to_owned(),
            mount_job_dir,
            ..DockerAdapterOptions::default()
        };
        let around = DockerSurroundings {
            supervisor: Arc::default(),
            environment: Rc::new(ChangedPath(path)),
            console: Rc::clone(&self.console) as _,
            remains: self.remains.clone(),
        };
        DockerAdapter::new(options, around).unwrap()
    }

    /// The first words of what the client was asked, but for what it was told to run.
    fn asked(&self) -> Vec<String> {
        let asked = std::fs::read_to_string(self.folder.path().join("asked")).unwrap_or_default();
        asked.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }
}

fn job() -> WorkerJob {
    WorkerJob { command: "true".to_owned(), ..WorkerJob::default() }
}

async fn until(condition: impl Fn() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < limit, "waited for too long");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn exists(file: &Path) -> impl Fn() -> bool + '_ {
    move || file.exists()
}

#[tokio::test]
async fn exit_code_is_that_of_the_client() {
    let missing = "rm) echo 'Error response from daemon: No such container' >&2 ;;";
    let stage =
        Stage::new(&format!("case $1 in {missing} *) echo out; echo err >&2; exit 3 ;; esac"));
    let result = stage.adapter(true).execute(job()).await.unwrap();
    assert_eq!(result.exit_code, ExitCode::Code(3));
    assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("out\n", "err\n"));
    assert_eq!((result.retry, result.pid), (None, None));
    // Whoever has lost its container does not say so.
    assert_eq!(stage.asked(), ["run", "rm"]);
}

#[tokio::test]
async fn container_of_a_client_that_lost_its_daemon_is_removed() {
    let stage = Stage::new("[ $1 = run ] && echo 'docker: unexpected EOF' >&2 && exit 125; exit 0");
    let result = stage.adapter(true).execute(job()).await.unwrap();
    let transient = RetryHint { kind: RetryKind::Transient, after: None };
    assert_eq!((result.exit_code, result.retry), (ExitCode::Code(125), Some(transient)));
    assert_eq!(stage.asked(), ["run", "rm"]);
}

#[tokio::test]
async fn cancelled_job_starts_nothing() {
    let stage = Stage::new("exit 0");
    let cancelled = job();
    cancelled.cancel.cancel();
    let result = stage.adapter(true).execute(cancelled).await.unwrap();
    assert_eq!((result.exit_code, result.stderr.as_str()), (ExitCode::Code(1), "Job was aborted"));
    assert_eq!(stage.asked(), [""; 0]);
}

/// Runs until it is killed, as its container is.
const KILLABLE: &str = "case $1 in
run) trap '' TERM; : > running; while [ -e running ]; do sleep 0.01; done; exit 137 ;;
kill) rm running ;;
rm) echo 'Error: No such container' >&2 ;;
esac";

#[tokio::test]
async fn cancelled_container_is_killed_before_its_client() {
    let stage = Stage::new(KILLABLE);
    let (adapter, running) = (stage.adapter(true), job());
    let cancel = running.cancel.clone();
    let work = adapter.execute(running);
    let stop = async {
        until(exists(&stage.file("running"))).await;
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(work, stop);
    assert_eq!(result.unwrap().exit_code, ExitCode::Code(137));
    assert_eq!(stage.asked(), ["run", "kill", "rm"]);
    assert!(stage.console.lines.borrow().is_empty());
}

#[tokio::test]
async fn container_of_a_dropped_future_is_killed() {
    let stage = Stage::new(KILLABLE);
    let adapter = stage.adapter(true);
    {
        let work = adapter.execute(job());
        let (running, started) = (stage.file("running"), Instant::now());
        tokio::select! {
            _ = work => panic!("it runs"),
            () = until(exists(&running)) => {}
        }
        assert!(started.elapsed() < Duration::from_secs(10));
    }
    until(|| stage.asked() == ["run", "kill", "rm"]).await;
}

#[tokio::test]
async fn container_that_cannot_be_removed_is_told_of() {
    let stage = Stage::new("[ $1 = run ] && exec sleep 60; echo 'no reason' >&2; exit 1");
    let running = WorkerJob {
        timeout: Some(Duration::from_millis(200)),
        kill_grace: Some(Duration::from_millis(300)),
        ..job()
    };
    let error = stage.adapter(true).execute(running).await.unwrap_err();
    assert_eq!(error.to_string(), "Worker job timed out after 200ms");
    assert_eq!(error.report().unwrap().command, "true");
    let lines = stage.console.lines.borrow();
    let [line] = &**lines else { panic!("{lines:?}") };
    assert!(line.starts_with("warn: Warning: container helios-worker-"), "{line}");
    assert!(
        line.ends_with(" could not be removed: it is still there after 300ms: no reason"),
        "{line}"
    );
}

#[tokio::test]
async fn files_are_seen_where_the_folder_is_mounted() {
    let stage = Stage::new("printf 12345 > out");
    let with_file = || WorkerJob { output_file: Some(stage.file("out")), ..job() };
    let seen = stage.adapter(true).execute(with_file()).await.unwrap().output;
    assert_eq!(seen.unwrap().size, 5);
    assert_eq!(stage.adapter(false).execute(with_file()).await.unwrap().output, None);
    assert!(stage.adapter(true).is_local() && !stage.adapter(false).is_local());
}

#[tokio::test]
async fn remains_of_a_dead_owner_are_removed_until_there_are_none() {
    let stage = Stage::new("case $1 in ps) cat left 2>/dev/null; exit 0 ;; rm) rm left ;; esac");
    std::fs::write(stage.file("left"), "one\ntwo\n").unwrap();
    let _adapter = stage.adapter(true);
    stage.remains.end("0123456789abcdef").await;
    let asked = std::fs::read_to_string(stage.file("asked")).unwrap();
    let list = "ps --all --quiet --no-trunc --filter label=helios.owner=0123456789abcdef";
    assert_eq!(asked.lines().collect::<Vec<_>>(), [list, "rm -f one two", list]);
    assert!(stage.console.lines.borrow().is_empty());
}
