//! Runs each chunk in a container.

mod arguments;
mod client;
mod container;
mod failure;
mod variables;

use std::{path::Path, rc::Rc, sync::Arc, time::Instant};

use futures_util::{FutureExt, future::LocalBoxFuture};

use self::{
    arguments::Run,
    client::{Client, PROGRAM},
    container::Container,
    variables::{VariableFile, Variables},
};
use super::{EndsRemains, EnvironmentSource, ForwardEnv, Remains, WorkerAdapter, see};
use crate::{
    Error, Result,
    console::Console,
    error::{SystemError, millis},
    model::{ExitCode, FileSeen, OutputTarget, WorkerJob, WorkerResult},
    path,
    process::{self, Command, Environment, Exit, Failure, Report, Supervisor},
    task,
};

/// The containers of a [`DockerAdapter`].
#[derive(Clone, Debug, Default)]
pub struct DockerAdapterOptions {
    /// What they are made from.
    pub image: String,
    /// More arguments of `docker run`, which come after all that the adapter has to say.
    pub docker_args: Vec<String>,
    /// What they learn of the environment of this process.
    pub forward_env: ForwardEnv,
    /// Whether they have the folder of the job, under its own name.
    pub mount_job_dir: bool,
}

/// What such an adapter has around it.
#[derive(Clone, Debug)]
pub struct DockerSurroundings {
    /// Watches over the clients.
    pub supervisor: Arc<Supervisor>,
    /// The variables of this process, which tell where the daemon is.
    pub environment: Rc<dyn EnvironmentSource>,
    /// Hears warnings.
    pub console: Rc<dyn Console>,
    /// Asks for what dead processes have left.
    pub remains: Remains,
}

/// Runs each command in a container of its own, by [`docker run`](https://docs.docker.com/reference/cli/docker/container/run/).
#[derive(Clone, Debug)]
pub struct DockerAdapter {
    options: Rc<DockerAdapterOptions>,
    docker: Rc<Docker>,
}

/// Docker, as this process reaches it.
#[derive(Debug)]
struct Docker {
    supervisor: Arc<Supervisor>,
    /// Watches over the clients that end containers.
    endings: Arc<Supervisor>,
    environment: Rc<dyn EnvironmentSource>,
    console: Rc<dyn Console>,
}

impl DockerAdapter {
    /// An adapter for containers of one kind. Nothing is asked of Docker before the first command.
    ///
    /// # Errors
    /// When there is no image, or the arguments would have containers get out of hand.
    pub fn new(options: DockerAdapterOptions, around: DockerSurroundings) -> Result<Self> {
        arguments::check(&options).map_err(Error::InvalidInput)?;
        let docker = Rc::new(Docker {
            endings: Arc::new(around.supervisor.for_endings()),
            supervisor: around.supervisor,
            environment: around.environment,
            console: around.console,
        });
        around.remains.register(PROGRAM, &(Rc::clone(&docker) as _));
        Ok(Self { options: Rc::new(options), docker })
    }

    async fn run(&self, mut job: WorkerJob) -> Result<WorkerResult> {
        let started = Instant::now();
        if job.cancel.is_cancelled() {
            return Ok(aborted(None, started));
        }
        // It ends also when nobody waits any more.
        job.cancel = job.cancel.child_token();
        let _ended = job.cancel.clone().drop_guard();
        let targets = [job.stdout.clone(), job.stderr.clone()];
        let line = [&job.command].into_iter().chain(&job.args).map(String::as_str);
        let line = line.collect::<Vec<_>>().join(" ");
        let attempt = self.prepare(job).await?;
        let name = attempt.container.name().to_owned();
        let ended = task::spawn(attempt.live(Arc::clone(&self.docker.supervisor))).await;
        targets.iter().for_each(OutputTarget::flush);
        if let Some(problem) = ended.left {
            let text = format!("Warning: container {name} could not be removed: {problem}");
            self.docker.console.warn(&text);
        }
        match ended.outcome {
            Ok(exit) => Ok(result(exit, ended.output)),
            Err(Failure { error: process::Error::Aborted, report }) => Ok(aborted(report, started)),
            Err(mut failure) => {
                if let Some(report) = &mut failure.report {
                    // What is known of the client says nothing of the command.
                    (report.command, report.pid, report.activity) = (line, None, None);
                }
                Err(failure.into())
            }
        }
    }

    /// Reads what there is to know, and says what is to be done.
    async fn prepare(&self, job: WorkerJob) -> Result<Attempt> {
        let mut env = self.docker.environment.snapshot();
        let container = Arc::new(Container::new(self.docker.client(env.clone())));
        let picked = self.options.forward_env.pick(job.env, env.clone());
        let variables = Variables::place(picked, &mut env).map_err(Error::InvalidInput)?;
        let file = match variables.filed() {
            Some(text) => {
                let marks = self.docker.supervisor.marks().to_owned();
                let made = task::blocking(move || VariableFile::new(&marks, &text)).await;
                let failed = |source| SystemError::new(source, "open", std::env::temp_dir());
                Some(made.map_err(|source| Error::System(failed(source)))?)
            }
            None => None,
        };
        let variable_file = file.as_ref().map(|file| file.path().to_string_lossy());
        let cwd = job.cwd.as_deref().filter(|cwd| !cwd.is_empty());
        let cwd = cwd.map(|cwd| path::resolve(Path::new(cwd)).to_string_lossy().into_owned());
        let run = Run {
            options: &self.options,
            name: container.name(),
            owner: self.docker.supervisor.marks(),
            // What belongs to no job is a run of its own.
            job: job.job_id.as_deref().unwrap_or(container.name()),
            chunk: &job.chunk_id.map(|chunk| chunk.to_string()).unwrap_or_default(),
            names: &variables.names,
            variable_file: variable_file.as_deref(),
            cwd: cwd.as_deref(),
            command: &job.command,
            args: &job.args,
        };
        let command = Command {
            program: PROGRAM.to_owned(),
            args: run.arguments(),
            cwd: None,
            env,
            timeout: job.timeout,
            stall_timeout: job.stall_timeout,
            output_file: job.output_file.filter(|_| self.options.mount_job_dir),
            kill_grace: job.kill_grace.unwrap_or(process::KILL_GRACE),
            cancel: job.cancel,
            stdout: job.stdout,
            stderr: job.stderr,
            max_output: job.max_output,
            max_log: job.max_log.unwrap_or(process::MAX_LOG),
            counterpart: Some(Arc::clone(&container) as _),
        };
        let keeps_failed = arguments::keeps(&self.options.docker_args);
        Ok(Attempt { command, container, file, keeps_failed })
    }
}

impl WorkerAdapter for DockerAdapter {
    fn execute(&self, job: WorkerJob) -> LocalBoxFuture<'_, Result<WorkerResult>> {
        self.run(job).boxed_local()
    }

    fn is_local(&self) -> bool {
        self.options.mount_job_dir
    }
}

impl Docker {
    fn client(&self, env: Environment) -> Client {
        Client::new(Arc::clone(&self.endings), env)
    }
}

impl EndsRemains for Docker {
    fn end_remains<'a>(&'a self, marks: &'a str) -> LocalBoxFuture<'a, bool> {
        let (client, owner) = (self.client(self.environment.snapshot()), marks.to_owned());
        let removal = task::spawn(async move {
            let marks = owner.clone();
            task::blocking(move || variables::remove_all(&marks)).await;
            container::remove_all(&client, &owner).await
        });
        async move {
            let removed = removal.await;
            if let Err(problem) = &removed {
                let text =
                    "Warning: the containers of a process that has died could not be removed:";
                self.console.warn(&format!("{text} {problem}"));
            }
            removed.is_ok()
        }
        .boxed_local()
    }
}

/// A command in its container.
struct Attempt {
    command: Command,
    container: Arc<Container>,
    /// Read by the client before it has the container made.
    file: Option<VariableFile>,
    /// Whether containers stay that have come to their own end.
    keeps_failed: bool,
}

/// How an attempt ended.
struct Ended {
    outcome: Result<Exit, Failure>,
    /// What was seen of its output file.
    output: Option<FileSeen>,
    /// Why its container may still be there.
    left: Option<String>,
}

impl Attempt {
    /// Runs the command to its end, and sees to it that the container ends with it.
    async fn live(self, supervisor: Arc<Supervisor>) -> Ended {
        let Self { command, container, file, keeps_failed } = self;
        let (output_file, grace) = (command.output_file.clone(), command.kill_grace);
        let outcome = supervisor.run(command).await;
        drop(file);
        let (is_started, code) = match &outcome {
            Ok(exit) => (true, exit.signal.is_none().then_some(exit.code)),
            Err(failure) => {
                (failure.report.is_some(), failure.report.as_deref().and_then(own_code))
            }
        };
        if code.is_some() {
            container.is_not_coming();
        }
        // A client that has lost its daemon, whatever it ends with, or was killed, leaves its container behind.
        let is_over = match (&outcome, code) {
            (Ok(_), Some(0)) => true,
            (Ok(exit), Some(code)) => {
                let is_own = code == failure::OWN_FAILURE;
                failure::found_no_daemon(exit.stderr.as_str()) || (keeps_failed && !is_own)
            }
            _ => false,
        };
        let left = if is_over || !is_started { None } else { container.removed(grace).await.err() };
        let output = output_file.filter(|_| outcome.is_ok()).and_then(|file| see(&file));
        Ended { outcome, output, left }
    }
}

/// The exit code of a client that came to its own end.
fn own_code(report: &Report) -> Option<i32> {
    match &report.exit_code {
        Some(ExitCode::Code(code)) if report.signal.is_none() => Some(*code),
        _ => None,
    }
}

fn result(exit: Exit, output: Option<FileSeen>) -> WorkerResult {
    WorkerResult {
        exit_code: ExitCode::Code(exit.code),
        retry: failure::hint(exit.code, exit.stderr.as_str()),
        stdout: exit.stdout,
        stderr: exit.stderr,
        duration_ms: millis(exit.duration),
        signal: exit.signal,
        output,
        ..WorkerResult::default()
    }
}

/// What comes of a command that was aborted: Docker's own code where it has one, and what was written until then.
fn aborted(report: Option<Box<Report>>, started: Instant) -> WorkerResult {
    let code = report.as_deref().and_then(own_code).unwrap_or(1);
    let nothing = || Report { stderr: "Job was aborted".into(), ..Report::default() };
    let report = report.map_or_else(nothing, |report| *report);
    WorkerResult {
        exit_code: ExitCode::Code(code),
        stdout: report.stdout,
        stderr: report.stderr,
        duration_ms: millis(started.elapsed()),
        ..WorkerResult::default()
    }
}

#[cfg(test)]
mod tests;
