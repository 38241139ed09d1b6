//! Runs each chunk as a child process on this machine.

use std::{fmt, path::Path, rc::Rc, sync::Arc, time::UNIX_EPOCH};

use futures_util::{FutureExt, future::LocalBoxFuture};

use super::WorkerAdapter;
use crate::{
    Result,
    error::millis,
    model::{ExitCode, FileSeen, OutputTarget, WorkerJob, WorkerResult},
    process::{self, Command, Environment, Exit, Supervisor},
    task,
};

/// Where the environment of this process is read, when it is needed.
pub trait EnvironmentSource: fmt::Debug {
    /// The environment as it is now.
    fn snapshot(&self) -> Environment;
}

/// Runs commands as child processes on this machine, without a shell.
#[derive(Clone, Debug)]
pub struct LocalWorkerAdapter {
    supervisor: Arc<Supervisor>,
    environment: Rc<dyn EnvironmentSource>,
}

impl LocalWorkerAdapter {
    /// An adapter whose children are watched over by `supervisor` and inherit `environment`.
    pub fn new(supervisor: Arc<Supervisor>, environment: Rc<dyn EnvironmentSource>) -> Self {
        Self { supervisor, environment }
    }
}

impl WorkerAdapter for LocalWorkerAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        let mut env = self.environment.snapshot();
        env.apply(job.env);
        let targets = [job.stdout.clone(), job.stderr.clone()];
        let command = Command {
            program: job.command,
            args: job.args,
            cwd: job.cwd.filter(|cwd| !cwd.is_empty()),
            env,
            timeout: job.timeout,
            stall_timeout: job.stall_timeout,
            output_file: job.output_file,
            kill_grace: job.kill_grace.unwrap_or(process::KILL_GRACE),
            cancel: job.cancel,
            stdout: job.stdout,
            stderr: job.stderr,
            max_output: job.max_output,
            max_log: job.max_log.unwrap_or(process::MAX_LOG),
            counterpart: None,
        };
        let work = task::spawn(run(Arc::clone(&self.supervisor), command));
        async move {
            let outcome = work.await;
            targets.iter().for_each(OutputTarget::flush);
            let (exit, output) = outcome?;
            Ok(WorkerResult {
                exit_code: ExitCode::Code(exit.code),
                stdout: exit.stdout,
                stderr: exit.stderr,
                duration_ms: millis(exit.duration),
                signal: exit.signal,
                pid: Some(exit.pid),
                output,
                ..WorkerResult::default()
            })
        }
        .boxed_local()
    }

    fn is_local(&self) -> bool {
        true
    }
}

async fn run(
    supervisor: Arc<Supervisor>,
    command: Command,
) -> Result<(Exit, Option<FileSeen>), process::Failure> {
    let output_file = command.output_file.clone();
    let exit = supervisor.run(command).await?;
    // One stat is not worth a thread of its own on a thread that has just started a process.
    Ok((exit, output_file.and_then(|file| see(&file))))
}

/// What there is to see of a file, if it is there.
pub(crate) fn see(file: &Path) -> Option<FileSeen> {
    let metadata = std::fs::metadata(file).ok()?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(FileSeen { size: metadata.len(), modified_ms: millis(modified) })
}

#[cfg(test)]
mod tests {
    use std::{
        sync::Mutex,
        time::{Duration, Instant},
    };

    use futures_util::future::BoxFuture;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::model::OutputSink;

    #[derive(Debug)]
    struct OwnEnvironment;

    impl EnvironmentSource for OwnEnvironment {
        fn snapshot(&self) -> Environment {
            Environment(std::env::vars_os().collect())
        }
    }

    fn adapter() -> LocalWorkerAdapter {
        LocalWorkerAdapter::new(Arc::default(), Rc::new(OwnEnvironment))
    }

    fn sh(script: &str) -> WorkerJob {
        WorkerJob {
            command: "sh".into(),
            args: vec!["-c".into(), script.into()],
            ..WorkerJob::default()
        }
    }

    async fn message(job: WorkerJob) -> String {
        adapter().execute(job).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn result_tells_how_the_command_ended() {
        let result = adapter().execute(sh("echo out; echo err >&2; exit 3")).await.unwrap();
        assert_eq!(result.exit_code, ExitCode::Code(3));
        assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("out\n", "err\n"));
        let killed = adapter().execute(sh("kill -9 $$")).await.unwrap();
        assert_eq!((killed.exit_code, killed.signal), (ExitCode::Code(-1), Some("SIGKILL")));
    }

    #[tokio::test]
    async fn environment_is_inherited_changed_and_unset() {
        let env = vec![("HELIOS_A".to_owned(), Some("1".to_owned())), ("HOME".to_owned(), None)];
        let job = WorkerJob { env, ..sh("echo $HELIOS_A ${HOME-unset} ${PATH:+path}") };
        assert_eq!(adapter().execute(job).await.unwrap().stdout.as_str(), "1 unset path\n");
    }

    #[tokio::test]
    async fn what_cannot_start_is_an_error_as_nodes() {
        let missing = WorkerJob { command: "no-such-program".into(), ..WorkerJob::default() };
        assert_eq!(message(missing).await, "spawn no-such-program ENOENT");
        let refused = WorkerJob { command: "/etc/passwd".into(), ..WorkerJob::default() };
        assert_eq!(message(refused).await, "spawn /etc/passwd EACCES");
        let folder = WorkerJob { cwd: Some("/no/such/folder".into()), ..sh("true") };
        assert_eq!(message(folder).await, "spawn sh ENOENT");
    }

    #[tokio::test]
    async fn script_without_interpreter_runs_in_sh() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        std::fs::write(&script, "echo $1").unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let job = WorkerJob {
            command: script.to_str().unwrap().into(),
            args: vec!["hello".into()],
            ..WorkerJob::default()
        };
        assert_eq!(adapter().execute(job).await.unwrap().stdout.as_str(), "hello\n");
    }

    #[tokio::test]
    async fn timeout_ends_the_whole_group() {
        let started = Instant::now();
        let job =
            WorkerJob { timeout: Some(Duration::from_millis(50)), ..sh("sleep 30 & sleep 30") };
        assert_eq!(message(job).await, "Worker job timed out after 50ms");
        assert!(started.elapsed() < Duration::from_secs(4));
    }

    #[tokio::test]
    async fn process_that_ignores_sigterm_is_killed_after_its_grace() {
        let cancel = CancellationToken::new();
        cancel.clone().cancel();
        assert_eq!(message(WorkerJob { cancel, ..sh("true") }).await, "Job was aborted");

        let ready = Arc::new(CancelWhenHeard(CancellationToken::new()));
        let job = WorkerJob {
            cancel: ready.0.clone(),
            kill_grace: Some(Duration::from_millis(50)),
            stdout: OutputTarget { sink: Some(Arc::clone(&ready) as _), keep: true },
            ..sh("trap '' TERM; echo ready; while :; do sleep 0.01; done")
        };
        assert_eq!(message(job).await, "Job was aborted");
    }

    #[tokio::test]
    async fn grandchild_that_holds_the_pipe_does_not_hold_the_result() {
        let started = Instant::now();
        let result = adapter().execute(sh("sleep 20 & echo $!")).await.unwrap();
        assert!(started.elapsed() < Duration::from_secs(10));
        // What a successful child leaves running is left alone; here it is the test's to end.
        let pid = result
            .stdout
            .as_str()
            .trim()
            .parse()
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn output_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("out");
        let job = WorkerJob {
            output_file: Some(file.clone()),
            ..sh(&format!("printf 12345 > {}", file.display()))
        };
        assert_eq!(adapter().execute(job).await.unwrap().output.unwrap().size, 5);
        let job = WorkerJob { output_file: Some(folder.path().join("none")), ..sh("true") };
        assert_eq!(adapter().execute(job).await.unwrap().output, None);
    }

    #[derive(Debug)]
    struct CancelWhenHeard(CancellationToken);

    impl OutputSink for CancelWhenHeard {
        fn write<'a>(&'a self, _text: &'a [u8]) -> BoxFuture<'a, ()> {
            self.0.cancel();
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn shutdown_ends_what_is_running() {
        let supervisor: Arc<Supervisor> = Arc::default();
        let adapter = LocalWorkerAdapter::new(Arc::clone(&supervisor), Rc::new(OwnEnvironment));
        let started = Arc::new(ShutdownWhenHeard(Mutex::new(Some(supervisor))));
        let job = WorkerJob {
            stdout: OutputTarget { sink: Some(started), keep: true },
            ..sh("echo; sleep 30")
        };
        assert_eq!(adapter.execute(job).await.unwrap_err().to_string(), "Job was aborted");
        assert_eq!(adapter.execute(sh("true")).await.unwrap_err().to_string(), "Job was aborted");
    }

    #[derive(Debug)]
    struct ShutdownWhenHeard(Mutex<Option<Arc<Supervisor>>>);

    impl OutputSink for ShutdownWhenHeard {
        fn write<'a>(&'a self, _text: &'a [u8]) -> BoxFuture<'a, ()> {
            let supervisor = self.0.lock().unwrap().take();
            supervisor.inspect(|supervisor| supervisor.shutdown());
            Box::pin(async {})
        }
    }
}
