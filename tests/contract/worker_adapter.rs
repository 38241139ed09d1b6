//! What every adapter that runs commands on this machine must do.

use std::{
    fs::File,
    io::Read,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use helios_infrastructure::{
    adapters::WorkerAdapter,
    model::{ExitCode, OutputSink, OutputTarget, WorkerJob},
};
use tokio_util::sync::CancellationToken;

/// Longer than anything here takes, shorter than what must not be waited for.
const SOON: Duration = Duration::from_secs(20);

fn sh(script: &str) -> WorkerJob {
    let args = vec!["-c".to_owned(), script.to_owned()];
    WorkerJob { command: "sh".to_owned(), args, ..WorkerJob::default() }
}

/// Keeps what it hears, and cancels when it has heard something.
#[derive(Debug, Default)]
struct Ear {
    pieces: Mutex<Vec<String>>,
    cancels: CancellationToken,
}

impl Ear {
    fn target(ear: &Arc<Self>) -> OutputTarget {
        OutputTarget { sink: Some(Arc::clone(ear) as _), keep: true }
    }

    fn heard(&self) -> String {
        self.pieces.lock().unwrap().concat()
    }
}

impl OutputSink for Ear {
    fn write<'a>(&'a self, text: &'a [u8]) -> BoxFuture<'a, ()> {
        let piece = String::from_utf8(text.to_vec()).expect("never cut inside a character");
        self.pieces.lock().unwrap().push(piece);
        self.cancels.cancel();
        std::future::ready(()).boxed()
    }
}

/// A command that ran gives a result, whatever its exit code.
pub async fn command_that_ran_gives_a_result(adapter: &dyn WorkerAdapter) {
    for (script, code) in [("true", 0), ("exit 3", 3), ("exit 255", 255), ("kill -9 $$", -1)] {
        let result =
            adapter.execute(sh(&format!("echo out; echo err >&2; {script}"))).await.unwrap();
        assert_eq!(result.exit_code, ExitCode::Code(code), "{script}");
        assert_eq!(result.exit_code.is_success(), code == 0);
        assert_eq!((result.stdout.as_str(), result.stderr.as_str()), ("out\n", "err\n"));
        assert!(result.duration_ms >= 0.0 && result.foreign.is_none());
    }
}

/// A command that cannot be started is an error.
pub async fn command_that_cannot_start_is_an_error(adapter: &dyn WorkerAdapter) {
    let job = WorkerJob { command: "no-such-command".to_owned(), ..WorkerJob::default() };
    let error = adapter.execute(job).await.unwrap_err().to_string();
    assert_eq!(error, "spawn no-such-command ENOENT");
}

/// Arguments are handed over as they are: no shell touches them.
pub async fn arguments_are_handed_over_as_they_are(adapter: &dyn WorkerAdapter) {
    let args = ["%s|", "a b", "", "$HOME", "*", "'\"\\", "ü\n", ";true"].map(str::to_owned);
    let job =
        WorkerJob { command: "printf".to_owned(), args: args.to_vec(), ..WorkerJob::default() };
    let result = adapter.execute(job).await.unwrap();
    assert_eq!(result.stdout.as_str(), format!("{}|", args[1..].join("|")));
}

/// Commands run in the folder and the environment they are given.
pub async fn command_runs_in_its_folder_and_environment(adapter: &dyn WorkerAdapter) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().canonicalize().unwrap().to_str().unwrap().to_owned();
    let env = vec![("HELIOS_A".to_owned(), Some("1".to_owned())), ("HOME".to_owned(), None)];
    let script = "pwd -P; echo $HELIOS_A ${HOME-unset} ${PATH:+path}";
    let job = WorkerJob { cwd: Some(path.clone()), env, ..sh(script) };
    let result = adapter.execute(job).await.unwrap();
    assert_eq!(result.stdout.as_str(), format!("{path}\n1 unset path\n"));
}

/// Output reaches the sinks before the result is there, in order and complete.
pub async fn output_is_heard_before_the_result(adapter: &dyn WorkerAdapter) {
    let (out, err) = (Arc::new(Ear::default()), Arc::new(Ear::default()));
    // The character is written in two halves, each of which is flushed by itself.
    let script = "printf '\\303'; true; printf '\\274'; echo; echo err >&2; seq 1 20000";
    let job = WorkerJob { stdout: Ear::target(&out), stderr: Ear::target(&err), ..sh(script) };
    let result = adapter.execute(job).await.unwrap();
    assert!(
        result.stdout.as_str().starts_with("ü\n1\n2\n")
            && result.stdout.as_str().ends_with("\n20000\n")
    );
    assert_eq!((out.heard(), err.heard()), (result.stdout.as_str().to_owned(), "err\n".to_owned()));
}

/// Much output on both streams at once blocks nobody.
pub async fn much_output_on_both_streams_is_kept(adapter: &dyn WorkerAdapter) {
    let script = "yes out | head -c 2000000 & yes err | head -c 2000000 >&2; wait";
    let result = adapter.execute(sh(script)).await.unwrap();
    assert_eq!(
        (result.stdout.as_str().len(), result.stderr.as_str().len()),
        (2_000_000, 2_000_000)
    );
}

/// There is nothing to read on standard input, and so nothing to wait for.
pub async fn command_that_reads_its_input_ends(adapter: &dyn WorkerAdapter) {
    let ended = tokio::time::timeout(SOON, adapter.execute(sh("cat; echo done"))).await;
    assert_eq!(ended.unwrap().unwrap().stdout.as_str(), "done\n");
}

/// Many commands run at once and keep their results apart.
pub async fn many_commands_keep_their_results_apart(adapter: &dyn WorkerAdapter) {
    let jobs = (0..40).map(|index| adapter.execute(sh(&format!("echo {index}; exit {index}"))));
    for (index, result) in join_all(jobs).await.into_iter().enumerate() {
        let result = result.unwrap();
        assert_eq!(result.stdout.as_str(), format!("{index}\n"));
        assert_eq!(result.exit_code.to_string(), index.to_string());
    }
}

/// A job that is cancelled before it starts never does.
pub async fn cancelled_job_starts_nothing(adapter: &dyn WorkerAdapter) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("started");
    let job = sh(&format!("touch '{}'", file.display()));
    job.cancel.cancel();
    assert_eq!(adapter.execute(job).await.unwrap_err().to_string(), "Job was aborted");
    assert!(!file.exists());
}

/// When a cancelled job has settled nothing of it runs any more, whatever it has started and however it takes it.
pub async fn cancelled_job_leaves_nothing_running(adapter: &dyn WorkerAdapter) {
    for script in ["sleep 60 & sleep 60", "trap '' TERM; sleep 60 & sleep 60; sleep 60"] {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let make = WorkerJob {
            command: "mkfifo".to_owned(),
            args: vec![pipe.to_str().unwrap().to_owned()],
            ..WorkerJob::default()
        };
        assert!(adapter.execute(make).await.unwrap().exit_code.is_success());
        let reader = open(&pipe);
        let ear = Arc::new(Ear::default());
        let job = WorkerJob {
            cancel: ear.cancels.clone(),
            kill_grace: Some(Duration::from_millis(100)),
            stdout: Ear::target(&ear),
            ..sh(&format!("exec 3> '{}'; echo ready; {script}", pipe.display()))
        };
        let started = Instant::now();
        assert_eq!(adapter.execute(job).await.unwrap_err().to_string(), "Job was aborted");
        assert!(started.elapsed() < SOON, "{script}");
        // All of its processes hold the pipe open: its end is the end of the last of them.
        let mut reader = reader.await.unwrap();
        let end = tokio::task::spawn_blocking(move || reader.read(&mut [0]).unwrap());
        assert_eq!(tokio::time::timeout(SOON, end).await.expect(script).unwrap(), 0);
    }
}

/// Opens a pipe for reading, which waits for its writer.
fn open(pipe: &Path) -> tokio::task::JoinHandle<File> {
    let pipe = pipe.to_owned();
    tokio::task::spawn_blocking(move || File::open(pipe).unwrap())
}
